"""What a store must know of an event that comes as text, and what a reader gets of it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import NamedTuple

from ..errors import MalformedEventError
from ..events import EventType
from ..records import StoredEvent


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
