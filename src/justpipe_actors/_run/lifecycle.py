"""The life of one run, from its first event to FINISH.

::

observers are told of the start -> startup hooks -> START
      -> [ actors work; ends when the run holds no token ]
      -> TIMEOUT? -> shutdown hooks -> observers drained -> FINISH

The three lines are ``start_run``, ``run_steps`` and ``shut_down``.
``execute_run`` raises only its owner's cancellation.  Any other error is in FINISH, or
is raised at the consumer after FINISH.  The part in brackets can be interrupted.  What
comes after it is shielded, because the shutdown hooks must run in any case, after the
steps' own cleanup.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from math import inf
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from .._backends import Group
from .._engine import routing
from .._engine.actor_system import ActorSystem
from .._engine.isolation import IsolatedState
from .._engine.run_waits import waits_of
from .._engine.user_code import (
    OWNER_CANCELLED,
    TASK_CANCELLED,
    call,
    classify_exception,
    resolve_value,
)
from .._plan.failure_policy import Failure
from .._plan.plan import Callback, CallValues
from .._plan.resource_injection import current_provider
from .._supervision.resource_pool import ResourcePool
from .._util import failpoints
from .._util.failpoints import Seam
from .._util.interrupts import enable_ki_protection
from .._util.sync import do_nothing, wait_and_report
from .._util.text import safe_str
from ..errors import (
    EmptyPipelineError,
    HookTimeoutError,
    ResourceUnavailable,
    StateNotCopyable,
)
from ..events import EventType
from ..failures import FailureClassificationConfig, FailureKind, FailureReason
from ..meta import current_run_notes
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from ..waiting import current_waiting
from .durable_run import (
    begin_restored,
    finish_release,
    is_released,
    publish_beginning,
    store_end,
)
from .final_status import RunFigures, build_end_data
from .lazy_events import LazyEvent, built
from .loop_resources import loop_resources
from .run import (
    GRACE_SECONDS,
    REQUESTED_ENDS,
    GracePeriod,
    Run,
    enclosing_runs,
    log_held_up,
)


if TYPE_CHECKING:
    from anyio.abc import TaskGroup


async def call_hook(run: Run, hook: Callback, kind: FailureKind) -> bool:
    """Call a hook and return whether it succeeded."""
    try:
        if failpoints.active is not None:
            await failpoints.active.reach(Seam.HOOK, run.run_state.run_id, hook.name)
        result = call(hook.func, hook.bind(run.run_state, CallValues()))
        if isawaitable(result):
            watch_owner(run)
        await resolve_value(result, None)
    except BaseException as error:  # noqa: ASYNC103 - the engine's own errors are re-raised
        culprit = classify_exception(error, hook.name, run.loop.is_task_cancelled)
        if culprit is None:
            raise
        if isinstance(culprit, Exception):
            add_hook_failure(run, kind, culprit)
        else:
            run.crash(culprit)
    else:
        return True
    return False


def watch_owner(run: Run) -> None:
    """Start a task outside the shield: inside, the owner's cancellation is not seen."""
    if run.reachable_tasks is not None and run.grace_period is not None:
        start = partial(run.loop.start_in, run.reachable_tasks)
        run.grace_period.start_watch(start, partial(_owner_cancelled, run))


def _owner_cancelled(run: Run) -> None:
    run.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)


def add_hook_failure(run: Run, kind: FailureKind, error: Exception) -> None:
    reason = (
        FailureReason.STARTUP_HOOK_ERROR
        if kind is FailureKind.STARTUP
        else FailureReason.SHUTDOWN_HOOK_ERROR
    )
    run.run_state.failures.add(Failure(kind, reason, error))
    run.publisher.publish(EventType.STEP_ERROR, kind.value, safe_str(error))


async def start_run(run: Run, tasks: Group | None) -> bool:
    """Start the run up to START; return whether its steps are to run."""
    plan, run_state = run.request.plan, run.run_state
    if plan.startup or plan.eager_resources or run.publisher.observers.may_block_finish:
        with anyio.CancelScope() as run.scope:
            await _start_up(run, tasks)
    elif tasks is not None:
        run.publisher.observers.start(tasks)
    is_over = run.released is not None or run_state.termination is not None
    if is_over or run_state.failures:
        return False
    if not plan.nodes and run.request.start is None:
        _report_empty_pipeline(run)
        return False
    if run_state.journal is None:
        run.publisher.publish(EventType.START, "system", run.request.state)
    else:
        publish_beginning(run, run_state.journal)
    return run_state.termination is None


async def _start_up(run: Run, tasks: Group | None) -> None:
    if tasks is not None:
        await run.publisher.observers.open(tasks)
    if run.run_state.termination is not None:
        return
    if run.request.plan.eager_resources and not await _open_eager_resources(run):
        return
    for hook in run.request.plan.startup:
        if not await call_hook(run, hook, FailureKind.STARTUP):
            return
    if run.request.plan.startup and run.run_state.isolation is not None:
        _check_again(run, run.run_state.isolation)


def _check_again(run: Run, isolation: IsolatedState) -> None:
    """Check the state again: objects that hooks put there must be copyable, too."""
    try:
        isolation.check()
    except StateNotCopyable as error:
        add_hook_failure(run, FailureKind.STARTUP, error)


async def _open_eager_resources(run: Run) -> bool:
    """Open the eager resources before any step runs; an error is a startup failure."""
    owner = run.resources or (run.system.resources if run.system else None)
    assert owner is not None
    try:
        await owner.open(run.request.plan.eager_resources)
    except ResourceUnavailable as error:
        add_hook_failure(run, FailureKind.STARTUP, error)
        return False
    return True


def _report_empty_pipeline(run: Run) -> None:
    error = EmptyPipelineError(run.request.plan.name)
    run.run_state.failures.add(
        Failure(FailureKind.VALIDATION, FailureReason.NO_STEPS, error)
    )
    run.publisher.publish(EventType.STEP_ERROR, "system", safe_str(error))


async def shut_down(run: Run) -> None:
    """Call the shutdown hooks and publish FINISH, shielded from cancellation."""
    if run.request.plan.shutdown or run.publisher.observers.may_block_finish:
        async with anyio.create_task_group() as own:
            await _shut_down_with_grace(run, own)
        # The shield has held back a cancellation of the owner: deliver it now.
        await anyio.lowlevel.checkpoint_if_cancelled()
    elif (
        run.publisher.observers.members
        or failpoints.active is not None
        or run.run_state.journal is not None
    ):
        with anyio.CancelScope(shield=True):
            await _begin_shutdown(run)
            await _finish(run)
    else:
        await _begin_shutdown(run)
        await _finish(run)


async def _shut_down_with_grace(run: Run, tasks: TaskGroup) -> None:
    """Shut the run down with a grace period: hooks and observers may never return."""
    grace_period = run.grace_period = GracePeriod(run.run_state.run_id, run.loop.now)
    termination = run.run_state.termination
    is_requested = termination is not None and termination.status in REQUESTED_ENDS
    if is_requested or run.end_requested:
        grace_period.start()
    run.reachable_tasks = tasks
    with anyio.CancelScope(shield=True):
        try:
            await _begin_shutdown(run)
            await _finish(run)
        finally:
            await grace_period.end_watch()  # noqa: ASYNC102 - ends at once


async def _begin_shutdown(run: Run) -> None:
    termination = run.run_state.termination
    try:
        if failpoints.active is not None:
            await failpoints.active.reach(Seam.WIND_UP, run.run_state.run_id, "system")
        if (
            termination is not None
            and termination.status is PipelineTerminalStatus.TIMEOUT
        ):
            run.publisher.publish(EventType.TIMEOUT, "system", termination.reason)
        if run.request.plan.shutdown:
            await _call_shutdown_hooks(run)
    except Exception as error:  # noqa: BLE001 - the run still has to publish FINISH
        run.crash(error)


async def _call_shutdown_hooks(run: Run) -> None:
    assert run.grace_period is not None
    for hook in run.request.plan.shutdown:
        with run.grace_period.limit(f"shutdown hook '{hook.name}'") as limit:
            await call_hook(run, hook, FailureKind.SHUTDOWN)
        if limit.cancelled_caught:
            late = HookTimeoutError(hook.name, GRACE_SECONDS)
            add_hook_failure(run, FailureKind.SHUTDOWN, late)


async def _finish(run: Run) -> None:
    sink = run.publisher.sink
    journal = run.run_state.journal
    if journal is not None and await is_released(run, journal):
        await run.publisher.observers.release()
        return
    run.run_state.metrics.peak_buffered = sink.peak_length
    finish, end = _build_finish(run)
    if journal is not None and not journal.prefix and not await store_end(run, end):
        run.end = None
        sink.end()
        return
    run.publisher.observe(finish)
    try:
        await _finish_observers(run, end)
    finally:  # even if the task was cancelled meanwhile: the run's end is known
        run.publisher.put_finish(finish)


async def _finish_observers(run: Run, end: PipelineEndData) -> None:
    """Wait until all observers were told of the end."""
    observers = run.publisher.observers
    if run.grace_period is None:
        await observers.finish_alone(end)
        return
    has_failed = end.status is PipelineTerminalStatus.FAILED
    failure = _primary_error(run) if has_failed else None
    run.grace_period.restart()
    limit = run.grace_period.limit("observers")
    if observers.may_block_finish:
        watch_owner(run)
    await observers.finish(end, failure, limit)


def _build_finish(run: Run) -> tuple[LazyEvent, PipelineEndData]:
    """Build FINISH; an error in a hook for it fails the run, and is in the result."""
    before = run.run_state.abort_error
    end = run.end = _build_end_data(run)
    meta = run.notes.snapshot() or None
    finish = run.publisher.new_finish(end, meta)
    if run.run_state.abort_error is not before:
        end = run.end = _build_end_data(run)
        finish = replace(built(finish), payload=end)
    return finish, end


def _build_end_data(run: Run) -> PipelineEndData:
    run_state = run.run_state
    config = run_state.plan.classification
    figures = RunFigures(run.age, run_state.metrics.snapshot(), run_state.diagnostics)
    try:
        return build_end_data(
            run_state.termination, run_state.failures, config, figures
        )
    except BaseException as error:  # noqa: BLE001, ASYNC103 - the classifier wants more
        run.crash(error)
    config = FailureClassificationConfig()
    termination, failures = run_state.termination, run_state.failures
    return build_end_data(termination, failures, config, figures)


def _primary_error(run: Run) -> Exception:
    primary = run.run_state.failures.primary
    return primary.error if primary else RuntimeError("unknown failure")


_logger = logging.getLogger("justpipe_actors")


MAX_SERVED_DEPTH = 16
"""Depth of nested runs from which a run leaves its steps to dispatcher tasks."""


async def run_steps(run: Run, system: ActorSystem) -> None:
    """Process the run's messages until it holds no token, or has to end."""
    run_state = run.run_state
    run_state.variables = copy_context()
    run_state.system = system
    system.add_run(run_state)
    run.is_working = True
    try:
        if _begin_steps(run, system):
            try:
                await system.dispatcher.serve(run_state.run_id)
            finally:
                _end_serving(run)
        if failpoints.active is not None:
            await failpoints.active.reach(Seam.QUIET, run_state.run_id, "system")
        if not run_state.needs_attention.is_set():
            await _wait_within_timeout(run)
        if run.released is not None:
            await finish_release(run)
        await _wait_cleanup(run)
    except anyio.get_cancelled_exc_class():
        _interrupt(run)
        await _wait_cleanup(run)  # noqa: ASYNC102
        raise
    except Exception as error:  # noqa: BLE001 - a defect of the engine ends this run only
        run_state.crash(error)
        await _wait_cleanup(run)
    finally:
        run.is_working = False
        system.remove_run(run_state)
        if system is not run.system:
            system.dispatcher.release_idle_tasks()


def _begin_steps(run: Run, system: ActorSystem) -> bool:
    """Start the first steps; return whether the run's own task is to process them.

    The run's task processes messages as long as only this run has any.  A step that
    waits then blocks the run's task only, which would wait for the step anyway.  A run
    with a timeout leaves its steps to the dispatcher tasks, because its task has to
    watch the time.  So does a durable run.  So does a deeply nested run, because its
    steps would be calls within the calls of all runs around it.
    """
    journal = run.run_state.journal
    if journal is not None and journal.saved is not None:
        begin_restored(run, journal, _start_roots)
        return False
    is_deep = run.depth >= MAX_SERVED_DEPTH
    if run.request.timeout is not None or journal is not None or is_deep:
        _start_roots(run)
        return False
    system.dispatcher.suppress_wakeup = True
    try:
        _start_roots(run)
    finally:
        system.dispatcher.suppress_wakeup = False
    run.run_state.on_interrupt = partial(_watch_cleanup, run)
    return True


def _start_roots(run: Run) -> None:
    run_state, plan, start = run.run_state, run.request.plan, run.request.start
    wave = run_state.open_wave()
    wave.live_count += 1
    run_state.acquire_token()
    try:
        for root in plan.roots if start is None else (start,):
            routing.start_step(run_state, root, wave)
    finally:
        wave.live_count -= 1
        run_state.release_token()


def _end_serving(run: Run) -> None:
    run.run_state.on_interrupt = do_nothing  # the run's own task notices
    if run.cleanup_watch is not None:
        run.cleanup_watch.cancel()


def _watch_cleanup(run: Run) -> None:
    """Watch the clean-up in another task: the run's own task is inside a step."""
    if run.loop.is_in_task():
        run.cleanup_watch = anyio.CancelScope()
        run.run_state.system.spawn(_wait_idle_within, run, run.cleanup_watch)


async def _wait_idle_within(run: Run, scope: anyio.CancelScope) -> None:
    with scope:  # it may be quiet by now
        await _wait_idle(run)


async def _wait_within_timeout(run: Run) -> None:
    """Wait until the steps are done or cancelled, or end the run at its timeout."""
    if run.request.timeout is None:
        await run.run_state.needs_attention.wait()
        return
    with anyio.move_on_after(run.request.timeout):
        await run.run_state.needs_attention.wait()
    if not run.run_state.needs_attention.is_set():
        _time_out(run)


def _time_out(run: Run) -> None:
    text = f"Run timed out after {run.request.timeout:g}s"
    run.run_state.interrupt(PipelineTerminalStatus.TIMEOUT, text)


def _interrupt(run: Run) -> None:
    """End the run as cancelled from outside; keep an earlier reason if there is one."""
    is_owner = anyio.current_effective_deadline() == -inf
    reason = (
        OWNER_CANCELLED if is_owner or run.loop.is_task_cancelled() else TASK_CANCELLED
    )
    termination = run.run_state.set_termination(
        PipelineTerminalStatus.CANCELLED, reason
    )
    run.run_state.interrupt(termination.status, termination.reason)


async def _wait_cleanup(run: Run) -> None:
    """Wait until every invocation has cleaned up."""
    if run.run_state.tokens:
        with anyio.CancelScope(shield=True):
            await _wait_idle(run)


async def _wait_idle(run: Run) -> None:
    """Wait until the run holds no token; log the token holders when that takes long."""
    run_state = run.run_state

    def report() -> None:
        holders = (f"{name} x{count}" for name, count in run_state.holders.items())
        log_held_up(run_state.run_id, ", ".join(holders))

    await wait_and_report(run_state.idle.wait, lambda: not run_state.tokens, report)


@enable_ki_protection
async def execute_run(run: Run) -> None:
    """Execute the run from its first event to FINISH."""
    run.began = run.loop.now()
    current_run_notes.set(run.notes)
    current_waiting.set(partial(waits_of, run.run_state))
    enclosing_runs.set((run.request.run_id, *enclosing_runs.get()))
    try:
        if run.system is None or run.publisher.observers.members:
            async with run.loop.open_group() as tasks:
                try:
                    await _run_with_resources(run, tasks)
                finally:
                    run.publisher.observers.abandon()
        else:
            current_provider.set(run.system.resources)
            await _run_phases(run, None)
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:  # noqa: BLE001 - raised at the consumer
        run.crash(error)
    finally:
        if not run.is_parked:
            run.publisher.sink.end()
        run.done.set()
        run.publisher.release_run()
        on_done, run.on_done = run.on_done, None
        if on_done is not None:
            on_done()
        if run.has_no_consumer:
            run.report_abort_error()


async def _run_with_resources(run: Run, tasks: Group) -> None:
    """Run with the actor system's resources, else with resources of the run's own."""
    if run.system is not None:
        current_provider.set(run.system.resources)
        await _run_phases(run, tasks)
        return
    variables = copy_context()

    def spawn(func: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
        # Else a resource would have the context variables of the first step that asks.
        variables.copy().run(tasks.start, func, *args)

    own = run.resources = ResourcePool(spawn, run.loop.now, longer_lived=loop_resources)
    current_provider.set(own)
    try:
        await _run_phases(run, tasks)
    finally:
        if own.stop_opening():
            with anyio.CancelScope(shield=True):  # ``aclose`` logs slow resources
                await own.aclose()


async def _run_phases(run: Run, tasks: Group | None) -> None:
    try:
        if await start_run(run, tasks):
            await run_steps(run, run.system or _new_system(run, tasks))
    except anyio.get_cancelled_exc_class():
        run.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)
        await shut_down(run)  # noqa: ASYNC102 - shielded where it waits
        raise
    except BaseException as error:  # noqa: BLE001 - raised at the consumer
        run.crash(error)
    await shut_down(run)


def _new_system(run: Run, tasks: Group | None) -> ActorSystem:
    assert tasks is not None
    assert run.resources is not None
    return ActorSystem(
        tasks.start,
        run.loop.now,
        run.loop.watch_task(),
        new_signal=run.loop.new_signal,
        resources=run.resources,
    )
