"""A stored run told again: its events go through the same rows as a live one's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..abc import StorageBackend
from ..codec import from_plain
from ..errors import UnreadableDataError
from ..events import Event, EventType
from ..outcomes import PipelineEndData
from ..records import RunRecord, StoredEvent
from .outline import outline
from .progress import Progress


PAGE = 1000
"""Events that are read at once."""


def event_of(stored: StoredEvent) -> Event | None:
    """Return the event that was stored; None if this version cannot read it."""
    try:
        data = json.loads(stored.data)
        if data.get("type") == EventType.FINISH.value:
            data["payload"] = from_plain(data["payload"], PipelineEndData)
        return from_plain(data, Event)
    except (ValueError, LookupError, AttributeError, UnreadableDataError):
        return None


def stored_events(
    store: StorageBackend, run_id: str, after: int = 0
) -> Iterator[StoredEvent]:
    """Yield a run's events, a page of them in memory at a time."""
    while page := store.get_events(run_id, after=after, limit=PAGE):
        yield from page
        after = page[-1].seq


def told(
    store: StorageBackend, run: RunRecord, latest: Mapping[str, Any] | None
) -> Progress:
    """Return how far a stored run has come.

    Args:
        store: where it is.
        run: the run.
        latest: how its pipeline looked at its latest run, if that is known.
    """
    progress = planned(store, run, latest)
    for stored in stored_events(store, run.run_id):
        event = event_of(stored)
        if event is not None:
            progress.hear(event)
    return progress


def planned(
    store: StorageBackend, run: RunRecord, latest: Mapping[str, Any] | None
) -> Progress:
    """Return the rows of a stored run before its first event."""
    text = store.get_definition(run.fingerprint) if run.fingerprint else None
    try:
        return outline(json.loads(text) if text else latest or NO_STEPS)
    except (ValueError, LookupError, TypeError, AttributeError):
        return Progress({})


NO_STEPS: dict[str, Any] = {"nodes": {}, "topology": {}}
"""The description of a pipeline that nobody described."""
