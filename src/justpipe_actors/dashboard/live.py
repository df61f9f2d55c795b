"""The current state of a supervisor, for the Live page.

The cost per run must be small: the totals include all runs, the rows are limited to the
runs without events for longest, and the current line of code is looked up for the first
rows only.  A worker thread encodes the JSON; the data are frozen.
"""

from __future__ import annotations

import heapq
import json
import time
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from ..codec import to_plain


if TYPE_CHECKING:
    from .._run.run import RunSnapshot
    from ..supervisor import Supervisor


ROWS = 50
"""Runs that are shown."""

LAG_TIMER = 0.02
"""Seconds of the timer that measures how late the loop is."""

LOOKED_UP = 20
"""Number of runs to look up the current line of code for."""


@attrs.frozen
class LiveData:
    """The state of a supervisor at one time, before encoding as JSON."""

    snapshot: Any
    """What ``snapshot()`` returned."""
    stuck: tuple[Any, ...]
    """The lines in which the runs that are shown wait."""
    health: Any
    """What ``health()`` returned."""
    now: float
    """Wall clock, in seconds since the epoch."""
    loop_lag: float
    """Seconds that the event loop was late for a timer of the dashboard."""


def quiet_first(run: RunSnapshot) -> tuple[float, float]:
    """Return the sort key of runs: the longest time without an event comes first."""
    return run.quiet, run.age


def look(supervisor: Supervisor, loop_lag: float = 0.0) -> LiveData:
    """Read the state of a supervisor; call it in the supervisor's loop."""
    snapshot = supervisor.snapshot(ROWS, "quiet")
    quietest = heapq.nlargest(LOOKED_UP, snapshot.runs.values(), key=quiet_first)
    stuck = supervisor.stuck([run.run_id for run in quietest])
    return LiveData(snapshot, stuck, supervisor.health(), time.time(), loop_lag)


async def measure_lag() -> float:
    """Return how late the event loop is for a short timer, in seconds."""
    due = anyio.current_time() + LAG_TIMER
    await anyio.sleep_until(due)
    return max(anyio.current_time() - due, 0.0)


def live_to_json(data: LiveData) -> dict[str, Any]:
    """Return the data of the page; pure, and slow enough for a thread."""
    snapshot = data.snapshot
    runs = heapq.nlargest(ROWS, snapshot.runs.values(), key=quiet_first)
    where = {report.run_id: report for report in data.stuck}
    rest = {
        field.name: getattr(snapshot, field.name)
        for field in attrs.fields(type(snapshot))
        if field.name != "runs"
    }
    plain: dict[str, Any] = to_plain(rest)
    return {
        **plain,
        "now": data.now,
        "loop_lag": data.loop_lag,
        "health": to_plain(data.health),
        "run_count": snapshot.run_count,
        "oldest_run": snapshot.oldest,
        "runs": [
            {**to_plain(run), "stuck": to_plain(where.get(run.run_id))} for run in runs
        ],
    }


def live_text(data: LiveData) -> str:
    """Return the data of the page as JSON text."""
    return json.dumps(live_to_json(data))


def dump(data: LiveData) -> str:
    """Return the same data as text that can be pasted into a bug report."""
    shape = live_to_json(data)
    lines = [f"supervisor: {shape['state']}, {shape['run_count']} runs at work"]
    lines += [f"not ready: {reason}" for reason in shape["health"]["reasons"]]
    lines += [str(report) for report in data.stuck[:ROWS]]
    return "\n".join([*lines, "", json.dumps(shape, indent=1), ""])
