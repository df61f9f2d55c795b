"""What remembers runs after they ended: stores, and the recorder that fills them."""

from __future__ import annotations

from ..abc import StorageBackend
from ..records import (
    OpenStatus,
    RunQuery,
    RunRecord,
    RunStatus,
    RunSummary,
    StoredEvent,
)
from .memory import InMemoryBackend
from .places import storage_root
from .sqlite import SQLiteBackend


__all__ = [
    "InMemoryBackend",
    "OpenStatus",
    "RunQuery",
    "RunRecord",
    "RunStatus",
    "RunSummary",
    "SQLiteBackend",
    "StorageBackend",
    "StoredEvent",
    "storage_root",
]
