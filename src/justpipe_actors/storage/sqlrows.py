"""Rows of the SQLite store to records and back; one bad row is skipped, never fatal."""

from __future__ import annotations

import json
import logging
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from ..outcomes import PipelineTerminalStatus
from ..records import (
    EventRow,
    OpenStatus,
    Place,
    RunRecord,
    RunStatus,
    StoredEvent,
    TokenRow,
)
from .rows import (
    EventLine,
    event_text,
    place_text,
    read_place,
    single_rows,
    stored_event,
)


T = TypeVar("T")

_logger = logging.getLogger("justpipe_actors.storage")

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
        except (ValueError, TypeError, KeyError, OverflowError, struct.error) as error:
            _logger.warning("Skipped a stored item that cannot be read: %s", error)
    return found


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


# -- events on their way in

SqlRow = tuple[
    int, int, str, float | bytes, str | int | None, str | int | None, str | None
]
"""``run, seq, type, timestamp, place, payload, meta``."""


def packed(
    key: int, run_id: str, rows: Iterable[EventRow | TokenRow]
) -> Iterator[SqlRow]:
    """Return the rows to insert; each place is written out in its first event only."""
    places: dict[Place, int] = {}
    for row in rows:
        first = places.setdefault(row.place, row.seq)
        place = place_text(run_id, row.place) if first == row.seq else first
        if isinstance(row, TokenRow):
            stamps = struct.pack(f"<{len(row.timestamps)}d", *row.timestamps)
            yield key, row.seq, "token", stamps, place, row.payloads, None
        else:
            payload = row.payload if row.same is None else row.same
            yield key, row.seq, row.type, row.timestamp, place, payload, row.meta


def packed_line(key: int, seq: int, line: EventLine) -> SqlRow:
    """Return the row of an event that came as text."""
    return key, seq, clean(line.type) or "", line.timestamp, None, line.text, None


def last_of(row: EventRow | TokenRow) -> int:
    """Return the number of a row's last event."""
    return row.seq + len(row.timestamps) - 1 if isinstance(row, TokenRow) else row.seq


def began(row: EventRow | TokenRow) -> float:
    """Return when a row's first event happened, in seconds since the epoch."""
    return row.timestamps[0] if isinstance(row, TokenRow) else row.timestamp


# -- events on their way out


def events_of(run_id: str, row: Sequence[Any]) -> list[StoredEvent]:
    """Build the events of a row ``seq, type, timestamp, place, payload, meta``.

    Raises:
        ValueError: something in it is not what it should be.
    """
    seq, kind, timestamp, place, payload, meta = row
    if place is None:
        stage = _stage(payload)
        return [stored_event(seq, kind, timestamp, stage, payload)]
    at = read_place(run_id, place)
    if not isinstance(timestamp, bytes):
        return [_event(run_id, EventRow(seq, kind, timestamp, at, payload, meta))]
    stamps = struct.unpack(f"<{len(timestamp) // 8}d", timestamp)
    tokens = single_rows(TokenRow(seq, stamps, at, payload))
    return [_event(run_id, one) for one in tokens]


def _event(run_id: str, row: EventRow) -> StoredEvent:
    return stored_event(
        row.seq, row.type, row.timestamp, row.place.stage, event_text(run_id, row)
    )


def _stage(text: str) -> str:
    try:
        return str(json.loads(text).get("stage") or "")
    except (ValueError, AttributeError):
        return ""
