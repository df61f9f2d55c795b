"""The histories of runs at work elsewhere: stores, journal and storage root."""

from __future__ import annotations

from collections.abc import Iterator

from ..abc import StorageBackend
from ..abc.history import EventHistory
from ..storage.history import StoreHistory
from ..storage.paths import storage_root
from ..storage.registry import PipelineRegistry
from .admission import ActiveRuns
from .catalog import Catalog
from .durable_runs import DurableRuns
from .listening import JournalHistory, Listening


def new_listening(
    active_runs: ActiveRuns, catalog: Catalog, durable: DurableRuns | None
) -> Listening:
    """Return the listeners of a supervisor."""
    history: EventHistory = StoreHistory(lambda: _stores(active_runs, catalog))

    def cancel_elsewhere(run_id: str, reason: str) -> None:
        if durable is not None:
            durable.cancel_soon(run_id, reason)

    if durable is not None:
        history = JournalHistory(durable.journal, history)
    return Listening(active_runs, history, cancel_elsewhere)


def _stores(active_runs: ActiveRuns, catalog: Catalog) -> Iterator[StorageBackend]:
    """Return the stores of its pipes, then all under their roots: versions differ."""
    for pipe in catalog.persisted():
        active_runs.remember_store(pipe.open_store)
    for open_store in list(active_runs.stores):
        yield open_store()
    roots = {storage_root(): None}
    roots |= {pipe.storage_root: None for pipe in catalog.persisted()}
    for root in roots:
        registry = PipelineRegistry(root)
        for info in registry.list_pipelines():
            yield registry.get_backend(info.hash)
