"""The JSON format of stored events: encode and decode chunks and event texts."""

from __future__ import annotations

import json
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ..codec import EVENT_KEYS, to_text
from ..errors import MalformedEventError
from ..events import EventType
from ..records import EventChunk, StoredEvent


PayloadLookup = Callable[[int], object]
"""Returns the payload of an earlier event, as plain data."""

_MIN_SHORTENED_ID = 16  # characters of a run's id from which it is shortened
_SHORTENED_PREFIX = '{"run_id":"$",'


class ChunkEvent(NamedTuple):
    """One event of a chunk."""

    seq: int
    """Number of the event within its run."""
    type: str
    """Value of ``Event.type``."""
    timestamp: float
    """Seconds since the epoch."""
    stage: str
    """``Event.stage``."""
    text: str
    """The event as JSON, with its keys in the order of ``EVENT_KEYS``."""


def encode_times(times: array[float]) -> bytes:
    """Encode timestamps as ``EventChunk.times``."""
    if sys.byteorder == "big":
        times = times[:]
        times.byteswap()
    return times.tobytes()


def decode_times(data: bytes) -> array[float]:
    """Decode ``EventChunk.times``.

    Raises:
        ValueError: the data is no array of doubles.
    """
    times = array("d")
    times.frombytes(data)
    if sys.byteorder == "big":
        times.byteswap()
    return times


def encode_fields(
    run_id: str, constants: dict[str, object], each: dict[str, list[Any]]
) -> str:
    """Encode fields as ``EventChunk.fields``."""
    fields = {"run_id": run_id, **constants, "each": _without_repeated_columns(each)}
    try:
        text = _encode(fields)
    except (TypeError, ValueError):
        text = to_text(fields)  # a hook has added values that are no JSON
    if len(run_id) >= _MIN_SHORTENED_ID and '"$' not in text:
        return text.replace(_json_prefix(run_id), '"$')
    return text


def tries_in(meta: object) -> int:
    """Return how often ``retries=`` called a function, from the meta of its end."""
    framework = meta.get("framework") if isinstance(meta, dict) else None
    tries = framework.get("tries") if isinstance(framework, dict) else None
    return tries if isinstance(tries, int) and tries > 1 else 1


def several_tries(metas: str) -> dict[int, int]:
    """Return how often ``retries=`` called functions, from ``EventChunk.metas``.

    The keys are indexes in the chunk; functions that were called once are left out.
    """
    if '"tries":' not in metas:
        return {}
    counts = enumerate(map(tries_in, json.loads(metas)))
    return {n: tries for n, tries in counts if tries > 1}


def decode_fields(run_id: str, text: str) -> dict[str, Any]:
    """Decode ``EventChunk.fields``.

    Raises:
        ValueError: it is no JSON object.
    """
    if text.startswith(_SHORTENED_PREFIX):
        text = text.replace('"$', _json_prefix(run_id))
    fields: dict[str, Any] = json.loads(text)
    each = fields.get("each") if type(fields) is dict else None
    if type(each) is not dict:
        msg = "a chunk's fields are no JSON object with each"
        raise ValueError(msg)
    for name, column in each.items():
        if isinstance(column, str):
            each[name] = each[column]
    return fields


def _without_repeated_columns(each: dict[str, list[Any]]) -> dict[str, list[Any] | str]:
    """Replace equal columns by a reference: most invocations are their own owner."""
    own, owner = each.get("invocation_id"), each.get("owner_invocation_id")
    if own is not None and own == owner:
        return {**each, "owner_invocation_id": "invocation_id"}
    return {**each}


_encode = json.JSONEncoder(separators=(",", ":")).encode


def _json_prefix(run_id: str) -> str:
    return json.dumps(run_id)[:-1]


def decode_events(
    run_id: str, chunk: EventChunk, find_payload: PayloadLookup, after: int = 0
) -> Iterator[ChunkEvent]:
    """Return a chunk's events, one by one.

    Args:
        run_id: the run.
        chunk: the chunk.
        find_payload: looks earlier payloads up, in this chunk or before it.
        after: only those with a greater number.

    Raises:
        ValueError: the whole chunk is unreadable.
    """
    fields = decode_fields(run_id, chunk.fields)
    fields["run_id"] = run_id
    each: dict[str, list[Any]] = fields.pop("each")
    times = decode_times(chunk.times)
    payloads = decode_payloads(chunk)
    metas = json.loads(chunk.metas) if chunk.metas else [None] * len(payloads)
    repeated = json.loads(chunk.echoes) if chunk.echoes else {}
    for column in (times, metas, *each.values()):
        if len(column) != len(payloads):
            msg = f"a chunk's columns have {len(column)} and {len(payloads)} values"
            raise ValueError(msg)
    start = max(after + 1 - chunk.first, 0)
    for n, payload in enumerate(payloads[start:], start):
        event = {**fields, **{name: column[n] for name, column in each.items()}}
        event["seq"], event["timestamp"] = chunk.first + n, times[n]
        repeated_seq = repeated.get(str(n))
        event["payload"] = (
            payload if repeated_seq is None else find_payload(repeated_seq)
        )
        event["meta"] = metas[n]
        yield ChunkEvent(
            chunk.first + n,
            str(event["type"]),
            times[n],
            str(event["stage"]),
            event_text(event),
        )


def decode_payloads(chunk: EventChunk) -> list[Any]:
    """Return a chunk's payloads, without those that it only refers to.

    Raises:
        ValueError: they are not as many as its events.
    """
    payloads = json.loads(chunk.payloads)
    if len(payloads) != chunk.last - chunk.first + 1:
        msg = f"a chunk of {chunk.first} to {chunk.last} has {len(payloads)} payloads"
        raise ValueError(msg)
    return list(payloads)


def event_text(event: dict[str, Any]) -> str:
    """Return an event as JSON text with its keys in their order."""
    return json.dumps({key: event.get(key) for key in EVENT_KEYS})


def event_texts(
    run_id: str, chunk: EventChunk, find_payload: PayloadLookup | None = None
) -> list[str]:
    """Return a chunk's events as JSON texts."""
    return [
        event.text
        for event in decode_events(run_id, chunk, find_payload or _no_payload)
    ]


def _no_payload(seq: int) -> object:
    return None


_TYPES: dict[str, EventType] = {kind.value: kind for kind in EventType}


class EventLine(NamedTuple):
    """An event given as JSON text, and the fields that the store needs."""

    seq: int | None
    """Sequence number in the event's JSON; None if missing or no positive integer."""
    type: str
    """Its type, known or not."""
    stage: str
    """Its stage; empty when it has none."""
    timestamp: float
    """Seconds since the epoch; the current time if the JSON has none."""
    text: str
    """The whole JSON text."""


def parse_event_text(text: str) -> EventLine:
    """Parse the fields that the store needs from an event's JSON text.

    Raises:
        MalformedEventError: it is no JSON object.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedEventError(text[:80], str(error)) from error
    if not isinstance(fields, dict):
        raise MalformedEventError(text[:80], "it is no JSON object")
    return EventLine(
        _valid_seq(fields.get("seq")),
        str(fields.get("type", "")),
        str(fields.get("stage") or ""),
        _timestamp_or_now(fields.get("timestamp")),
        text,
    )


def _valid_seq(value: object) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    return value if is_number and isinstance(value, int) else None


def _timestamp_or_now(value: object) -> float:
    return float(value) if isinstance(value, int | float) else time.time()


def stored_event(
    seq: int, kind: str, timestamp: float, stage: str, text: str
) -> StoredEvent:
    """Build a stored event; an unknown event type stays text."""
    received_at = datetime.fromtimestamp(timestamp, UTC)
    return StoredEvent(seq, received_at, _TYPES.get(kind, kind), stage, text)
