"""The middle of one run: its actors work until the run holds no token, or has to end.

The phase ends early at the run's timeout, at a cancellation from outside, and when the
run is released.  Then it waits until every invocation has cleaned up.
"""

from __future__ import annotations

from contextvars import copy_context
from math import inf

import anyio

from .. import _run
from .._engine import routing
from .._engine.actor_system import ActorSystem
from .._util import failpoints
from .._util.failpoints import Seam
from .._util.sync import bound, do_nothing, wait_and_report
from .._util.user_errors import OWNER_CANCELLED, TASK_CANCELLED
from ..outcomes import PipelineTerminalStatus
from .grace_period import log_held_up
from .run import Run


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
            await _run.durable_run.finish_release(run)
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
    """Start the first steps; return whether the run's own task must process them.

    The run's task processes messages as long as only this run has any.  A step that
    waits then blocks the run's task only, which would wait for the step anyway.  A run
    with a timeout leaves its steps to the dispatcher tasks, because its task has to
    watch the time.  So does a durable run.  So does a deeply nested run, because its
    steps would be calls within the calls of all runs around it.
    """
    journal = run.run_state.journal
    if journal is not None and journal.saved is not None:
        _run.durable_run.begin_restored(run, journal, _start_roots)
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
    run.run_state.on_interrupt = bound(_watch_cleanup, run)
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
    run.run_state.on_interrupt = do_nothing  # this task waits itself
    if run.cleanup_watch is not None:
        run.cleanup_watch.cancel()


def _watch_cleanup(run: Run) -> None:
    """Watch the cleanup in another task: the run's own task is inside a step."""
    if run.loop.is_in_task():
        run.cleanup_watch = anyio.CancelScope()
        run.run_state.system.spawn(_wait_idle_within, run, run.cleanup_watch)


async def _wait_idle_within(run: Run, scope: anyio.CancelScope) -> None:
    with scope:  # ``_end_serving`` cancels it
        await _wait_idle(run)


async def _wait_within_timeout(run: Run) -> None:
    """Wait until the steps are done or cancelled, or end the run at its timeout."""
    timeout, left = run.request.timeout, run.request.time_left
    if timeout is None:
        await run.run_state.needs_attention.wait()
        return
    with anyio.move_on_after(timeout if left is None else left) as run.time_limit:
        await run.run_state.needs_attention.wait()
    if run.run_state.needs_attention.is_set():
        return
    if _run.durable_run.is_being_parked(run):
        await run.run_state.needs_attention.wait()  # the next owner ends it
    else:
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
