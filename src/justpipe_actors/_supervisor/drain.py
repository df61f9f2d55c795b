"""Drain: let the runs finish, cancel the rest, and report stuck runs.

::

    close admission -> wait up to ``grace`` -> cancel the rest, with a reason
      -> wait up to ``grace`` for their cleanup
      -> stop trying to write a journal that cannot be written -> report stuck runs

A task cannot be killed.  ``drain`` therefore reports a run that ignores its cancellation
and returns.  The supervisor's block, which owns the tasks, still waits for the run and
logs it periodically.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from .._util.lazy_classes import frozen
from .._util.sync import wait_and_report
from .active_runs import ActiveRuns
from .admission import DRAINING
from .diagnostics import StuckRun, describe_stuck_run, fields_of


if TYPE_CHECKING:
    from .durable_runs import DurableRuns


MIN_CLEANUP_TIME = 1.0
"""Minimum seconds for cleanup, if the grace is shorter."""

_logger = logging.getLogger("justpipe_actors.supervisor")


@frozen
class DrainReport:
    """Outcome of the runs that were at work when a drain began."""

    completed: tuple[str, ...] = ()
    """Ids of runs that ended without being cancelled, successful or not."""
    cancelled: tuple[str, ...] = ()
    """Ids of runs that were cancelled and have ended."""
    released: tuple[str, ...] = ()
    """Ids of durable runs that were released; another worker may continue them."""
    stuck: tuple[StuckRun, ...] = ()
    """Runs that were cancelled and have not ended, with the lines they wait at."""
    unread: tuple[str, ...] = ()
    """Ids of ended runs with a reader that did not read FINISH in time."""


async def drain(
    active_runs: ActiveRuns,
    durable: DurableRuns | None,
    grace: float,
    reason: str,
    *,
    wait_for_readers: bool = False,
) -> DrainReport:
    """Drain a supervisor and return the outcome of its runs.

    Args:
        active_runs: its runs.
        durable: its durable runs, which are released.
        grace: seconds to finish, and as many again to clean up after cancellation.
        reason: reason in the FINISH event of runs that do not finish in time.
        wait_for_readers: whether to wait within the grace until readers have FINISH.
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
        # Also reached when the drain itself is cancelled: the rest is cancelled at once.
        _end_rest(active_runs, durable, reason)
        await _wait_cleanup(active_runs, durable, grace)  # noqa: ASYNC102 - shielded, bounded
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
    """Cancel every run at once and wait for the cleanup only."""
    active_runs.admission.close(DRAINING)
    present = list(active_runs.runs)
    _end_rest(active_runs, durable, reason)
    await _wait_cleanup(active_runs, durable, grace)
    return _report(active_runs, durable, present)


async def _wait_cleanup(
    active_runs: ActiveRuns, durable: DurableRuns | None, grace: float
) -> None:
    seconds = max(grace, MIN_CLEANUP_TIME)
    with anyio.move_on_after(seconds, shield=True):
        await active_runs.wait_idle()
        return
    if durable is not None and durable.writer.give_up():
        with anyio.move_on_after(seconds, shield=True):
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
    # Runs started by other runs during the drain are not in ``present``; they are
    # reported only if they were cancelled.
    return DrainReport(
        completed=tuple(
            name
            for name in present
            if name not in active_runs.cancelled
            and name not in active_runs.runs
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
    """Wait without a limit until all runs have ended; log stuck runs periodically."""
    with anyio.CancelScope(shield=True):  # the loop's scope has one
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
