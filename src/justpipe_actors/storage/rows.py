"""An event apart and together: rows for a store that is frugal, text for one that is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, NamedTuple

from ..errors import MalformedEventError
from ..events import EventType
from ..records import EventRow, Place, StoredEvent, TokenRow


_TYPES: dict[str, EventType] = {kind.value: kind for kind in EventType}


class EventLine(NamedTuple):
    """What a store must know of an event that it is given as text."""

    seq: int | None
    """Its own number, when it says one."""
    type: str
    """Its type, known or not."""
    stage: str
    """Its stage; empty when it has none."""
    timestamp: float
    """Seconds since the epoch; now, when it does not say."""
    text: str
    """All of it."""


def parse_line(text: str) -> EventLine:
    """Read what matters from an event's JSON text.

    Raises:
        MalformedEventError: it is no JSON object.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise MalformedEventError(text[:80], str(error)) from error
    if not isinstance(found, dict):
        raise MalformedEventError(text[:80], "it is no JSON object")
    return EventLine(
        _number(found.get("seq")),
        str(found.get("type", "")),
        str(found.get("stage") or ""),
        _seconds(found.get("timestamp")),
        text,
    )


def _number(value: object) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_number and isinstance(value, int) else None


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) else time.time()


def stored_event(
    seq: int, kind: str, timestamp: float, stage: str, text: str
) -> StoredEvent:
    """Build what a reader gets; a type this version does not know stays text."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    return StoredEvent(seq, moment, _TYPES.get(kind, kind), stage, text)


def event_text(run_id: str, row: EventRow) -> str:
    """Return the event's JSON text with its keys in the order of ``EVENT_KEYS``."""
    place = row.place
    head = {
        "type": row.type,
        "stage": place.stage,
        "timestamp": row.timestamp,
        "run_id": run_id,
        "origin_run_id": place.origin_run_id,
        "parent_run_id": place.parent_run_id,
        "seq": row.seq,
        "node_kind": place.node_kind,
        "invocation_id": place.invocation_id,
        "parent_invocation_id": place.parent_invocation_id,
        "owner_invocation_id": place.owner_invocation_id,
        "attempt": place.attempt,
        "scope": place.scope,
    }
    meta, payload = row.meta or "null", row.payload or "null"
    return f'{json.dumps(head)[:-1]}, "meta": {meta}, "payload": {payload}}}'


def single_rows(row: EventRow | TokenRow) -> Iterator[EventRow]:
    """Return the events of a row, one each."""
    if isinstance(row, EventRow):
        yield row
        return
    payloads = json.loads(row.payloads)
    for n, (timestamp, payload) in enumerate(
        zip(row.timestamps, payloads, strict=True)
    ):
        yield EventRow(
            row.seq + n, "token", timestamp, row.place, json.dumps(payload), None
        )


def size_of(row: EventRow | TokenRow) -> int:
    """Return how many events a row holds."""
    return len(row.timestamps) if isinstance(row, TokenRow) else 1


def event_texts(run_id: str, rows: list[EventRow | TokenRow]) -> list[str]:
    """Return the rows' events as JSON texts."""
    return [event_text(run_id, one) for row in rows for one in single_rows(row)]


# -- places, without repeating the run's id in each of them


def place_text(run_id: str, place: Place) -> str:
    """Write a place as a JSON array; an id that begins with the run's is shortened."""
    stage, origin, parent, kind, own, cause, owner, attempt, scope = place
    # By hand, because there is one for every invocation.
    return (
        f"[{quoted(stage)}, {quoted(kind)}, {attempt}, "
        f"{json.dumps(scope) if scope else '[]'}, "
        f"{_short(run_id, origin)}, {_short(run_id, parent)}, {_short(run_id, own)}, "
        f"{_short(run_id, cause)}, {_short(run_id, owner)}]"
    )


def read_place(run_id: str, text: str) -> Place:
    """Read what ``place_text`` wrote."""
    stage, node_kind, attempt, scope, *names = json.loads(text)
    origin, parent, own, cause, owner = (_lengthened(run_id, name) for name in names)
    return Place(
        stage, origin, parent, node_kind, own, cause, owner, attempt, tuple(scope)
    )


def _short(run_id: str, name: str | None) -> str:
    if name is None:
        return "null"
    if name.startswith(run_id):
        return f"[{quoted(name[len(run_id) :])}]"
    return quoted(name)


def _lengthened(run_id: str, name: Any) -> str | None:
    if isinstance(name, list):
        return f"{run_id}{name[0]}"
    return None if name is None else str(name)
