"""Evaluate run queries in Python; the SQL of the SQLite store is equivalent.

It also decides which running runs are abandoned: those whose process has ended, or, if
this cannot be checked from here, those without a heartbeat for some minutes.
"""

from __future__ import annotations

import os
import platform
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from ..records import OpenStatus, RunQuery, RunRecord, RunStatus, RunSummary


HEARTBEAT_INTERVAL = 30.0
"""Seconds between two heartbeats."""

ABANDONED_AFTER = timedelta(seconds=300)
"""Time without a heartbeat after which an owner that cannot be checked is dead."""


def this_owner() -> str:
    """Name this process: ``host/boot_id/pid/started_at``."""
    return _owner(os.getpid())


@lru_cache(maxsize=1)
def _owner(pid: int) -> str:
    return "/".join((_host(), _boot_id(), str(pid), _process_start(pid) or ""))


def is_owner_gone(owner: str | None, last_seen: datetime | None, now: datetime) -> bool:
    """Tell whether the owner of a running run will never finish it."""
    is_alive = _is_alive(owner) if owner else None
    if is_alive is not None:
        return not is_alive
    return last_seen is None or now - last_seen > ABANDONED_AFTER


def _is_alive(owner: str) -> bool | None:
    """Tell whether an owner is alive; None if this process cannot find out."""
    parts = owner.split("/")
    if len(parts) != 4 or parts[0] != _host() or not _boot_id():
        return None
    _, boot_id, pid, started_at = parts
    if boot_id != _boot_id():
        return False
    return pid.isdecimal() and _process_start(int(pid)) == started_at


def _host() -> str:
    return platform.node().replace("/", "_")


@lru_cache(maxsize=1)
def _boot_id() -> str:
    """Return the id of the host's current boot; empty if the system has none."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def _process_start(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot; None without it."""
    with suppress(OSError):
        # The process name may contain brackets, so count from the last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    return None


T = TypeVar("T")

ABANDONED_MESSAGE = "The process that ran it is gone"
"""Error message of an abandoned run."""

_RUN_ID_PREFIX = re.compile(r"[A-Za-z0-9_.:-]+", re.ASCII)


def is_prefix(text: str) -> bool:
    """Tell whether a text can be the prefix of a run id."""
    return _RUN_ID_PREFIX.fullmatch(text) is not None


def is_ended(status: RunStatus) -> bool:
    """Tell whether a run of this status has published FINISH."""
    return not isinstance(status, OpenStatus)


def resolve_status(run: RunRecord, now: datetime) -> RunRecord:
    """Return the record with its current status: ABANDONED if the owner is dead.

    A durable run is WAITING then, because the next process takes it up.
    """
    if run.status is OpenStatus.RUNNING and is_owner_gone(
        run.owner, run.last_seen, now
    ):
        if run.journal is not None:
            return replace(run, status=OpenStatus.WAITING)
        return as_abandoned(run)
    return run


def as_abandoned(run: RunRecord) -> RunRecord:
    """Return the record with the status ABANDONED, for a run with a dead owner."""
    message = run.error_message or ABANDONED_MESSAGE
    return replace(run, status=OpenStatus.ABANDONED, error_message=message)


def implicit_run(run_id: str, started_at: float) -> RunRecord:
    """Return a record for a run of which only the first events are known."""
    start, now = datetime.fromtimestamp(started_at, UTC), datetime.now(UTC)
    running = OpenStatus.RUNNING
    return RunRecord(
        run_id, start, None, None, running, owner=this_owner(), last_seen=now
    )


def in_utc(run: RunRecord) -> RunRecord:
    """Return the record with its timestamps in UTC; naive ones are local time."""
    return replace(
        run,
        start_time=run.start_time.astimezone(UTC),
        end_time=run.end_time and run.end_time.astimezone(UTC),
        last_seen=run.last_seen and run.last_seen.astimezone(UTC),
    )


def matches_query(run: RunRecord, query: RunQuery) -> bool:
    """Tell whether this run matches a query."""
    return (
        (not query.labels or run.label in query.labels)
        and (query.since is None or run.start_time >= query.since.astimezone(UTC))
        and (query.until is None or run.start_time < query.until.astimezone(UTC))
        and query.text.casefold() in _searchable(run).casefold()
    )


def _searchable(run: RunRecord) -> str:
    parts = (run.error_message, run.error_step, run.run_meta)
    return "\n".join(part for part in parts if part)


def paginate(items: Sequence[T], limit: int | None, offset: int = 0) -> list[T]:
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
