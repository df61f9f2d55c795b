"""Runs of the SQLite store to records and back; one bad row is skipped, never fatal."""

from __future__ import annotations

import logging
import sqlite3
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from ..outcomes import PipelineTerminalStatus
from ..records import OpenStatus, RunRecord, RunStatus, RunSummary


T = TypeVar("T")

_logger = logging.getLogger("justpipe_actors.storage")

UNREADABLE = (
    AttributeError,
    KeyError,
    OSError,
    OverflowError,
    TypeError,
    ValueError,
    struct.error,
)
"""What reading a damaged row may raise; ``fromtimestamp`` is where OSError is from."""

_STATUSES: dict[str, RunStatus] = {
    status.value: status
    for family in (OpenStatus, PipelineTerminalStatus)
    for status in family
}

RUN_COLUMNS = (
    "run_id",
    "start_time",
    "end_time",
    "duration_s",
    "status",
    "error_message",
    "error_step",
    "run_meta",
    "reason",
    "is_suspended",
    "fingerprint",
    "owner",
    "last_seen",
    "lost_events",
)
"""The columns of a run, in the order of ``run_values``."""


def readable(rows: Iterable[Any], read: Callable[[Any], T]) -> list[T]:
    """Return the rows that can be read; warn of each of the others."""
    found: list[T] = []
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE as error:
            skipped(error)
    return found


def skipped(error: Exception) -> None:
    """Warn of an item that cannot be read."""
    _logger.warning("Skipped a stored item that cannot be read: %s", error)


# -- runs


def run_values(run: RunRecord) -> tuple[object, ...]:
    """Return a run's row."""
    return (
        run.run_id,
        run.start_time.timestamp(),
        run.end_time and run.end_time.timestamp(),
        None if run.duration is None else run.duration.total_seconds(),
        run.status.value,
        clean(run.error_message),
        clean(run.error_step),
        run.run_meta,
        clean(run.reason),
        int(run.is_suspended),
        run.fingerprint,
        run.owner,
        run.last_seen and run.last_seen.timestamp(),
        run.lost_events,
    )


def run_of(row: sqlite3.Row | tuple[Any, ...]) -> RunRecord:
    """Build a run from its row.

    Raises:
        KeyError: its status is an unknown word.
        ValueError: one of its moments is none.
    """
    name, start, end, seconds, status, *texts = row
    message, step, meta, reason, suspended, fingerprint, owner, seen, lost = texts
    return RunRecord(
        name,
        _moment(start),
        None if end is None else _moment(end),
        None if seconds is None else timedelta(seconds=seconds),
        _STATUSES[status],
        message,
        step,
        meta,
        reason,
        bool(suspended),
        fingerprint,
        owner,
        None if seen is None else _moment(seen),
        lost,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def clean(text: str | None) -> str | None:
    """Make a text storable: half a surrogate pair is not."""
    return text and text.encode(errors="backslashreplace").decode()


def summary_of(rows: Sequence[tuple[Any, ...]]) -> RunSummary:
    """Build the figures of some runs from one row for each label."""
    timed = sum(row[2] for row in rows)
    total = sum(row[3] for row in rows)
    least = [row[4] for row in rows if row[4] is not None]
    most = [row[5] for row in rows if row[5] is not None]
    return RunSummary(
        counts={row[0]: row[1] for row in rows},
        timed=timed,
        average=timedelta(seconds=total / timed) if timed else None,
        shortest=timedelta(seconds=min(least)) if least else None,
        longest=timedelta(seconds=max(most)) if most else None,
        last_start=max(
            (datetime.fromtimestamp(row[6], UTC) for row in rows), default=None
        ),
    )
