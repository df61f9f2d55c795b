"""Execute one invocation: from its message to the release of its token.

It calls the step's function, then the error handlers if the function failed
(``run_error_handlers``).  ``commit`` applies the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from .. import _engine
from .._plan.failure_policy import CallHandler, escalate, set_cause
from .._plan.plan import (
    Callback,
    CallValues,
)
from .._plan.step_results import (
    PROCEED,
    FailStep,
    RetryStep,
    StepResult,
)
from .._publishing.invocation_ids import InvocationIds
from .._publishing.lazy_events import STEP_START
from .._util import failpoints
from .._util.failpoints import Seam
from ..errors import (
    BarrierTimeoutError,
    RetriesExhausted,
    StepAborted,
)
from ..meta import StepStatus, current_step_notes
from . import commit, routing
from .blocking import check_since
from .invocation import Invocation
from .messages import Expire, Start
from .run_state import RunState
from .step_call import (
    begin_call,
    call_within_timeout,
    carry_out,
    drive,
    finish_call,
    interpret_handled,
    isolated,
    known_target,
    resolve_step_value,
)
from .user_code import (
    PendingCall,
    add_dead_letter,
    call_step_function,
    failure_of,
    survives_native_cancel,
)


if TYPE_CHECKING:
    from .actor import Actor


_set_step_notes = current_step_notes.set


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
        item = invocation.message.item
        values = CallValues(item, error, invocation.node.name)
        run_state = invocation.run_state
        source = run_state if run_state.isolation is None else isolated(invocation)
        arguments = handler.bind(source, values)
        since = run_state.system.now()
        try:
            value = invocation.variables.run(
                call_step_function, handler.func, arguments
            )
        finally:
            check_since(invocation, since, "The error handler of step")
        if isinstance(value, PendingCall):
            value = await drive(invocation, value, None)
            invocation.coroutine = None
        if value is not None:
            value = await resolve_step_value(invocation, value)
        answer = interpret_handled(invocation, value)
        return await carry_out(invocation, known_target(invocation, answer))
    except BaseException as raised:  # noqa: ASYNC103 - the engine's own errors are re-raised
        failure = failure_of(invocation, raised)
        if failure is None:
            raise
        set_cause(failure.error, error)
    return failure


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
    metrics = run_state.metrics
    metrics.started = started = metrics.started + 1
    if started - metrics.completed > metrics.peak:  # perf: ``count_task_start``
        metrics.peak = started - metrics.completed
    try:
        if failpoints.active is not None:
            await failpoints.active.reach(Seam.TAKE, run_state.run_id, node.name)
        if run_state.publisher.backpressure.is_full:
            await invocation.wait_writable()
        _begin_invocation(invocation)
        if node.timeout or failpoints.active is not None:
            answer = await call_within_timeout(invocation)
        else:
            answer = begin_call(invocation) or await finish_call(invocation)
        if run_state.journal is not None and message.id in (
            run_state.journal.maps.reopened
        ):
            answer = await _engine.map_step.give_up_reopened(invocation, answer)
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
    """Give it its ids, and publish STEP_START."""
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
    variables, publisher = invocation.variables, run_state.publisher
    variables.run(_set_step_notes, notes)
    if publisher.may_be_witnessed:  # in the context variables of the step
        variables.run(publisher.publish, STEP_START, node.name, None, node.kind, ids)
    else:
        publisher.publish(STEP_START, node.name, None, node.kind, ids)


async def execute_expiry(
    run_state: RunState, actor: Actor, message: Expire, scope: anyio.CancelScope
) -> None:
    """Call the error handlers of a join that has timed out."""
    start = Start(run_state.run_id, message.step, message.wave, id=message.id)
    invocation = Invocation(run_state, actor, start, scope, run_state.variables.copy())
    invocation.began = run_state.system.now()
    notes = invocation.notes
    notes.open, notes.about = False, (message.step, f"{run_state.run_id}:{start.id}", 1)
    invocation.variables.run(_set_step_notes, notes)
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
