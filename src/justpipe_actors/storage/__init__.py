"""What remembers runs after they ended: stores, and the recorder that fills them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import lazy_exports


if TYPE_CHECKING:
    from ..abc import StorageBackend
    from ..records import (
        OpenStatus,
        RunQuery,
        RunRecord,
        RunStatus,
        RunSummary,
        StoredEvent,
    )
    from .chunk_encoder import states_of
    from .cleanup import (
        CleanupReport,
        CleanupRule,
        delete_stored_runs,
        select_runs,
        select_stored_runs,
    )
    from .memory import InMemoryBackend
    from .paths import storage_root
    from .persistence import Persistence as Persistence
    from .redaction import redact_keys
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

_MODULE_OF = {
    "AnnotatedRun": ".registry",
    "CleanupReport": ".cleanup",
    "CleanupRule": ".cleanup",
    "InMemoryBackend": ".memory",
    "OpenStatus": "..records",
    "Persistence": ".persistence",
    "PipelineInfo": ".registry",
    "PipelineRegistry": ".registry",
    "RunQuery": "..records",
    "RunRecord": "..records",
    "RunStatus": "..records",
    "RunSummary": "..records",
    "SQLiteBackend": ".sqlite",
    "StorageBackend": "..abc",
    "StoredEvent": "..records",
    "delete_stored_runs": ".cleanup",
    "redact_keys": ".redaction",
    "select_runs": ".cleanup",
    "select_stored_runs": ".cleanup",
    "states_of": ".chunk_encoder",
    "storage_root": ".paths",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF)
