"""The end of one run: shutdown hooks, FINISH, and the ends of its observers.

It runs in any case, after the steps' own cleanup, and is shielded from cancellation.
Hooks and observers may never return, so a grace period bounds them once the end of the
run was requested.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from .. import _run
from .._publishing.lazy_events import LazyEvent, built
from .._util import failpoints
from .._util.failpoints import Seam
from ..errors import (
    HookTimeoutError,
)
from ..events import EventType
from ..failures import FailureClassificationConfig, FailureKind
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .final_status import RunFigures, build_end_data
from .grace_period import GRACE_SECONDS, GracePeriod
from .hooks import add_hook_failure, call_hook, log_hook_failure, watch_owner
from .run import (
    REQUESTED_ENDS,
    Run,
)


if TYPE_CHECKING:
    from anyio.abc import TaskGroup


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
            log_hook_failure(run, hook.name, FailureKind.SHUTDOWN, late)
            add_hook_failure(run, FailureKind.SHUTDOWN, late)


async def _finish(run: Run) -> None:
    sink = run.publisher.sink
    journal = run.run_state.journal
    if journal is not None and await _run.durable_run.is_released(run, journal):
        await run.publisher.observers.release()
        return
    run.run_state.metrics.peak_buffered = sink.peak_length
    finish, end = _build_finish(run)
    if journal is not None and not journal.prefix:
        run.end = None  # it is published when it is stored
        stored = await _run.durable_run.store_end(
            run, end, lambda: _build_end_data(run)
        )
        run.end = stored
        if stored is None:
            sink.end()
            return
        if stored is not end:
            end, finish = stored, replace(built(finish), payload=stored)
    run.publisher.observe(finish)
    try:
        await _finish_observers(run, end)
    finally:  # even if the task was cancelled meanwhile: the run's end is known
        run.publisher.put_finish(finish)


async def _finish_observers(run: Run, end: PipelineEndData) -> None:
    """Wait until all observers have received the end."""
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
    run.is_ending = True
    meta = run.notes.snapshot() or None
    finish = run.publisher.new_finish(end, meta)
    if run.run_state.abort_error is not before:
        end = run.end = _build_end_data(run)
        finish = replace(built(finish), payload=end)
    return finish, end


def _build_end_data(run: Run) -> PipelineEndData:
    run_state = run.run_state
    config = run_state.plan.classification
    figures = RunFigures(run.age, run_state.metrics.report(), run_state.diagnostics)
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
