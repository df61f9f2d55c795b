"""Asking users' functions: a step for its answer, a handler for a better one.

What a function returns is driven in the activation's own context variables and in its
receiver's task (``calling``); what it means is decided elsewhere (``_plan.answers``,
``switch``); who is asked next when it failed, too (``_failure.escalate``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from math import inf

import anyio

from .. import seams
from .._failure.escalate import Ask, escalate, link
from .._plan.answers import (
    PROCEED,
    Again,
    Answer,
    Descend,
    Fail,
    FanOut,
    interpret,
)
from .._plan.nodes import (
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
from ..errors import RetriesExhausted, StepAborted, StepTimeoutError
from ..meta import StepStatus
from ..seams import Seam
from .activation import Activation
from .breaking import failure_of
from .calling import Begun, call_into, resume, settle_value, within
from .fan import open_fan
from .map import run_fan
from .outlet import Outlet
from .sub import run_child
from .switch import choose


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
