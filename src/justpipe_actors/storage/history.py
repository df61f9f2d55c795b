"""Read the stored events of runs as ``Event`` objects."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence

import attrs

from ..abc import RunHistory, StorageBackend
from ..codec import from_plain
from ..errors import StoreError, UnreadableDataError
from ..events import Event, EventType
from ..outcomes import PipelineEndData
from ..records import OpenStatus, StoredEvent


_logger = logging.getLogger("justpipe_actors.storage")


UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    UnreadableDataError,
    ValueError,
)
"""Errors that a damaged event may cause."""


def event_of(stored: StoredEvent) -> Event | None:
    """Return the stored event; None if this version cannot read it."""
    try:
        data = json.loads(stored.data)
        if data.get("type") == EventType.FINISH.value:
            data["payload"] = from_plain(data["payload"], PipelineEndData)
        return from_plain(data, Event)
    except UNREADABLE:
        return None


@attrs.frozen
class StoredRunHistory:
    """One run in one store."""

    store: StorageBackend
    run_id: str

    def is_open(self) -> bool:
        """Tell whether a process works on the run."""
        run = self.store.get_run(self.run_id)
        return run is not None and run.status is OpenStatus.RUNNING

    def read(self, after: int, limit: int) -> Sequence[Event]:
        """Return the next events without the unreadable ones."""
        while True:
            stored = self.store.get_events(self.run_id, after=after, limit=limit)
            events = [event for event in map(event_of, stored) if event is not None]
            if events or not stored:
                return events
            after = stored[-1].seq


@attrs.frozen
class StoreHistory:
    """The runs of several stores."""

    stores: Callable[[], Iterable[StorageBackend]]
    """Returns the stores in the order to search them."""

    def find(self, run_id: str) -> RunHistory | None:
        """Return the history of a run; unreadable stores are skipped."""
        for store in self.stores():
            try:
                found = store.get_run(run_id)
            except (sqlite3.Error, OSError, StoreError) as error:
                _logger.warning("Skipped a store that cannot be read: %s", error)
                continue
            if found is not None:
                return StoredRunHistory(store, run_id)
        return None
