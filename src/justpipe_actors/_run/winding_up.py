"""The end of a run: its hooks are called, observers hear it out, FINISH is said.

All of it is shielded, because hooks must run after the steps' own cleanup whatever
happened; ``grace`` says for how long.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from .. import seams
from ..errors import HookTimeoutError
from ..events import Event, EventType
from ..failures import FailureClassificationConfig, FailureKind
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from ..seams import Seam
from .ending import Figures, conclude
from .grace import GRACE, WANTED_OVER, Grace
from .hooks import call_hook, hook_failed, watch_owner
from .run import Run


if TYPE_CHECKING:
    from anyio.abc import TaskGroup


async def wind_up(run: Run) -> None:
    """Call the shutdown hooks and say FINISH, whatever is being cancelled outside."""
    if run.order.plan.shutdown or run.voice.audience.is_patient:
        async with anyio.create_task_group() as own:
            await _close_down(run, own)
        # Whoever cancelled the owner meanwhile was not heard behind the shield.
        await anyio.lowlevel.checkpoint_if_cancelled()
    elif run.voice.audience.listeners or seams.active is not None:
        with anyio.CancelScope(shield=True):
            await _shut_down(run)
            await _finish(run)
    else:
        await _shut_down(run)
        await _finish(run)


async def _close_down(run: Run, tasks: TaskGroup) -> None:
    """Do so with a grace, for somebody may take for ever."""
    grace = run.grace = Grace(run.ledger.run_id, run.loop.now)
    ending = run.ledger.ending
    asked = ending is not None and ending.status in WANTED_OVER
    if asked or run.is_wanted_over:
        grace.ask()
    run.in_reach = tasks
    with anyio.CancelScope(shield=True):
        try:
            await _shut_down(run)
            await _finish(run)
        finally:
            await grace.end_watch()  # noqa: ASYNC102 - ends at once


async def _shut_down(run: Run) -> None:
    ending = run.ledger.ending
    try:
        if seams.active is not None:
            await seams.active.reach(Seam.WIND_UP, run.ledger.run_id, "system")
        if ending is not None and ending.status is PipelineTerminalStatus.TIMEOUT:
            run.voice.say(EventType.TIMEOUT, "system", ending.reason)
        if run.order.plan.shutdown:
            await _call_shutdown_hooks(run)
    except Exception as error:  # noqa: BLE001 - the run still has to say how it ended
        run.crash(error)


async def _call_shutdown_hooks(run: Run) -> None:
    assert run.grace is not None
    for hook in run.order.plan.shutdown:
        with run.grace.limit(f"shutdown hook '{hook.name}'") as limit:
            await call_hook(run, hook, FailureKind.SHUTDOWN)
        if limit.cancelled_caught:
            late = HookTimeoutError(hook.name, GRACE)
            hook_failed(run, FailureKind.SHUTDOWN, late)


async def _finish(run: Run) -> None:
    sink = run.voice.sink
    run.ledger.tally.depth = sink.depth
    finish, end = _word_finish(run)
    run.voice.audience.put(finish)
    try:
        await _hear_out(run, end)
    finally:  # even if the task was killed meanwhile: how the run ended is known
        sink.put(finish)
        sink.end()


async def _hear_out(run: Run, end: PipelineEndData) -> None:
    """Wait until all who listen have heard of the end."""
    audience = run.voice.audience
    if run.grace is None:
        await audience.finish_alone(end)
        return
    has_failed = end.status is PipelineTerminalStatus.FAILED
    failure = _cause(run) if has_failed else None
    run.grace.renew()
    limit = run.grace.limit("observers")
    if audience.is_patient:
        watch_owner(run)
    await audience.finish(end, failure, limit)


def _word_finish(run: Run) -> tuple[Event, PipelineEndData]:
    """Word FINISH; a hook that fails over it has failed the run."""
    before = run.ledger.aborted
    end = run.end = _conclude(run)
    meta = run.notes.snapshot() or None
    finish = run.voice.word(end, meta)
    if run.ledger.aborted is not before:
        end = run.end = _conclude(run)
        finish = replace(finish, payload=end)
    return finish, end


def _conclude(run: Run) -> PipelineEndData:
    ledger = run.ledger
    config = ledger.plan.classification
    figures = Figures(run.age, ledger.tally.metrics(), ledger.diagnostics)
    try:
        return conclude(ledger.ending, ledger.journal, config, figures)
    except BaseException as error:  # noqa: BLE001, ASYNC103 - the classifier wants more
        run.crash(error)
        config = FailureClassificationConfig()
        return conclude(ledger.ending, ledger.journal, config, figures)  # noqa: ASYNC104


def _cause(run: Run) -> Exception:
    primary = run.ledger.journal.primary
    return primary.error if primary else RuntimeError("unknown failure")
