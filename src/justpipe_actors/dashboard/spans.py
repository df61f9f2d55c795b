"""Spans of a stored run, as compact rows for the pages.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._publishing.event_publisher import INCARNATION_BITS
from ..abc import HeaderStore, StorageBackend
from ..events import Event, EventType
from ..observability.spans import Span, collect_spans
from ..records import EventHeader, StoredEvent
from ..storage.chunk_format import tries_in
from ..storage.headers import parse_header


SPAN_COLUMNS = (
    "id",
    "label",
    "kind",
    "start",
    "end",
    "status",
    "attempt",
    "parent",
    "first_seq",
    "last_seq",
    "step",
    "cause",
    "tries",
)
"""Names of the cells of a span's row, in order."""

EVENT_COLUMNS = (
    "seq",
    "type",
    "stage",
    "t",
    "invocation",
    "attempt",
    "scope",
    "payload",
    "kind",
    "owner",
    "parent",
    "tries",
)
"""Names of the cells of an event's row in a stream, in order."""


def spans_of_stored(events: Iterable[StoredEvent]) -> list[Span]:
    """Return the spans of a run's events, in the order of their starts."""
    headers = (parse_header(event) for event in events)
    return collect_spans(header for header in headers if header is not None)


def headers_of(
    store: StorageBackend, run_id: str, after: int = 0, limit: int | None = None
) -> list[EventHeader]:
    """Return a run's events without payloads, as cheaply as the store can."""
    if isinstance(store, HeaderStore):
        return store.get_event_headers(run_id, after=after, limit=limit)
    parsed = map(parse_header, store.get_events(run_id, after=after, limit=limit))
    return [header for header in parsed if header is not None]


def event_of(store: StorageBackend, run_id: str, seq: int) -> StoredEvent | None:
    """Return one event of a run, as cheaply as the store can."""
    if isinstance(store, HeaderStore):
        return store.get_event(run_id, seq)
    found = store.get_events(run_id, after=seq - 1, limit=1)
    return found[0] if found and found[0].seq == seq else None


def incarnations_of(
    headers: Sequence[EventHeader], begin: float
) -> list[dict[str, Any]]:
    """Return the periods in which one process after another worked on a run.

    Times are seconds after ``begin``; the end of the last one is None.
    """
    if headers and (headers[-1].seq or 0) >> INCARNATION_BITS == 0:
        return [_band(headers[0], begin)]
    starts = [
        index
        for index, header in enumerate(headers)
        if not index or header.type is EventType.RECOVERED
    ]
    bands = [_band(headers[index], begin) for index in starts]
    for band, following in zip(bands, starts[1:], strict=False):
        band["end"] = seconds_after(begin, headers[following - 1].timestamp)
    return bands


def _band(header: EventHeader, begin: float) -> dict[str, Any]:
    """Return the period that an event begins."""
    return {
        "number": ((header.seq or 0) >> INCARNATION_BITS) + 1,
        "start": seconds_after(begin, header.timestamp),
        "end": None,
        "first_seq": header.seq,
    }


def seconds_after(begin: float, moment: float) -> float:
    """Return the seconds from the beginning to a moment, in whole microseconds."""
    return int((moment - begin) * 1e6 + 0.5) / 1e6


def tries_by_number(headers: Iterable[EventHeader]) -> dict[int | None, int]:
    """Return how often a function was called, by the number of the event of its end.

    Functions that were called once are left out.
    """
    return {header.seq: header.tries for header in headers if header.tries != 1}


def span_row(span: Span, begin: float, tries: int = 1) -> list[Any]:
    """Return a span as a row of ``SPAN_COLUMNS``; times are seconds after ``begin``."""
    own = span.owner == span.invocation_id
    end = span.end
    # perf: ``seconds_after`` written out; ``round`` takes three times as long.
    return [
        span.invocation_id,
        span.label,
        span.kind._value_,  # perf: ``value`` is a property that takes a microsecond
        int((span.start - begin) * 1e6 + 0.5) / 1e6,
        None if end is None else int((end - begin) * 1e6 + 0.5) / 1e6,
        "running" if end is None else span.status._value_,
        span.attempt,
        None if own else span.owner,
        span.first_seq,
        span.last_seq,
        span.stage,
        span.cause,
        tries,
    ]


def event_row(event: Event | EventHeader, payload: Any) -> list[Any]:
    """Return an event as a row of ``EVENT_COLUMNS``."""
    return [
        event.seq,
        event.type.value,
        event.stage,
        event.timestamp,
        event.invocation_id,
        event.attempt,
        list(event.scope),
        payload,
        event.node_kind.value,
        event.owner_invocation_id,
        event.parent_invocation_id,
        event.tries if isinstance(event, EventHeader) else tries_in(event.meta),
    ]
