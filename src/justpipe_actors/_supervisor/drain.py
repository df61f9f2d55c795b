"""How everybody leaves: let finish, then cancel, then say who does not go.

::

    close admission -> wait up to ``grace`` -> cancel the rest, with a reason
      -> wait up to ``grace`` for their cleanup -> report who is stuck

A task cannot be killed.  So ``drain`` reports a run that ignores its cancellation and
returns; whoever owns the tasks, the supervisor's block, still waits for it and says so
again and again.
"""

from __future__ import annotations

import logging

import anyio
import attrs

from .._util.sync import wait_and_report
from .admission import DRAINING, ActiveRuns
from .diagnostics import StuckRun, describe_stuck_run, fields_of
from .durable_runs import DurableRuns


MIN_CLEANUP_TIME = 1.0
"""Seconds that cleanup gets even when the grace is shorter."""

_logger = logging.getLogger("justpipe_actors.supervisor")


@attrs.frozen
class DrainReport:
    """How the runs that were at work when a drain began have ended."""

    completed: tuple[str, ...] = ()
    """Ids of those that ended by themselves, well or not."""
    cancelled: tuple[str, ...] = ()
    """Ids of those that were cancelled and have ended."""
    released: tuple[str, ...] = ()
    """Ids of durable runs that were let go; they go on elsewhere, or later."""
    stuck: tuple[StuckRun, ...] = ()
    """Those that were cancelled and still go on: who holds them, and where."""
    unread: tuple[str, ...] = ()
    """Ids of those that have ended and whose reader did not read FINISH in time."""


async def drain(
    active_runs: ActiveRuns,
    durable: DurableRuns | None,
    grace: float,
    reason: str,
    *,
    wait_for_readers: bool = False,
) -> DrainReport:
    """Empty a supervisor.

    Args:
        active_runs: its runs.
        durable: its durable runs, which are released.
        grace: seconds to finish, and as many again to clean up after cancellation.
        reason: what FINISH says of a run that did not finish in time.
        wait_for_readers: whether readers may read to FINISH within the grace.
    """
    active_runs.admission.close(DRAINING)
    present = [*active_runs.runs, *(active_runs.unread() if wait_for_readers else ())]
    if durable is not None:
        durable.release_all(reason)
    try:
        with anyio.move_on_after(grace):
            await active_runs.wait_idle()
            if wait_for_readers:
                await active_runs.wait_read()
    finally:
        # Reached too when the drain itself is cancelled: then nobody may finish.
        _end_rest(active_runs, durable, reason)
        await _wait_cleanup(active_runs, grace)  # noqa: ASYNC102 - it is shielded and bounded
    return _report(active_runs, durable, present, wait_for_readers=wait_for_readers)


def _end_rest(
    active_runs: ActiveRuns, durable: DurableRuns | None, reason: str
) -> None:
    if durable is None:
        active_runs.cancel(reason)
    else:
        active_runs.cancel_others(reason)
        durable.release_now(reason)


async def cancel_all(
    active_runs: ActiveRuns, durable: DurableRuns | None, grace: float, reason: str
) -> DrainReport:
    """Cancel every run at once; only cleanup is waited for."""
    active_runs.admission.close(DRAINING)
    present = list(active_runs.runs)
    _end_rest(active_runs, durable, reason)
    await _wait_cleanup(active_runs, grace)
    return _report(active_runs, durable, present)


async def _wait_cleanup(active_runs: ActiveRuns, grace: float) -> None:
    with anyio.move_on_after(max(grace, MIN_CLEANUP_TIME), shield=True):  # noqa: ASYNC912
        await active_runs.wait_idle()


def _report(
    active_runs: ActiveRuns,
    durable: DurableRuns | None,
    present: list[str],
    *,
    wait_for_readers: bool = False,
) -> DrainReport:
    released = set[str]() if durable is None else durable.released
    unread = active_runs.unread() if wait_for_readers else ()
    # Runs that began meanwhile are parts of those, and count when they were cancelled.
    return DrainReport(
        completed=tuple(
            name
            for name in present
            if name not in active_runs.cancelled
            and name not in released
            and name not in unread
        ),
        released=tuple(sorted(released)),
        cancelled=tuple(
            name
            for name in sorted(active_runs.cancelled)
            if name not in active_runs.runs
        ),
        stuck=tuple(describe_stuck_run(run) for run in active_runs.runs.values()),
        unread=unread,
    )


async def wait_all_ended(active_runs: ActiveRuns) -> None:
    """Wait until the last run is gone, however long it takes, and say whom we wait for."""
    with anyio.CancelScope(shield=True):  # noqa: ASYNC912 - the loop's scope has one
        await wait_and_report(
            active_runs.wait_idle,
            lambda: not active_runs.runs,
            lambda: _log_stuck_runs(active_runs),
        )


def _log_stuck_runs(active_runs: ActiveRuns) -> None:
    for run in active_runs.runs.values():
        report = describe_stuck_run(run)
        _logger.error(
            "The supervisor cannot close: %s", report, extra=fields_of(report)
        )
