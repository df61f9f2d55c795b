"""Call the function of a step, and turn what it returns into the step's result.

A function may return a value, an awaitable or a stream.  A switch chooses a route by its
value; a map starts workers for each item, and a sub step a run of another pipe.  Any
exception is a ``FailStep``; only the engine's own cancellation is raised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from functools import partial
from math import inf
from types import GeneratorType
from typing import TYPE_CHECKING, assert_never

import anyio

from .. import _engine
from .._definition.names import resolve_name
from .._plan.plan import (
    NO_ITEM,
    NO_VALUES,
    CallValues,
    MapNode,
    StepNode,
    SubNode,
    SwitchNode,
)
from .._plan.state_tries import current_start_try
from .._plan.step_results import (
    PROCEED,
    CollectValue,
    FailStep,
    StartChildRun,
    StartMap,
    StartNamedStep,
    StepResult,
    StopRun,
    interpret_collected,
    interpret_result,
)
from .._util import failpoints
from .._util.failpoints import Seam
from .._util.sync import bound
from .._util.text import safe_repr, safe_str
from .._util.user_objects import call_or
from ..errors import (
    ChildRunFailed,
    NoRouteError,
    PipelineCancelled,
    StepTimeoutError,
    UnknownStepError,
)
from ..errors.base import closest_name
from ..meta import StepStatus
from ..outcomes import PipelineTerminalStatus
from ..signals import Stop
from .blocking import check_since, check_timeout, warn_of_blocking
from .invocation import Invocation, TokenEmitter
from .run_state import ChildOutcome
from .user_code import (
    PendingCall,
    call_step_function,
    drive_in_context,
    drive_pending,
    failure_of,
    resolve_value,
)


if TYPE_CHECKING:
    from .invocation_state import InvocationState
    from .map_invocation import MapInvocation
    from .restore import ReopenedChild


async def run_child(invocation: Invocation, descend: StartChildRun) -> StepResult:
    """Run a child and return the step's result for the child's end."""
    outcome: ChildOutcome = await invocation.run_state.start_child(
        invocation, descend.pipe, descend.state
    )
    match outcome.status:
        case PipelineTerminalStatus.SUCCESS:
            return StopRun() if outcome.suspended else PROCEED
        case PipelineTerminalStatus.FAILED | PipelineTerminalStatus.TIMEOUT:
            error = outcome.error
            if error is None:
                error = ChildRunFailed(invocation.node.name, outcome.text or "")
            return FailStep(error, f"{invocation.node.name}:{outcome.step or 'system'}")
        case PipelineTerminalStatus.CANCELLED | PipelineTerminalStatus.CLIENT_CLOSED:
            return FailStep(PipelineCancelled(outcome.text or "Cancelled"))
    assert_never(outcome.status)


def choose_route(node: SwitchNode, value: object) -> StepResult:
    """Return the result of a switch: the next step, a stop, or a failure."""
    target = _find_route(node, value)
    if target is None and node.default is not None:
        return StartNamedStep(node.default)
    if target is None:
        return FailStep(_no_route_error(node, value))
    if target is Stop or isinstance(target, Stop):
        return StopRun()
    return StartNamedStep(resolve_name(target))


def _find_route(node: SwitchNode, value: object) -> object:
    if not isinstance(node.routes, Mapping):
        return node.routes(value)
    try:
        return node.routes.get(value)
    except TypeError:  # it has no hash, like a list
        return None


def _no_route_error(node: SwitchNode, value: object) -> NoRouteError:
    routes = list(node.routes) if isinstance(node.routes, Mapping) else []
    names = [safe_repr(route) for route in routes]
    hint = call_or("", _route_hint, routes, names, value)  # compares users' objects
    return NoRouteError(node.name, safe_repr(value), names, hint)


def _route_hint(routes: list[object], names: list[str], value: object) -> str:
    """Return what the author of a switch may have meant, as the end of a message."""
    if value is None:
        return " A function without 'return' returns None."
    for route, name in zip(routes, names, strict=True):
        if safe_str(route) == safe_str(value) and type(route) is not type(value):
            kinds = f"{type(route).__name__}, and the value is {type(value).__name__}"
            return f" The route {name} is {kinds}."
        if isinstance(value, Enum) and route == value.value:
            return f" The route {name} is the member's value: return that, or route by members."
    close = closest_name(safe_repr(value), names)
    return "" if close is None else f" Did you mean {close}?"


async def call_within_timeout(invocation: Invocation) -> StepResult:
    """Call the step's function within its timeout."""
    timeout = invocation.node.timeout
    with anyio.move_on_after(timeout) as limit:
        if timeout:
            invocation.limit = limit
        answer = await _call_step(invocation, limit)
        if timeout and not invocation.has_waited:
            check_timeout(invocation, timeout)
        return answer
    return FailStep(StepTimeoutError(invocation.node.name, timeout or 0))


async def _call_step(invocation: Invocation, limit: anyio.CancelScope) -> StepResult:
    failure: FailStep | None = None
    if failpoints.active is not None:
        try:
            await failpoints.active.reach(
                Seam.CALL, invocation.run_state.run_id, invocation.node.name
            )
        except BaseException as error:  # noqa: ASYNC103, BLE001 - the engine's own errors are re-raised
            failure = _failure(invocation, error)
    return failure or begin_call(invocation) or await finish_call(invocation, limit)


def begin_call(invocation: Invocation) -> StepResult | None:
    """Call the step's function; return None if its return value has to be awaited.

    Most functions neither wait nor return a stream, so this call is all they need.
    """
    run_state, node, item = (
        invocation.run_state,
        invocation.actor.node,
        invocation.message.item,
    )
    if run_state.journal is not None and run_state.journal.saved is not None:
        invocation.returned = run_state.journal.reopen(invocation)
        if invocation.returned is not None:
            return None
    try:
        values = NO_VALUES if item is NO_ITEM else CallValues(item)
        source = run_state if run_state.isolation is None else isolated(invocation)
        value = invocation.variables.run(
            call_step_function, node.func, node.bind(source, values)
        )
    except BaseException as error:  # noqa: ASYNC103, BLE001 - the engine's own errors are re-raised
        check_since(invocation, invocation.began)
        answer: StepResult | None = _failure(invocation, error)
    else:
        answer, invocation.returned = None, value
        if value is None and isinstance(node, StepNode) and not node.is_collected:
            answer = PROCEED
    return answer


async def finish_call(
    invocation: Invocation, limit: anyio.CancelScope | None = None
) -> StepResult:
    """Wait for the value of the step's function and return the step's result."""
    node, value = invocation.node, invocation.returned
    invocation.returned = None
    try:
        if isinstance(value, PendingCall):
            value = await drive(invocation, value, invocation.began)
            invocation.coroutine = None
        elif invocation.run_state.journal is not None and isinstance(
            value, _engine.map_invocation.MapInvocation | _engine.restore.ReopenedChild
        ):
            return await _go_on(invocation, value, limit)
        if value is not None:
            value = await resolve_step_value(
                invocation, value, keep=isinstance(node, MapNode)
            )
        if invocation.isolated is not None and isinstance(node, SwitchNode):
            invocation.isolated.commit_function()
        answer = known_target(invocation, _interpret_value(invocation, value))
        if isinstance(answer, StartMap | StartChildRun):
            if not invocation.has_waited:
                check_since(invocation, invocation.began)
            answer = await carry_out(invocation, answer, limit)
    except BaseException as error:  # noqa: ASYNC103, BLE001 - the engine's own errors are re-raised
        answer = _failure(invocation, error)
    return answer


def _failure(invocation: Invocation, error: BaseException) -> FailStep:
    """Turn an exception into a result; raise it again if it is the engine's own."""
    failure = failure_of(invocation, error)
    if failure is None:
        raise error
    return failure


def _interpret_value(invocation: Invocation, value: object) -> StepResult:
    node = invocation.node
    match node:
        case StepNode():
            if node.is_collected and _is_collecting(invocation):
                return _interpret_collected(invocation, value)
            return interpret_result(value, node.name)
        case MapNode():
            return StartMap(value, node.each)
        case SubNode():
            return StartChildRun(node.child, value)
        case SwitchNode():
            return choose_route(node, value)
        case _:
            msg = f"{type(node).__name__} is no kind of step"
            raise AssertionError(msg)


def interpret_handled(invocation: Invocation, value: object) -> StepResult:
    """Return the meaning of a handler's result; None means handled, without a value."""
    node = invocation.node
    is_collected = isinstance(node, StepNode) and node.is_collected
    if value is not None and is_collected and _is_collecting(invocation):
        return _interpret_collected(invocation, value)
    return interpret_result(value, node.name)


def _interpret_collected(invocation: Invocation, value: object) -> StepResult:
    """Return the meaning of a worker's result, with its stored form in a durable run.

    Raises:
        NotStorable: the run is durable, and the value cannot be stored.
    """
    name, journal = invocation.node.name, invocation.run_state.journal
    answer = interpret_collected(value, name)
    if journal is None or not isinstance(answer, CollectValue):
        return answer
    return CollectValue(value, [journal.maps.dump_result(name, value)])


def known_target(invocation: Invocation, answer: StepResult) -> StepResult:
    """Return the failure of an invocation that names a step which does not exist."""
    if not isinstance(answer, StartNamedStep | StartMap):
        return answer
    node, nodes = invocation.node, invocation.run_state.plan.nodes
    if answer.target in nodes:
        return answer
    is_route = isinstance(node, SwitchNode)
    return FailStep(UnknownStepError(answer.target, list(nodes), node.name, is_route))


def _is_collecting(invocation: Invocation) -> bool:
    """Return whether the map that an invocation works for collects results."""
    mapping = invocation.run_state.maps.get(invocation.message.map_id or "")
    return mapping is not None and mapping.collect is not None


def drive(
    invocation: Invocation, pending: PendingCall, since: float | None
) -> Awaitable[object]:
    """Return an awaitable of the value of a started function.

    Args:
        invocation: the invocation that called the function.
        pending: the started function.
        since: when it was started, in the loop's seconds.
    """
    invocation.coroutine = pending.coroutine
    check_since(invocation, since)
    invocation.has_waited = True
    return drive_pending(
        invocation.variables,
        pending.coroutine,
        pending.trap,
        _resume_failpoint(invocation),
        bound(warn_of_blocking, invocation),
    )


async def resolve_step_value(
    invocation: Invocation, result: object, *, keep: bool = False
) -> object:
    """Await the return value of a function; ``keep`` returns streams unread."""
    is_stream = hasattr(result, "__anext__") or isinstance(result, GeneratorType)
    if not (hasattr(result, "__await__") or (is_stream and not keep)):
        return result
    invocation.coroutine = resolve_value(
        result, None if keep else TokenEmitter(invocation)
    )
    invocation.has_waited = True
    try:
        return await drive_in_context(
            invocation.variables,
            invocation.coroutine,
            _resume_failpoint(invocation),
            bound(warn_of_blocking, invocation),
        )
    finally:
        invocation.coroutine = None


def _resume_failpoint(invocation: Invocation) -> Callable[[], Awaitable[None]] | None:
    """Return the failpoint between two waits of the user's code, if a test uses it."""
    if failpoints.active is None:
        return None
    name = invocation.node.name
    return partial(
        failpoints.active.reach, Seam.RESUME, invocation.run_state.run_id, name
    )


async def carry_out(
    invocation: Invocation, answer: StepResult, limit: anyio.CancelScope | None = None
) -> StepResult:
    """Carry out the results that take time: a map, a child run.

    A step's timeout bounds the child of a sub.  Of a map it bounds only the source of
    the items, so the map gets the remaining seconds and the scope's deadline is lifted.
    """
    if isinstance(answer, StartMap | StartChildRun):
        invocation.has_waited = True  # for its workers or its child
        if invocation.isolated is not None:
            items = answer.items if isinstance(answer, StartMap) else None
            invocation.isolated.commit_before(items)
    match answer:
        case StartMap():
            budget = None
            if limit is not None:
                budget = limit.deadline - invocation.run_state.system.now()
                limit.deadline = inf
            return await _engine.map_step.run_map(
                _engine.map_invocation.open_map(invocation, answer, budget)
            )
        case StartChildRun():
            return await run_child(invocation, answer)
        case _:
            return answer


async def _go_on(
    invocation: Invocation,
    reopened: MapInvocation | ReopenedChild,
    limit: anyio.CancelScope | None,
) -> StepResult:
    """Continue after the function, with the map or child that was open at a crash."""
    invocation.has_waited = True
    invocation.level = reopened.level
    if reopened.level:
        invocation.status = StepStatus.ERROR
    if isinstance(reopened, _engine.map_invocation.MapInvocation):
        if limit is not None:
            limit.deadline = inf
        return await _engine.map_step.run_map(reopened)
    node = invocation.node
    pipe: object = reopened.pipe
    if isinstance(node, SubNode) and not reopened.level:
        pipe = node.child
    return await run_child(invocation, StartChildRun(pipe, reopened))


def isolated(invocation: Invocation) -> InvocationState:
    """Return the ``InvocationState`` of an invocation; made at the first call."""
    found = invocation.isolated
    if found is None:
        run_state = invocation.run_state
        assert run_state.isolation is not None
        found = _engine.invocation_state.InvocationState(
            run_state, run_state.isolation, invocation.node
        )
        item = invocation.message.item
        if run_state.plan.warns_of_items and item is not NO_ITEM:
            found.item_check = _engine.invocation_state.ItemCheck.of(item)
        invocation.isolated = found
        if invocation.node.has_state_tries:
            invocation.variables.run(current_start_try.set, found.start_try)
    return found
