"""Execute one invocation: from its message to the release of its token.

It calls the step's function, then the error handlers if the function failed
(``run_error_handlers``).  ``commit`` applies the result.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from math import inf
from types import GeneratorType
from typing import TYPE_CHECKING, assert_never

import anyio

from .._definition.names import resolve_name
from .._plan.failure_policy import CallHandler, escalate, set_cause
from .._plan.plan import (
    NO_ITEM,
    NO_VALUES,
    Callback,
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
    RetryStep,
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
from .._util.text import safe_repr
from ..errors import (
    BarrierTimeoutError,
    ChildRunFailed,
    NoRouteError,
    PipelineCancelled,
    RetriesExhausted,
    StepAborted,
    StepTimeoutError,
    UnknownStepError,
)
from ..events import EventType
from ..meta import StepStatus, current_step_notes
from ..outcomes import PipelineTerminalStatus
from ..signals import Stop
from . import commit, routing
from .invocation import Invocation, TokenEmitter
from .invocation_state import InvocationState, ItemCheck
from .map_invocation import MapInvocation, open_map
from .map_step import give_up_reopened, run_map
from .messages import Expire, Start
from .protocols import InvocationIds
from .restore import ReopenedChild
from .run_state import ChildOutcome, RunState
from .user_code import (
    PendingCall,
    add_dead_letter,
    call_step_function,
    drive_in_context,
    drive_pending,
    failure_of,
    resolve_value,
    survives_native_cancel,
)


if TYPE_CHECKING:
    from .actor import Actor


async def run_child(invocation: Invocation, descend: StartChildRun) -> StepResult:
    """Run a child and return the step's result for the child's end."""
    outcome: ChildOutcome = await invocation.run_state.start_child(
        invocation, descend.pipe, descend.state
    )
    match outcome.status:
        case PipelineTerminalStatus.SUCCESS:
            return StopRun() if outcome.suspended else PROCEED
        case PipelineTerminalStatus.FAILED | PipelineTerminalStatus.TIMEOUT:
            error = outcome.error or ChildRunFailed(
                invocation.node.name, outcome.text or ""
            )
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
    return node.routes.get(value)


def _no_route_error(node: SwitchNode, value: object) -> NoRouteError:
    routes = list(node.routes) if isinstance(node.routes, Mapping) else []
    names = [safe_repr(route) for route in routes]
    close = difflib.get_close_matches(safe_repr(value), names, n=1, cutoff=0.6)
    hint = f" Did you mean {close[0]}?" if close else ""
    return NoRouteError(node.name, safe_repr(value), names, hint)


async def call_within_timeout(invocation: Invocation) -> StepResult:
    """Call the step's function within its timeout."""
    timeout = invocation.node.timeout
    with anyio.move_on_after(timeout) as limit:
        if timeout:
            invocation.limit = limit
        return await _call_step(invocation, limit)
    return FailStep(StepTimeoutError(invocation.node.name, timeout or 0))


async def _call_step(invocation: Invocation, limit: anyio.CancelScope) -> StepResult:
    if failpoints.active is not None:
        try:
            await failpoints.active.reach(
                Seam.CALL, invocation.run_state.run_id, invocation.node.name
            )
        except BaseException as error:  # noqa: ASYNC103, BLE001 - the engine's own errors are re-raised
            return _failure(invocation, error)  # noqa: ASYNC104
    return begin_call(invocation) or await finish_call(invocation, limit)


def begin_call(invocation: Invocation) -> StepResult | None:
    """Call the step's function; return None if its return value has to be awaited.

    Most functions neither wait nor return a stream, so this call is all they need.
    """
    run_state, node, item = (
        invocation.run_state,
        invocation.actor.node,
        invocation.message.item,
    )
    if run_state.journal is not None:
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
        return _failure(invocation, error)  # noqa: ASYNC104
    if value is None and isinstance(node, StepNode) and not node.is_collected:
        return PROCEED
    invocation.returned = value
    return None


async def finish_call(
    invocation: Invocation, limit: anyio.CancelScope | None = None
) -> StepResult:
    """Wait for the value of the step's function and return the step's result."""
    node, value = invocation.node, invocation.returned
    invocation.returned = None
    try:
        if isinstance(value, PendingCall):
            value = await _drive(invocation, value)
            invocation.coroutine = None
        elif invocation.run_state.journal is not None and isinstance(
            value, MapInvocation | ReopenedChild
        ):
            return await _go_on(invocation, value, limit)
        if value is not None:
            value = await _resolve_value(
                invocation, value, keep=isinstance(node, MapNode)
            )
        if invocation.isolated is not None and isinstance(node, SwitchNode):
            invocation.isolated.commit_function()
        answer = _known_target(invocation, _interpret_value(invocation, value))
        if isinstance(answer, StartMap | StartChildRun):
            answer = await _carry_out(invocation, answer, limit)
    except BaseException as error:  # noqa: ASYNC103, BLE001 - the engine's own errors are re-raised
        return _failure(invocation, error)  # noqa: ASYNC104
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


def _interpret_handled(invocation: Invocation, value: object) -> StepResult:
    """Return the meaning of what a handler answered; None mends without a value."""
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
    return CollectValue(value, [journal.dump_result(name, value)])


def _known_target(invocation: Invocation, answer: StepResult) -> StepResult:
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


def _drive(invocation: Invocation, pending: PendingCall) -> Awaitable[object]:
    """Return an awaitable that runs a started function to its value."""
    invocation.coroutine = pending.coroutine
    return drive_pending(
        invocation.variables,
        pending.coroutine,
        pending.trap,
        _resume_failpoint(invocation),
    )


async def _resolve_value(
    invocation: Invocation, result: object, *, keep: bool = False
) -> object:
    """Await the return value of a function; ``keep`` returns streams unread."""
    is_stream = hasattr(result, "__anext__") or isinstance(result, GeneratorType)
    if not (hasattr(result, "__await__") or (is_stream and not keep)):
        return result
    invocation.coroutine = resolve_value(
        result, None if keep else TokenEmitter(invocation)
    )
    try:
        return await drive_in_context(
            invocation.variables, invocation.coroutine, _resume_failpoint(invocation)
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


async def _carry_out(
    invocation: Invocation, answer: StepResult, limit: anyio.CancelScope | None = None
) -> StepResult:
    """Carry out the results that take time: a map, a child run.

    A step's timeout bounds the child of a sub.  Of a map it bounds only the source of
    the items, so the map gets the remaining seconds and the scope's deadline is lifted.
    """
    if invocation.isolated is not None and isinstance(answer, StartMap | StartChildRun):
        items = answer.items if isinstance(answer, StartMap) else None
        invocation.isolated.commit_before(items)
    match answer:
        case StartMap():
            budget = None
            if limit is not None:
                budget = limit.deadline - invocation.run_state.system.now()
                limit.deadline = inf
            return await run_map(open_map(invocation, answer, budget))
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
    invocation.level = reopened.level
    if reopened.level:
        invocation.status = StepStatus.ERROR
    if isinstance(reopened, MapInvocation):
        if limit is not None:
            limit.deadline = inf
        return await run_map(reopened)
    node = invocation.node
    pipe: object = reopened.pipe
    if isinstance(node, SubNode) and not reopened.level:
        pipe = node.child
    return await run_child(invocation, StartChildRun(pipe, reopened))


# -- error handlers


async def run_error_handlers(invocation: Invocation, answer: StepResult) -> StepResult:
    """Call the error handlers, the step's first, until one succeeds or none is left."""
    handlers = (invocation.node.on_error, invocation.run_state.plan.on_error)
    level = invocation.level
    while True:
        if isinstance(answer, RetryStep) and _is_exhausted(invocation):
            answer = FailStep(
                RetriesExhausted(
                    invocation.node.name, invocation.run_state.plan.max_retries
                )
            )
        if not isinstance(answer, FailStep):
            return answer
        invocation.status = StepStatus.ERROR
        if isinstance(answer.error, StepAborted):
            return answer
        verdict = escalate(answer.error, level, handlers)
        if not isinstance(verdict, CallHandler):
            return answer
        invocation.level = level = verdict.level
        answer = await _call_handler(invocation, verdict.handler, answer.error)


def _is_exhausted(invocation: Invocation) -> bool:
    return invocation.ids.attempt >= max(invocation.run_state.plan.max_retries, 1)


async def _call_handler(
    invocation: Invocation, handler: Callback, error: Exception
) -> StepResult:
    invocation.notes.open = False
    try:
        if failpoints.active is not None:
            await failpoints.active.reach(
                Seam.HANDLE, invocation.run_state.run_id, invocation.node.name
            )
        values = CallValues(error=error, step_name=invocation.node.name)
        run_state = invocation.run_state
        source = run_state if run_state.isolation is None else isolated(invocation)
        arguments = handler.bind(source, values)
        value = invocation.variables.run(call_step_function, handler.func, arguments)
        if isinstance(value, PendingCall):
            value = await _drive(invocation, value)
            invocation.coroutine = None
        if value is not None:
            value = await _resolve_value(invocation, value)
        answer = _interpret_handled(invocation, value)
        return await _carry_out(invocation, _known_target(invocation, answer))
    except BaseException as raised:  # noqa: ASYNC103 - the engine's own errors are re-raised
        failure = failure_of(invocation, raised)
        if failure is None:
            raise
        set_cause(failure.error, error)
        return failure  # noqa: ASYNC104


def isolated(invocation: Invocation) -> InvocationState:
    """Return the ``InvocationState`` of an invocation; made at the first call."""
    found = invocation.isolated
    if found is None:
        run_state = invocation.run_state
        assert run_state.isolation is not None
        found = InvocationState(run_state, run_state.isolation, invocation.node)
        item = invocation.message.item
        if run_state.plan.warns_of_items and item is not NO_ITEM:
            found.item_check = ItemCheck(item)
        invocation.isolated = found
        if invocation.node.has_state_tries:
            invocation.variables.run(current_start_try.set, found.start_try)
    return found


async def commit_state(invocation: Invocation, answer: StepResult) -> StepResult:
    """Commit the invocation's copy of the state, if any; return the step's result."""
    state = invocation.isolated
    if state is None:
        return answer
    result = state.commit(answer)
    return answer if result is answer else await recommit(invocation, result)


async def recommit(invocation: Invocation, failed: StepResult) -> StepResult:
    """Call the handlers, on a fresh copy, for changes that could not be merged.

    Args:
        invocation: the invocation that made the changes.
        failed: the failure; a second one is final.
    """
    state = invocation.isolated
    assert state is not None
    if state.has_conflicted:
        return failed
    state.has_conflicted = True
    invocation.level = 0  # a handler that handled another failure is asked again
    return state.commit(await run_error_handlers(invocation, failed))


async def execute(  # noqa: C901, PLR0912, PLR0915 - the life of an invocation, in order
    run_state: RunState, actor: Actor, message: Start, scope: anyio.CancelScope
) -> None:
    """Run one invocation and release everything that it holds.

    From ``commit_result`` to the end nothing waits.  The dispatcher task is about to be
    free, so messages put meanwhile wake no other task (``suppress_wakeup``).
    """
    node = actor.node
    invocation = Invocation(
        run_state, actor, message, scope, run_state.variables.copy()
    )
    run_state.active_invocations.add(invocation)
    run_state.metrics.count_task_start()
    try:
        if failpoints.active is not None:
            await failpoints.active.reach(Seam.TAKE, run_state.run_id, node.name)
        if run_state.publisher.backpressure.is_full:
            await invocation.wait_writable()
        invocation.variables.run(_begin_invocation, invocation)
        if node.timeout or failpoints.active is not None:
            answer = await call_within_timeout(invocation)
        else:
            answer = begin_call(invocation) or await finish_call(invocation)
        if run_state.journal is not None and message.id in (
            run_state.journal.reopened_maps
        ):
            answer = await give_up_reopened(invocation, answer)
        if answer is not PROCEED:
            answer = await run_error_handlers(invocation, answer)
        if failpoints.active is not None:
            await failpoints.active.reach(Seam.SETTLE, run_state.run_id, node.name)
        if invocation.isolated is not None:
            result = invocation.isolated.commit(answer)
            if result is not answer:
                answer = await recommit(invocation, result)
        actor.dispatcher.suppress_wakeup = True
        commit.commit_result(invocation, answer)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - re-raised unless the task can go on
        if not survives_native_cancel(run_state, message):
            raise
    except BaseException as error:  # noqa: BLE001 - a defect of the engine ends this run only
        add_dead_letter(run_state, message, error)
    finally:
        invocation.notes.open = False
        if invocation.isolated is not None:
            invocation.isolated.close()
        run_state.active_invocations.discard(invocation)
        if message.map_id is not None and not invocation.retried:
            commit.release_map_slot(invocation)
        run_state.metrics.completed += 1
        routing.finish_message(run_state, message)


def _begin_invocation(invocation: Invocation) -> None:
    """Give it its ids and publish STEP_START; called in the step's context.

    The notes are found by a variable of that context, and so is what a witness sets.
    """
    run_state, message, node = (
        invocation.run_state,
        invocation.message,
        invocation.actor.node,
    )
    invocation_id = f"{run_state.run_id}:{message.id}"
    owner = message.owner or message.map_id or invocation_id
    ids = invocation.ids = InvocationIds(
        invocation_id, message.cause, owner, message.attempt, message.scope
    )
    invocation.began = run_state.system.now()
    if message.map_id and message.attempt == 1:
        run_state.metrics.count_worker_start()
    notes = invocation.notes
    notes.about = node.name, invocation_id, message.attempt
    current_step_notes.set(notes)
    run_state.publisher.publish(EventType.STEP_START, node.name, None, node.kind, ids)


async def execute_expiry(
    run_state: RunState, actor: Actor, message: Expire, scope: anyio.CancelScope
) -> None:
    """Call the error handlers of a join that has timed out."""
    start = Start(run_state.run_id, message.step, message.wave, id=message.id)
    invocation = Invocation(run_state, actor, start, scope, run_state.variables.copy())
    invocation.began = run_state.system.now()
    invocation.notes.open = False
    run_state.active_invocations.add(invocation)
    run_state.metrics.count_task_start()
    try:
        node = actor.node
        late = BarrierTimeoutError(node.name, message.missing, message.seconds)
        answer: StepResult = FailStep(late)
        if run_state.journal is not None:
            invocation.returned = run_state.journal.reopen(invocation)
            if invocation.returned is not None:
                answer = await finish_call(invocation)
        answer = await run_error_handlers(invocation, answer)
        answer = await commit_state(invocation, answer)
        commit.commit_expiry(invocation, answer)
    except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - re-raised unless the task can go on
        if not survives_native_cancel(run_state, message):
            raise
    except BaseException as error:  # noqa: BLE001 - a defect of the engine ends this run only
        add_dead_letter(run_state, message, error)
    finally:
        if invocation.isolated is not None:
            invocation.isolated.close()
        run_state.active_invocations.discard(invocation)
        run_state.metrics.completed += 1
        routing.finish_message(run_state, message)
