"""Spans of a stored run, and how the pages get them: one short row for each.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..events import Event, EventType, NodeKind
from ..observability.spans import Span, collect_spans
from ..records import StoredEvent


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
)
"""What the cells of a span's row are, in their order."""

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
)
"""What the cells of an event's row in a stream are, in their order."""


def spans_of_stored(events: Iterable[StoredEvent]) -> list[Span]:
    """Return the spans of a run's events, in the order of their starts."""
    headers = (header_of(event) for event in events)
    return collect_spans(header for header in headers if header is not None)


def header_of(stored: StoredEvent) -> Event | None:
    """Return a stored event without its payload; None for a type that is not known."""
    if not isinstance(stored.event_type, EventType):
        return None
    try:
        data = json.loads(stored.data)
    except ValueError:
        data = None
    return _header(stored, stored.event_type, data if isinstance(data, dict) else {})


def _header(stored: StoredEvent, kind: EventType, data: dict[str, Any]) -> Event:
    attempt, scope = data.get("attempt"), data.get("scope")
    return Event(
        kind,
        stored.step_name,
        seq=stored.seq,
        timestamp=stored.timestamp.timestamp(),
        run_id=_text(data.get("run_id")),
        origin_run_id=_text(data.get("origin_run_id")),
        node_kind=_kind(data.get("node_kind")),
        invocation_id=_text(data.get("invocation_id")),
        parent_invocation_id=_text(data.get("parent_invocation_id")),
        owner_invocation_id=_text(data.get("owner_invocation_id")),
        attempt=attempt if isinstance(attempt, int) else 1,
        scope=tuple(str(one) for one in scope) if isinstance(scope, list) else (),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _kind(value: object) -> NodeKind:
    try:
        return NodeKind(value)
    except ValueError:
        return NodeKind.SYSTEM


def span_row(span: Span, begin: float) -> list[Any]:
    """Return a span as a row of ``SPAN_COLUMNS``; times are seconds after ``begin``."""
    own = span.owner == span.invocation_id
    return [
        span.invocation_id,
        span.label,
        span.kind.value,
        round(span.start - begin, 6),
        None if span.end is None else round(span.end - begin, 6),
        "running" if span.end is None else span.status.value,
        span.attempt,
        None if own else span.owner,
        span.first_seq,
        span.last_seq,
        span.stage,
    ]


def event_row(event: Event, payload: Any) -> list[Any]:
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
    ]
