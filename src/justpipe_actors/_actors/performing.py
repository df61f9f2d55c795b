"""One invocation from its message to its token.

The three questions are answered elsewhere and put together here: what the function said
(``calling``), what that means (``_plan.answers``), who is asked when it failed
(``_failure.escalate``).  What follows from it is ``settling``.

Cancellation is classified where it arrives.  It is ours when a scope above the
activation was cancelled (its own timeout, its run, its supervisor) or when somebody
cancelled the receiver's task; it goes on up.  Anything else is *foreign*: the function
awaited something that had been cancelled, and that is a failure of the step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from types import CoroutineType

import anyio

from .. import seams
from .._failure.escalate import Ask, escalate, link
from .._plan.answers import (
    Again,
    Answer,
    Descend,
    Fail,
    FanOut,
    Proceed,
    interpret,
)
from .._plan.nodes import (
    NO_ITEM,
    NO_VALUES,
    Callback,
    CallValues,
    MapNode,
    Node,
    SubNode,
    SwitchNode,
)
from ..errors import (
    ForeignCancellation,
    ReceiverKilled,
    RetriesExhausted,
    StepAborted,
    StepTimeoutError,
)
from ..events import EventType
from ..meta import StepStatus, current_step_notes
from ..outcomes import PipelineTerminalStatus
from ..seams import Seam
from . import flow, settling
from .activation import Activation, lineage_of
from .blame import blamed
from .calling import call, resume, settle_value, step_into, within
from .ledger import Ledger
from .map import open_fan, run_fan
from .messages import Expire, Message, Start
from .outlet import Outlet
from .parts import Performer
from .sub import run_child
from .switch import choose


def _lose(ledger: Ledger) -> None:
    """An invocation is gone: end its run, unless that is what ended the invocation."""
    if ledger.ending is None:
        reason = "A task of the run was cancelled from outside"
        ledger.interrupt(PipelineTerminalStatus.CANCELLED, reason)


async def perform(  # noqa: C901 - the life of an invocation, in order
    ledger: Ledger, actor: Performer, message: Start, scope: anyio.CancelScope
) -> None:
    """Run one invocation and leave nothing of it behind.

    From ``settle`` to the end nothing waits: the receiver is about to be free, so what is
    put meanwhile calls nobody else (``held``).
    """
    act = Activation(ledger, actor, message, scope, ledger.variables.copy())
    ledger.activations.add(act)
    ledger.tally.begin()
    try:
        if seams.active is not None:
            await seams.active.reach(Seam.TAKE, ledger.run_id, actor.node.name)
        if ledger.voice.is_full:
            await act.wait_room()
        _begin(act)
        answer = await (_within_time(act) if actor.node.timeout else _ask_function(act))
        if not isinstance(answer, Proceed):
            answer = await _climb(act, answer)
        if seams.active is not None:
            await seams.active.reach(Seam.SETTLE, ledger.run_id, actor.node.name)
        actor.crew.held = True
        settling.settle(act, answer)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless outlived
        if not _outlive(ledger, message):
            _lose(ledger)
            raise
    except BaseException as error:  # noqa: BLE001 - a defect of the engine ends this run only
        _broke(ledger, message, error)
    finally:
        act.notes.open = False
        ledger.activations.discard(act)
        if message.fan is not None and not act.retried:
            settling.leave_fan(act)
        ledger.tally.end()
        flow.finish(ledger, message)


def _begin(act: Activation) -> None:
    ledger = act.ledger
    act.lineage = lineage_of(ledger, act.message)
    act.began = ledger.host.now()
    if act.message.fan and act.message.attempt == 1:
        ledger.tally.begin_worker()
    act.variables.run(_announce, act)


def _announce(act: Activation) -> None:
    """Say that it begins, where the step will run: it sees what a witness sets here."""
    current_step_notes.set(act.notes)
    act.ledger.voice.say(
        EventType.STEP_START, act.node.name, None, act.node.kind, act.lineage
    )


# -- what the function says


async def _within_time(act: Activation) -> Answer:
    timeout = act.node.timeout
    with anyio.move_on_after(timeout) as limit:
        return await _ask_function(act, limit)
    return Fail(StepTimeoutError(act.node.name, timeout or 0))


async def _ask_function(
    act: Activation, limit: anyio.CancelScope | None = None
) -> Answer:
    """Call the step's function and say what its result means."""
    node = act.node
    try:
        if seams.active is not None:
            await seams.active.reach(Seam.CALL, act.ledger.run_id, node.name)
        arguments = node.bind(act.ledger, _values_of(act.message))
        value = await _call(act, node.func, arguments, keep=isinstance(node, MapNode))
        answer = _meaning(node, value)
        if isinstance(answer, FanOut | Descend):
            answer = await _fulfil(act, answer, limit)
    except BaseException as error:  # noqa: ASYNC103 - what is our own is raised again
        failure = _failure(act, error)
        if failure is None:
            raise
        return failure  # noqa: ASYNC104
    return answer


def _values_of(message: Start) -> CallValues:
    return NO_VALUES if message.item is NO_ITEM else CallValues(message.item)


def _meaning(node: Node, value: object) -> Answer:
    match node:
        case MapNode():
            return FanOut(value, node.each)
        case SubNode():
            return Descend(node.child, value)
        case SwitchNode():
            return choose(node, value)
        case _:
            return interpret(value, node.name)


def _failure(act: Activation, error: BaseException) -> Fail | None:
    """Turn whatever user code raised into an answer; None for our own cancellation."""
    host = act.ledger.host
    culprit = blamed(error, act.node.name, host.is_owner_cancelled)
    if culprit is None:
        return None
    if isinstance(culprit, ForeignCancellation) and host.outlive_kill():
        _bury_killed(act)
    return Fail(culprit) if isinstance(culprit, Exception) else _abort(act, culprit)


def _bury_killed(act: Activation) -> None:
    killed = ReceiverKilled(act.node.name)
    act.ledger.host.bury(act.ledger, act.message, "its receiver was killed", killed)


def _broke(ledger: Ledger, message: Message, error: BaseException) -> None:
    """Report a message that broke what performed it, and end its run for it."""
    ledger.host.bury(ledger, message, "it ended its run", error)
    ledger.crash(error)


def _outlive(ledger: Ledger, message: Message) -> bool:
    """Tell whether a receiver was killed between its run's own functions; end the run."""
    if anyio.current_effective_deadline() == -inf or not ledger.host.outlive_kill():
        return False
    _broke(ledger, message, ReceiverKilled(message.step))
    return True


def _abort(act: Activation, error: BaseException) -> Fail:
    act.ledger.aborted = act.ledger.aborted or error
    failure = StepAborted(act.node.name, type(error).__name__)
    failure.__cause__ = error
    return Fail(failure)


async def _call(
    act: Activation,
    func: Callable[..., object],
    arguments: dict[str, object],
    *,
    keep: bool = False,
) -> object:
    """Call a user function in the activation's context; ``keep`` leaves streams whole."""
    variables = act.variables
    result = variables.run(call, func, arguments)
    if isinstance(result, CoroutineType):
        # Most functions never wait: then nothing needs to be driven.
        try:
            trap = variables.run(step_into, result)
        except StopIteration as stop:
            result = stop.value
        else:
            act.coroutine = result
            result = await resume(variables, result, trap, _pause(act))
            act.coroutine = None
    if result is None or not (
        hasattr(result, "__await__") or (not keep and hasattr(result, "__anext__"))
    ):
        return result
    act.coroutine = settle_value(result, None if keep else Outlet(act))
    try:
        return await within(variables, act.coroutine, _pause(act))
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


async def _climb(act: Activation, answer: Answer) -> Answer:
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
        value = await _call(act, handler.func, handler.bind(act.ledger, values))
        return await _fulfil(act, interpret(value, act.node.name))
    except BaseException as raised:  # noqa: ASYNC103 - what is our own is raised again
        failure = _failure(act, raised)
        if failure is None:
            raise
        link(failure.error, error)
        return failure  # noqa: ASYNC104


# -- a join that waited too long


async def judge_expiry(
    ledger: Ledger, actor: Performer, message: Expire, scope: anyio.CancelScope
) -> None:
    """Take a barrier's timeout up the chain of the step that waited."""
    start = Start(ledger.run_id, message.step, message.wave)
    act = Activation(ledger, actor, start, scope, ledger.variables.copy())
    act.began = ledger.host.now()
    act.notes.open = False
    ledger.activations.add(act)
    ledger.tally.begin()
    try:
        answer = await _climb(act, Fail(message.error))
        settling.settle_expiry(act, answer)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless outlived
        if not _outlive(ledger, message):
            _lose(ledger)
            raise
    except BaseException as error:  # noqa: BLE001 - a defect of the engine ends this run only
        _broke(ledger, message, error)
    finally:
        ledger.activations.discard(act)
        ledger.tally.end()
        flow.finish(ledger, message)
