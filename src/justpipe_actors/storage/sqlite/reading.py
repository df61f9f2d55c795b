"""Events in the SQLite store to records: chunks, and rows of one event or one burst.

A reader decodes only the chunks that its query needs.  Unreadable chunks, and
unreadable events of readable chunks, are left out with a warning.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import chain, islice
from typing import Any, TypeVar

import attrs

from ...outcomes import PipelineTerminalStatus
from ...records import (
    LABELS,
    EventChunk,
    EventHeader,
    OpenStatus,
    RunQuery,
    RunRecord,
    RunStatus,
    RunSummary,
    StoredEvent,
)
from ..chunk_format import (
    ChunkEvent,
    decode_events,
    decode_payloads,
    event_text,
    stored_event,
)
from ..headers import decode_headers, parse_header


T = TypeVar("T")

_logger = logging.getLogger("justpipe_actors.storage")

UNREADABLE = (
    AttributeError,
    KeyError,
    OSError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""Errors that a damaged row may cause; ``fromtimestamp`` can raise OSError."""

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
    "journal",
)
"""The columns of a run, in the order of ``row_of_run``."""


def read_rows(rows: Iterable[Any], read: Callable[[Any], T]) -> list[T]:
    """Return the rows that can be read; warn of each of the others."""
    found: list[T] = []
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE as error:
            warn_skipped(error)
    return found


def warn_skipped(error: Exception) -> None:
    """Warn of an item that cannot be read."""
    _logger.warning("Skipped a stored item that cannot be read: %s", error)


# -- runs


def row_of_run(run: RunRecord) -> tuple[object, ...]:
    """Return a run's row."""
    return (
        run.run_id,
        run.start_time.timestamp(),
        run.end_time and run.end_time.timestamp(),
        None if run.duration is None else run.duration.total_seconds(),
        run.status.value,
        storable_text(run.error_message),
        storable_text(run.error_step),
        run.run_meta,
        storable_text(run.reason),
        int(run.is_suspended),
        run.fingerprint,
        run.owner,
        run.last_seen and run.last_seen.timestamp(),
        run.lost_events,
        storable_text(run.journal),
    )


def run_from_row(row: sqlite3.Row | tuple[Any, ...]) -> RunRecord:
    """Build a run from its row.

    Raises:
        KeyError: its status is unknown.
        ValueError: one of its timestamps is invalid.
    """
    name, start, end, seconds, status, *texts = row
    message, step, meta, reason, suspended, *last = texts
    fingerprint, owner, last_seen, lost, journal = last
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
        None if last_seen is None else _moment(last_seen),
        lost,
        journal,
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def storable_text(text: str | None) -> str | None:
    """Replace lone surrogates in a text: SQLite cannot store them."""
    return text and text.encode(errors="backslashreplace").decode()


def summary_from_rows(rows: Sequence[tuple[Any, ...]]) -> RunSummary:
    """Build the figures of some runs from one row for each label."""
    timed = sum(row[2] for row in rows)
    total = sum(row[3] for row in rows)
    shortest = [row[4] for row in rows if row[4] is not None]
    longest = [row[5] for row in rows if row[5] is not None]
    return RunSummary(
        counts={row[0]: row[1] for row in rows},
        timed=timed,
        average=timedelta(seconds=total / timed) if timed else None,
        shortest=timedelta(seconds=min(shortest)) if shortest else None,
        longest=timedelta(seconds=max(longest)) if longest else None,
        last_start=max(
            (datetime.fromtimestamp(row[6], UTC) for row in rows), default=None
        ),
    )


RUNS = """(
    SELECT id, run_id, start_time, end_time, duration_s,
        CASE WHEN NOT is_lost THEN status WHEN journal IS NULL THEN 'abandoned'
        ELSE 'waiting' END AS status,
        CASE WHEN is_lost AND journal IS NULL THEN coalesce(error_message, :abandoned)
        ELSE error_message END AS error_message,
        error_step, run_meta, reason, is_suspended, fingerprint, owner, last_seen,
        lost_events, journal
    FROM (
        SELECT *, CASE status WHEN 'running' THEN is_owner_gone(owner, last_seen) ELSE 0
        END AS is_lost FROM runs
    )
)"""
"""The runs with their current status: ABANDONED if the owner is dead.

A durable run is WAITING then: the next process with its pipe takes it up.
"""

LABEL = "CASE WHEN is_suspended THEN 'suspended' ELSE status END"
"""SQL expression of ``RunRecord.label``."""

EVENT_ROWS = """
SELECT e.seq, e.type, e.timestamp,
    CASE typeof(e.place) WHEN 'integer' THEN (
        SELECT first.place FROM events first
        WHERE first.run = e.run AND first.seq = e.place
    ) ELSE e.place END,
    CASE typeof(e.payload) WHEN 'integer' THEN (
        SELECT first.payload FROM events first
        WHERE first.run = e.run AND first.seq = e.payload
    ) ELSE e.payload END,
    e.meta
FROM runs r JOIN events e ON e.run = r.id
WHERE r.run_id = :run_id
    AND (:kind IS NULL OR e.type = :kind)
    AND e.seq >= coalesce(
        (SELECT max(b.seq) FROM events b WHERE b.run = r.id AND b.seq <= :after), 0
    )
ORDER BY e.seq
LIMIT :limit
"""
"""A run's single events from ``after`` on; in rows of schema 1 what they refer to, too."""

_CHUNK_COLUMNS = """
SELECT c.first, c.last, c.times, c.fields, c.payloads, c.metas, c.echoes, c.counts
FROM runs r JOIN chunks c ON c.run = r.id
WHERE r.run_id = :run_id
"""

CHUNK_ROWS = f"""{_CHUNK_COLUMNS}
    AND c.last > :after
    AND (:kind IS NULL OR NOT json_valid(c.counts)
        OR json_extract(c.counts, '$."' || :kind || '"') > 0)
ORDER BY c.first
"""
"""A run's chunks from the one after ``after`` on, as ``EventChunk`` has them."""

HEADER_ROWS = """
SELECT c.first, c.times, c.fields
FROM runs r JOIN chunks c ON c.run = r.id
WHERE r.run_id = :run_id AND c.last > :after
ORDER BY c.first
"""
"""The chunks of a run without their payloads."""

CHUNK_WITH_EVENT = f"""{_CHUNK_COLUMNS}
    AND c.first <= :seq AND c.last >= :seq
ORDER BY c.first DESC
LIMIT 1
"""
"""The chunk that an event is in."""

COUNTS = """
SELECT e.type, sum(
    CASE typeof(e.timestamp) WHEN 'blob' THEN length(e.timestamp) / 8 ELSE 1 END
)
FROM runs r JOIN events e ON e.run = r.id
WHERE r.run_id = :run_id
GROUP BY 1
UNION ALL
SELECT kind.key, sum(kind.value)
FROM runs r JOIN chunks c ON c.run = r.id,
    json_each(CASE json_valid(c.counts) WHEN 1 THEN c.counts ELSE '{}' END) kind
WHERE r.run_id = :run_id
GROUP BY 1
"""
"""A run's events by type, single ones and those in chunks; a type may come twice."""

Condition = tuple[str, Mapping[str, object]]
"""SQL, and the values of its parameters."""


def condition_of(query: RunQuery) -> Condition:
    """Return the SQL condition for a query."""
    conditions: list[str] = []
    values: dict[str, object] = {}
    if query.labels:
        known = [name for name in LABELS if name in query.labels]
        quoted = ", ".join(f"'{name}'" for name in known)
        conditions.append(f"{LABEL} IN ({quoted})")
    if query.since is not None:
        conditions.append("start_time >= :since")
        values["since"] = query.since.timestamp()
    if query.until is not None:
        conditions.append("start_time < :until")
        values["until"] = query.until.timestamp()
    if query.text:
        conditions.append(
            "instr(folded(error_message) || char(10) || folded(error_step) "
            "|| char(10) || folded(run_meta), folded(:text)) > 0"
        )
        values["text"] = storable_text(query.text)
    return " AND ".join(conditions) or "1", values


CACHED_PAYLOADS = 8
"""Number of payloads that are cached for events that refer to them."""


@attrs.frozen
class EventFilter:
    """Selects events of a run."""

    run_id: str
    kind: str | None = None
    """Only events of this type."""
    after: int = 0
    """Only events with higher numbers."""
    limit: int | None = None
    """Maximum number of events."""


def read_events(
    connection: sqlite3.Connection, event_filter: EventFilter
) -> list[StoredEvent]:
    """Return events by ascending number."""
    limit = event_filter.limit
    values = attrs.asdict(event_filter) | {
        # The first row may hold ``after`` as its last event and then yields nothing.
        "limit": -1 if limit is None else limit + 1,
    }
    rows = connection.execute(EVENT_ROWS, values).fetchall()
    rows_of_events = read_rows(
        rows, lambda row: list(_events_of_row(event_filter.run_id, row))
    )
    singles = [
        event
        for events in rows_of_events
        for event in events
        if event.seq > event_filter.after
    ]
    found = [*singles, *islice(_chunk_events(connection, event_filter), limit)]
    return sorted(found, key=lambda event: event.seq)[:limit]


def read_headers(
    connection: sqlite3.Connection, event_filter: EventFilter
) -> list[EventHeader]:
    """Return events by ascending number, without payload and meta."""
    values = attrs.asdict(event_filter) | {"limit": -1}
    rows = connection.execute(EVENT_ROWS, values).fetchall()
    singles = read_rows(
        rows, lambda row: list(_events_of_row(event_filter.run_id, row))
    )
    found = [parse_header(event) for events in singles for event in events]
    after = event_filter.after
    headers = [one for one in found if one is not None and (one.seq or 0) > after]
    chunks = _header_chunks(connection, event_filter)
    headers += islice(chain.from_iterable(chunks), event_filter.limit)
    if singles:  # chunks alone are in order
        headers.sort(key=lambda one: one.seq or 0)
    return headers[: event_filter.limit]


def _header_chunks(
    connection: sqlite3.Connection, event_filter: EventFilter
) -> Iterator[list[EventHeader]]:
    """Yield the headers of each chunk, fetching a chunk only when it is needed."""
    after = event_filter.after
    rows = connection.execute(HEADER_ROWS, attrs.asdict(event_filter))
    for first, times, fields in rows:
        try:
            headers = decode_headers(event_filter.run_id, first, times, fields)
        except UNREADABLE as error:
            warn_skipped(error)
            continue
        if first <= after:
            headers = [one for one in headers if (one.seq or 0) > after]
        yield headers


def _chunk_events(
    connection: sqlite3.Connection, event_filter: EventFilter
) -> Iterator[StoredEvent]:
    """Yield the events of chunks, fetching each chunk only when it is needed."""
    rows = connection.execute(CHUNK_ROWS, attrs.asdict(event_filter))
    for event in _decode_chunks(connection, event_filter, rows):
        if event_filter.kind in (None, event.type):
            try:
                yield stored_event(*event)
            except UNREADABLE as error:
                warn_skipped(error)


def _decode_chunks(
    connection: sqlite3.Connection,
    event_filter: EventFilter,
    rows: Iterable[Sequence[Any]],
) -> Iterator[ChunkEvent]:
    run_id, after = event_filter.run_id, event_filter.after
    find_payload = lru_cache(CACHED_PAYLOADS)(partial(read_payload, connection, run_id))
    for row in rows:
        try:
            yield from decode_events(run_id, EventChunk(*row), find_payload, after)
        except UNREADABLE as error:
            warn_skipped(error)


def read_payload(connection: sqlite3.Connection, run_id: str, seq: int) -> object:
    """Return the payload of a chunk's event that a later event refers to."""
    row = connection.execute(
        CHUNK_WITH_EVENT, {"run_id": run_id, "seq": seq}
    ).fetchone()
    if row is None:
        return None
    chunk = EventChunk(*row)
    return decode_payloads(chunk)[seq - chunk.first]


# -- rows of one event that came as text, and those of schema 1


def _events_of_row(run_id: str, row: Sequence[Any]) -> Iterator[StoredEvent]:
    """Return the events of a row ``seq, type, timestamp, location, payload, meta``."""
    seq, kind, timestamp, location, payload, meta = row
    if location is None:
        yield stored_event(seq, kind, timestamp, _stage(payload), payload)
        return
    fields = decode_v1_fields(run_id, location)
    if isinstance(timestamp, bytes):
        times = struct.unpack(f"<{len(timestamp) // 8}d", timestamp)
        moments_and_payloads = zip(times, json.loads(payload), strict=True)
    else:
        moments_and_payloads = zip(
            [timestamp], [json.loads(payload or "null")], strict=True
        )
    for n, (timestamp, value) in enumerate(moments_and_payloads):
        event = {
            **fields,
            "type": kind,
            "seq": seq + n,
            "timestamp": timestamp,
            "payload": value,
            "meta": json.loads(meta or "null"),
        }
        yield stored_event(seq + n, kind, timestamp, fields["stage"], event_text(event))


def _stage(text: str) -> str:
    try:
        return str(json.loads(text).get("stage") or "")
    except (ValueError, AttributeError, RecursionError):
        return ""


def decode_v1_fields(run_id: str, text: str) -> dict[str, Any]:
    """Read the ids of an event that schema 1 wrote.

    Ids that begin with the run's are arrays of one text, and continue it.
    """
    stage, kind, attempt, scope, *ids = json.loads(text)
    origin, parent, invocation, parent_invocation, owner = (
        f"{run_id}{name[0]}" if isinstance(name, list) else name for name in ids
    )
    return {
        "stage": stage,
        "run_id": run_id,
        "origin_run_id": origin,
        "parent_run_id": parent,
        "node_kind": kind,
        "invocation_id": invocation,
        "parent_invocation_id": parent_invocation,
        "owner_invocation_id": owner,
        "attempt": attempt,
        "scope": scope,
    }
