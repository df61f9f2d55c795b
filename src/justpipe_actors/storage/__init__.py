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
from .changes import states_of
from .cleanup import (
    CleanupReport,
    CleanupRule,
    delete_stored_runs,
    select_runs,
    select_stored_runs,
)
from .memory import InMemoryBackend
from .places import storage_root
from .redacting import redact_keys
from .registry import AnnotatedRun, PipelineInfo, PipelineRegistry
from .sqlite import SQLiteBackend


__all__ = [
    "AnnotatedRun",
    "CleanupReport",
    "CleanupRule",
    "InMemoryBackend",
    "OpenStatus",
    "PipelineInfo",
    "PipelineRegistry",
    "RunQuery",
    "RunRecord",
    "RunStatus",
    "RunSummary",
    "SQLiteBackend",
    "StorageBackend",
    "StoredEvent",
    "delete_stored_runs",
    "redact_keys",
    "select_runs",
    "select_stored_runs",
    "states_of",
    "storage_root",
]
