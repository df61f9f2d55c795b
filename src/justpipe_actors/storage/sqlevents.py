"""Events in the SQLite store to records: chunks, and rows of one event or one burst.

A reader gets what it asked for and decodes no chunk beyond that.  A chunk that cannot be
read is left out with a warning, and so is one event of a chunk that can.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import Any

import attrs

from ..records import EventChunk, StoredEvent
from .chunks import ChunkEvent, events_in, payloads_of, text_of
from .rows import stored_event
from .sqlrows import UNREADABLE, readable, skipped
from .sqlwhere import CHUNK_OF, CHUNKS, EVENTS


REPEATED = 8
"""Payloads that are kept while events are read that repeat them."""


@attrs.frozen
class EventsWanted:
    """Which events of a run are meant."""

    run_id: str
    """The run."""
    kind: str | None = None
    """Only this type."""
    after: int = 0
    """Only later numbers."""
    limit: int | None = None
    """At most so many."""


def read_events(
    connection: sqlite3.Connection, wanted: EventsWanted
) -> list[StoredEvent]:
    """Return events by ascending number."""
    limit = wanted.limit
    values = attrs.asdict(wanted) | {
        # The row that holds ``after`` itself may come first and give nothing.
        "limit": -1 if limit is None else limit + 1,
    }
    rows = connection.execute(EVENTS, values).fetchall()
    lone = readable(rows, lambda row: list(_events_of_row(wanted.run_id, row)))
    singles = [event for some in lone for event in some if event.seq > wanted.after]
    found = [*singles, *islice(_chunk_events(connection, wanted), limit)]
    return sorted(found, key=lambda event: event.seq)[:limit]


def _chunk_events(
    connection: sqlite3.Connection, wanted: EventsWanted
) -> Iterator[StoredEvent]:
    """Return the events in chunks, reading no chunk before it is its turn."""
    rows = connection.execute(CHUNKS, attrs.asdict(wanted))
    for event in _apart(connection, wanted.run_id, rows):
        if event.seq > wanted.after and wanted.kind in (None, event.type):
            try:
                yield stored_event(*event)
            except UNREADABLE as error:
                skipped(error)


def _apart(
    connection: sqlite3.Connection, run_id: str, rows: Iterable[Sequence[Any]]
) -> Iterator[ChunkEvent]:
    find = lru_cache(REPEATED)(partial(payload_of, connection, run_id))
    for row in rows:
        try:
            yield from events_in(run_id, EventChunk(*row), find)
        except UNREADABLE as error:
            skipped(error)


def payload_of(connection: sqlite3.Connection, run_id: str, seq: int) -> object:
    """Return the payload of an event in a chunk, which a later one repeats."""
    row = connection.execute(CHUNK_OF, {"run_id": run_id, "seq": seq}).fetchone()
    if row is None:
        return None
    chunk = EventChunk(*row)
    return payloads_of(chunk)[seq - chunk.first]


# -- rows of one event that came as text, and those of schema 1


def _events_of_row(run_id: str, row: Sequence[Any]) -> Iterator[StoredEvent]:
    """Return the events of a row ``seq, type, timestamp, place, payload, meta``."""
    seq, kind, timestamp, place, payload, meta = row
    if place is None:
        yield stored_event(seq, kind, timestamp, _stage(payload), payload)
        return
    fields = read_place(run_id, place)
    if isinstance(timestamp, bytes):
        times = struct.unpack(f"<{len(timestamp) // 8}d", timestamp)
        told = zip(times, json.loads(payload), strict=True)
    else:
        told = zip([timestamp], [json.loads(payload or "null")], strict=True)
    for n, (moment, value) in enumerate(told):
        event = {
            **fields,
            "type": kind,
            "seq": seq + n,
            "timestamp": moment,
            "payload": value,
            "meta": json.loads(meta or "null"),
        }
        yield stored_event(seq + n, kind, moment, fields["stage"], text_of(event))


def _stage(text: str) -> str:
    try:
        return str(json.loads(text).get("stage") or "")
    except (ValueError, AttributeError):
        return ""


def read_place(run_id: str, text: str) -> dict[str, Any]:
    """Read what schema 1 wrote of where something happened.

    Ids that begin with the run's are arrays of one text, and continue it.
    """
    stage, kind, attempt, scope, *names = json.loads(text)
    origin, parent, own, cause, owner = (
        f"{run_id}{name[0]}" if isinstance(name, list) else name for name in names
    )
    return {
        "stage": stage,
        "run_id": run_id,
        "origin_run_id": origin,
        "parent_run_id": parent,
        "node_kind": kind,
        "invocation_id": own,
        "parent_invocation_id": cause,
        "owner_invocation_id": owner,
        "attempt": attempt,
        "scope": scope,
    }
