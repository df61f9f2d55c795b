"""One invocation from its message to its token.

The questions are answered elsewhere and put together here: what the function says and
who is asked when it failed (``asking``), and what follows from the answer (``settling``).
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from math import inf
from typing import TYPE_CHECKING, assert_never

import anyio
import attrs

from .._definition.names import resolve_name
from .._plan.failure_policy import Ask, escalate, link
from .._plan.plan import (
    NO_ITEM,
    NO_VALUES,
    Callback,
    CallValues,
    MapNode,
    Node,
    StepNode,
    SubNode,
    SwitchNode,
)
from .._plan.step_results import (
    PROCEED,
    Again,
    Answer,
    Descend,
    Fail,
    FanOut,
    GoTo,
    Halt,
    interpret,
)
from .._util import failpoints as seams
from .._util.failpoints import Seam
from .._util.text import repr_of
from ..errors import (
    ChildRunFailed,
    NoRouteError,
    PipelineCancelled,
    RetriesExhausted,
    StepAborted,
    StepTimeoutError,
)
from ..events import EventType
from ..meta import StepStatus, current_step_notes
from ..outcomes import PipelineTerminalStatus
from ..signals import Stop
from . import commit as settling, routing as flow
from .invocation import Activation, Outlet
from .map_invocation import open_fan
from .map_step import run_fan
from .messages import Expire, Start
from .protocols import Lineage
from .run_state import Ledger
from .user_code import (
    Begun,
    bury,
    call_into,
    failure_of,
    is_outlived,
    resume,
    settle_value,
    within,
)


if TYPE_CHECKING:
    from .actor import Actor


@attrs.frozen(eq=False)
class ChildOutcome:
    """How a child run ended, as far as its parent must know."""

    status: PipelineTerminalStatus
    """Its status."""
    error: Exception | None
    """Its primary failure, whole."""
    step: str | None
    """Where that happened: a step of the child, ``startup``, ``shutdown``."""
    text: str | None
    """Its failure or cancellation in words."""
    suspended: bool
    """Whether it ended by ``Suspend``."""


StartChild = Callable[["Activation", object, object], Awaitable[ChildOutcome]]
"""Runs a child pipe with a state to its end, on behalf of an activation."""


async def run_child(act: Activation, order: Descend) -> Answer:
    """Run a child and say what its end means for this step."""
    outcome: ChildOutcome = await act.ledger.start_child(act, order.pipe, order.state)
    match outcome.status:
        case PipelineTerminalStatus.SUCCESS:
            return Halt() if outcome.suspended else PROCEED
        case PipelineTerminalStatus.FAILED | PipelineTerminalStatus.TIMEOUT:
            error = outcome.error or ChildRunFailed(act.node.name, outcome.text or "")
            return Fail(error, f"{act.node.name}:{outcome.step or 'system'}")
        case PipelineTerminalStatus.CANCELLED | PipelineTerminalStatus.CLIENT_CLOSED:
            return Fail(PipelineCancelled(outcome.text or "Cancelled"))
    assert_never(outcome.status)


def choose(node: SwitchNode, value: object) -> Answer:
    """Return where to go, or the error that there is no way."""
    target = _look_up(node, value)
    if target is None and node.default is not None:
        return GoTo(node.default)
    if target is None:
        return Fail(_no_route(node, value))
    if target is Stop or isinstance(target, Stop):
        return Halt()
    return GoTo(resolve_name(target))


def _look_up(node: SwitchNode, value: object) -> object:
    if not isinstance(node.routes, Mapping):
        return node.routes(value)
    return node.routes.get(value)


def _no_route(node: SwitchNode, value: object) -> NoRouteError:
    routes = list(node.routes) if isinstance(node.routes, Mapping) else []
    names = [repr_of(route) for route in routes]
    close = difflib.get_close_matches(repr_of(value), names, n=1, cutoff=0.6)
    hint = f" Did you mean {close[0]}?" if close else ""
    return NoRouteError(node.name, repr_of(value), names, hint)


async def ask_within_time(act: Activation) -> Answer:
    """Ask the step's function, for as long as its timeout allows."""
    timeout = act.node.timeout
    with anyio.move_on_after(timeout) as limit:
        return await _ask(act, limit)
    return Fail(StepTimeoutError(act.node.name, timeout or 0))


async def _ask(act: Activation, limit: anyio.CancelScope) -> Answer:
    if seams.active is not None:
        try:
            await seams.active.reach(Seam.CALL, act.ledger.run_id, act.node.name)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - what is our own is raised again
            return _failed(act, error)  # noqa: ASYNC104
    return begin_asking(act) or await finish_asking(act, limit)


def begin_asking(act: Activation) -> Answer | None:
    """Call the step's function; None when there is more to do with what it returned.

    Most functions neither wait nor have an answer, and are done with here.
    """
    ledger, node, item = act.ledger, act.actor.node, act.message.item
    try:
        values = NO_VALUES if item is NO_ITEM else CallValues(item)
        value = act.variables.run(call_into, node.func, node.bind(ledger, values))
    except BaseException as error:  # noqa: ASYNC103, BLE001 - what is our own is raised again
        return _failed(act, error)  # noqa: ASYNC104
    if value is None and isinstance(node, StepNode):
        return PROCEED
    act.returned = value
    return None


async def finish_asking(
    act: Activation, limit: anyio.CancelScope | None = None
) -> Answer:
    """Wait for what the step's function returned, and say what it means."""
    node, value = act.node, act.returned
    act.returned = None
    try:
        if isinstance(value, Begun):
            value = await _driven(act, value)
            act.coroutine = None
        if value is not None:
            value = await _settled(act, value, keep=isinstance(node, MapNode))
        answer = _meaning(node, value)
        if isinstance(answer, FanOut | Descend):
            answer = await _fulfil(act, answer, limit)
    except BaseException as error:  # noqa: ASYNC103, BLE001 - what is our own is raised again
        return _failed(act, error)  # noqa: ASYNC104
    return answer


def _failed(act: Activation, error: BaseException) -> Fail:
    """Turn what was raised into an answer; raise it again if it is our own."""
    failure = failure_of(act, error)
    if failure is None:
        raise error
    return failure


def _meaning(node: Node, value: object) -> Answer:
    match node:
        case StepNode():
            return interpret(value, node.name)
        case MapNode():
            return FanOut(value, node.each)
        case SubNode():
            return Descend(node.child, value)
        case SwitchNode():
            return choose(node, value)
        case _:
            msg = f"{type(node).__name__} is no kind of step"
            raise AssertionError(msg)


def _driven(act: Activation, begun: Begun) -> Awaitable[object]:
    """Return what drives a function that has begun on to its value."""
    act.coroutine = begun.coroutine
    return resume(act.variables, begun.coroutine, begun.trap, _pause(act))


async def _settled(act: Activation, result: object, *, keep: bool = False) -> object:
    """Wait for what a function returned; ``keep`` leaves streams whole."""
    if not (
        hasattr(result, "__await__") or (not keep and hasattr(result, "__anext__"))
    ):
        return result
    act.coroutine = settle_value(result, None if keep else Outlet(act))
    try:
        return await within(act.variables, act.coroutine, _pause(act))
    finally:
        act.coroutine = None


def _pause(act: Activation) -> Callable[[], Awaitable[None]] | None:
    """Return the seam in the middle of the user's own code, if a test stands there."""
    if seams.active is None:
        return None
    name = act.node.name
    return partial(seams.active.reach, Seam.RESUME, act.ledger.run_id, name)


async def _fulfil(
    act: Activation, answer: Answer, limit: anyio.CancelScope | None = None
) -> Answer:
    """Carry out the answers that take time: a map, a child run.

    A step's timeout bounds the child of a sub.  Of a map it bounds only what produces
    the items, so the map gets what is left of it and the scope is lifted.
    """
    match answer:
        case FanOut():
            budget = None
            if limit is not None:
                budget = limit.deadline - act.ledger.host.now()
                limit.deadline = inf
            return await run_fan(open_fan(act, answer, budget))
        case Descend():
            return await run_child(act, answer)
        case _:
            return answer


# -- who is asked when it failed


async def climb(act: Activation, answer: Answer) -> Answer:
    """Take a failed answer up the chain until somebody answers well, or nobody is left."""
    handlers = (act.node.on_error, act.ledger.plan.on_error)
    level = 0
    while True:
        if isinstance(answer, Again) and _is_exhausted(act):
            answer = Fail(RetriesExhausted(act.node.name, act.ledger.plan.max_retries))
        if not isinstance(answer, Fail):
            return answer
        act.status = StepStatus.ERROR
        if isinstance(answer.error, StepAborted):
            return answer
        verdict = escalate(answer.error, level, handlers)
        if not isinstance(verdict, Ask):
            return answer
        level = verdict.level
        answer = await _consult(act, verdict.handler, answer.error)


def _is_exhausted(act: Activation) -> bool:
    return act.lineage.attempt >= max(act.ledger.plan.max_retries, 1)


async def _consult(act: Activation, handler: Callback, error: Exception) -> Answer:
    act.notes.open = False
    try:
        if seams.active is not None:
            await seams.active.reach(Seam.HANDLE, act.ledger.run_id, act.node.name)
        values = CallValues(error=error, step_name=act.node.name)
        arguments = handler.bind(act.ledger, values)
        value = act.variables.run(call_into, handler.func, arguments)
        if isinstance(value, Begun):
            value = await _driven(act, value)
            act.coroutine = None
        if value is not None:
            value = await _settled(act, value)
        return await _fulfil(act, interpret(value, act.node.name))
    except BaseException as raised:  # noqa: ASYNC103 - what is our own is raised again
        failure = failure_of(act, raised)
        if failure is None:
            raise
        link(failure.error, error)
        return failure  # noqa: ASYNC104


async def perform(  # noqa: C901, PLR0912 - the life of an invocation, in order
    ledger: Ledger, actor: Actor, message: Start, scope: anyio.CancelScope
) -> None:
    """Run one invocation and leave nothing of it behind.

    From ``settle`` to the end nothing waits: the receiver is about to be free, so what is
    put meanwhile calls nobody else (``held``).
    """
    node = actor.node
    act = Activation(ledger, actor, message, scope, ledger.variables.copy())
    ledger.activations.add(act)
    ledger.tally.begin()
    try:
        if seams.active is not None:
            await seams.active.reach(Seam.TAKE, ledger.run_id, node.name)
        if ledger.voice.room.is_full:
            await act.wait_room()
        _begin(act)
        if node.timeout or seams.active is not None:
            answer = await ask_within_time(act)
        else:
            answer = begin_asking(act) or await finish_asking(act)
        if answer is not PROCEED:
            answer = await climb(act, answer)
        if seams.active is not None:
            await seams.active.reach(Seam.SETTLE, ledger.run_id, node.name)
        actor.crew.held = True
        settling.settle(act, answer)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless outlived
        if not is_outlived(ledger, message):
            raise
    except BaseException as error:  # noqa: BLE001 - a defect of the engine ends this run only
        bury(ledger, message, error)
    finally:
        act.notes.open = False
        ledger.activations.discard(act)
        if message.fan is not None and not act.retried:
            settling.leave_fan(act)
        ledger.tally.completed += 1
        flow.finish(ledger, message)


def _begin(act: Activation) -> None:
    ledger, message = act.ledger, act.message
    ledger.invocations = number = ledger.invocations + 1
    invocation = f"{ledger.run_id}:{number}"
    owner = message.owner or message.fan or invocation
    act.lineage = Lineage(
        invocation, message.cause, owner, message.attempt, message.scope
    )
    act.began = ledger.host.now()
    if message.fan and message.attempt == 1:
        ledger.tally.begin_worker()
    act.variables.run(_announce, act)


def _announce(act: Activation) -> None:
    """Say that it begins, where the step will run: it sees what a witness sets here."""
    current_step_notes.set(act.notes)
    node = act.actor.node
    act.notes.said = act.ledger.voice.say(
        EventType.STEP_START, node.name, None, node.kind, act.lineage
    )


async def judge_expiry(
    ledger: Ledger, actor: Actor, message: Expire, scope: anyio.CancelScope
) -> None:
    """Take the timeout of a join that waited too long up the chain of that step."""
    start = Start(ledger.run_id, message.step, message.wave)
    act = Activation(ledger, actor, start, scope, ledger.variables.copy())
    act.began = ledger.host.now()
    act.notes.open = False
    ledger.activations.add(act)
    ledger.tally.begin()
    try:
        answer = await climb(act, Fail(message.error))
        settling.settle_expiry(act, answer)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless outlived
        if not is_outlived(ledger, message):
            raise
    except BaseException as error:  # noqa: BLE001 - a defect of the engine ends this run only
        bury(ledger, message, error)
    finally:
        ledger.activations.discard(act)
        ledger.tally.completed += 1
        flow.finish(ledger, message)
