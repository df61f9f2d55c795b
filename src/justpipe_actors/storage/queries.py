"""What a query means, said once in Python; the SQL of the SQLite store says the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from ..records import OpenStatus, RunQuery, RunRecord, RunStatus, RunSummary
from .owners import is_gone, this_owner


T = TypeVar("T")

ABANDONED_WORDS = "The process that ran it is gone"
"""What an abandoned run says as its error message."""

_PREFIX = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def is_prefix(text: str) -> bool:
    """Tell whether a text may be the beginning of a run's id."""
    return _PREFIX.fullmatch(text) is not None


def is_ended(status: RunStatus) -> bool:
    """Tell whether a run of this status has said FINISH."""
    return not isinstance(status, OpenStatus)


def judge(run: RunRecord, now: datetime) -> RunRecord:
    """Return the record as it is true now: a run without an owner is abandoned."""
    if run.status is OpenStatus.RUNNING and is_gone(run.owner, run.last_seen, now):
        return abandoned(run)
    return run


def abandoned(run: RunRecord) -> RunRecord:
    """Return the record of a run that nobody runs any more."""
    message = run.error_message or ABANDONED_WORDS
    return replace(run, status=OpenStatus.ABANDONED, error_message=message)


def unannounced(run_id: str, began: float) -> RunRecord:
    """Stand for a run that is only known by its first events."""
    start, now = datetime.fromtimestamp(began, UTC), datetime.now(UTC)
    running = OpenStatus.RUNNING
    return RunRecord(
        run_id, start, None, None, running, owner=this_owner(), last_seen=now
    )


def in_utc(run: RunRecord) -> RunRecord:
    """Return the record with its moments in UTC; naive ones are local time."""
    return replace(
        run,
        start_time=run.start_time.astimezone(UTC),
        end_time=run.end_time and run.end_time.astimezone(UTC),
        last_seen=run.last_seen and run.last_seen.astimezone(UTC),
    )


def is_meant(run: RunRecord, query: RunQuery) -> bool:
    """Tell whether a query means this run."""
    return (
        (not query.labels or run.label in query.labels)
        and (query.since is None or run.start_time >= query.since.astimezone(UTC))
        and (query.until is None or run.start_time < query.until.astimezone(UTC))
        and query.text.casefold() in _searchable(run).casefold()
    )


def _searchable(run: RunRecord) -> str:
    parts = (run.error_message, run.error_step, run.run_meta)
    return "\n".join(part for part in parts if part)


def page(items: Sequence[T], limit: int | None, offset: int = 0) -> list[T]:
    """Return a page of a list; no limit, or a negative one, is the rest of it."""
    first = max(offset, 0)
    return list(items[first : None if limit is None or limit < 0 else first + limit])


def summarize(runs: Iterable[RunRecord]) -> RunSummary:
    """Return the figures of some runs."""
    runs = list(runs)
    durations = [run.duration for run in runs if run.duration is not None]
    return RunSummary(
        counts=dict(Counter(run.label for run in runs)),
        timed=len(durations),
        average=sum(durations, timedelta()) / len(durations) if durations else None,
        shortest=min(durations, default=None),
        longest=max(durations, default=None),
        last_start=max((run.start_time for run in runs), default=None),
    )
