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

import anyio
from trio.lowlevel import enable_ki_protection

from .. import seams
from .._failure.escalate import Ask, escalate, link
from .._plan.answers import (
    Again,
    Answer,
    Descend,
    Fail,
    FanOut,
    interpret,
)
from .._plan.nodes import (
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
from ..meta import StepStatus, current_step_notes, current_tries
from ..outcomes import PipelineTerminalStatus
from ..seams import Seam
from . import flow, settling
from .activation import Activation, lineage_of
from .blame import blamed
from .calling import call, settle_value, within
from .ledger import NO_LINEAGE, Ledger
from .map import open_fan, run_fan
from .messages import Expire, Message, Start
from .sub import run_child
from .switch import choose


async def perform(ledger: Ledger, node: Node, message: Start) -> None:
    """Run one invocation and leave nothing of it behind."""
    ledger.tally.begin()
    try:
        if ledger.isolated:
            with anyio.CancelScope() as scope:
                await _perform(ledger, node, message, scope)
        else:
            await _perform(ledger, node, message, None)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless outlived
        if not _outlive(ledger, message):
            _lose(ledger)
            raise
    except BaseException as error:  # noqa: BLE001 - a defect of the engine ends this run only
        _broke(ledger, message, error)
    finally:
        ledger.tally.end()
        flow.finish(ledger, message)


def _lose(ledger: Ledger) -> None:
    """An invocation is gone: end its run, unless that is what ended the invocation."""
    if ledger.ending is None:
        reason = "A task of the run was cancelled from outside"
        ledger.interrupt(PipelineTerminalStatus.CANCELLED, reason)


async def _perform(
    ledger: Ledger, node: Node, message: Start, scope: anyio.CancelScope | None
) -> None:
    act = Activation(
        ledger, node, message, NO_LINEAGE, ledger.variables.copy(), ledger.host.now()
    )
    act.scope = scope
    ledger.activations.add(act)
    try:
        if seams.active is not None:
            await seams.active.reach(Seam.TAKE, ledger.run_id, node.name)
        if ledger.voice.is_full:
            await ledger.voice.wait_room()
        _begin(act)
        answer = await _first_answer(act)
        answer = await _climb(act, answer)
        if seams.active is not None:
            await seams.active.reach(Seam.SETTLE, ledger.run_id, node.name)
        settling.settle(act, answer)
    finally:
        act.notes.open = False
        ledger.activations.discard(act)
        if not act.retried:
            settling.leave_fan(act)


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
    current_tries.set(act.tries)
    act.ledger.voice.say(
        EventType.STEP_START, act.node.name, None, act.node.kind, act.lineage
    )


# -- what the function says


async def _first_answer(act: Activation) -> Answer:
    timeout = act.node.timeout
    if not timeout:
        return await _guarded(act, lambda: _ask_function(act))
    with anyio.move_on_after(timeout) as limit:
        return await _guarded(act, lambda: _ask_function(act, limit))
    return Fail(StepTimeoutError(act.node.name, timeout))


async def _guarded(act: Activation, ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Turn whatever user code raises into an answer, save our own cancellation."""
    try:
        return await ask()
    except BaseException as error:  # noqa: ASYNC103 - what is our own is raised again
        is_owner_cancelled = act.ledger.host.is_owner_cancelled
        culprit = blamed(error, act.node.name, is_owner_cancelled)
        if culprit is None:
            raise
        if isinstance(culprit, ForeignCancellation) and act.ledger.host.outlive_kill():
            _bury_killed(act)
        if isinstance(culprit, Exception):
            return Fail(culprit)  # noqa: ASYNC104
        return _abort(act, culprit)  # noqa: ASYNC104


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


async def _ask_function(
    act: Activation, limit: anyio.CancelScope | None = None
) -> Answer:
    node = act.node
    if seams.active is not None:
        await seams.active.reach(Seam.CALL, act.ledger.run_id, node.name)
    values = CallValues(item=act.message.item)
    keep = isinstance(node, MapNode)
    value = await _call(act, node.func, node.bind(act.ledger, values), keep=keep)
    match node:
        case MapNode():
            return await _fulfil(act, FanOut(value, node.each), limit)
        case SubNode():
            return await _fulfil(act, Descend(node.child, value), limit)
        case SwitchNode():
            return choose(node, value)
        case _:
            return await _fulfil(act, interpret(value, node.name), limit)


async def _call(
    act: Activation,
    func: Callable[..., object],
    arguments: dict[str, object],
    *,
    keep: bool = False,
) -> object:
    """Call a user function in the activation's context; ``keep`` leaves streams whole."""
    result = act.variables.run(call, func, arguments)
    if result is None or not (
        hasattr(result, "__await__") or (not keep and hasattr(result, "__anext__"))
    ):
        return result

    @enable_ki_protection
    async def emit(item: object) -> None:
        voice = act.ledger.voice
        if seams.active is not None:
            await seams.active.reach(Seam.EMIT, act.ledger.run_id, act.node.name)
        if voice.is_full:
            await voice.wait_room()
        voice.say(EventType.TOKEN, act.node.name, item, lineage=act.lineage)

    act.coroutine = settle_value(result, None if keep else emit)
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
    async def ask() -> Answer:
        if seams.active is not None:
            await seams.active.reach(Seam.HANDLE, act.ledger.run_id, act.node.name)
        values = CallValues(error=error, step_name=act.node.name)
        value = await _call(act, handler.func, handler.bind(act.ledger, values))
        return await _fulfil(act, interpret(value, act.node.name))

    act.notes.open = False
    answer = await _guarded(act, ask)
    if isinstance(answer, Fail):
        link(answer.error, error)
    return answer


# -- a join that waited too long


async def judge_expiry(ledger: Ledger, node: Node, message: Expire) -> None:
    """Take a barrier's timeout up the chain of the step that waited."""
    ledger.tally.begin()
    try:
        with anyio.CancelScope() as scope:
            start = Start(ledger.run_id, node.name, message.wave)
            act = Activation(
                ledger,
                node,
                start,
                NO_LINEAGE,
                ledger.variables.copy(),
                ledger.host.now(),
            )
            act.scope = scope
            act.notes.open = False
            ledger.activations.add(act)
            try:
                answer = await _climb(act, Fail(message.error))
                settling.settle_expiry(act, answer)
            finally:
                ledger.activations.discard(act)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless outlived
        if not _outlive(ledger, message):
            _lose(ledger)
            raise
    except BaseException as error:  # noqa: BLE001 - a defect of the engine ends this run only
        _broke(ledger, message, error)
    finally:
        ledger.tally.end()
        flow.finish(ledger, message)
