"""Persistence of runs: stores, and the recorder that writes into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from ..abc import StorageBackend as StorageBackend
    from ..records import (
        OpenStatus as OpenStatus,
        RunQuery as RunQuery,
        RunRecord as RunRecord,
        RunStatus as RunStatus,
        RunSummary as RunSummary,
        StoredEvent as StoredEvent,
    )
    from .chunk_encoder import states_of as states_of
    from .cleanup import (
        CleanupReport as CleanupReport,
        CleanupRule as CleanupRule,
        delete_stored_runs as delete_stored_runs,
        select_runs as select_runs,
        select_stored_runs as select_stored_runs,
    )
    from .memory import InMemoryBackend as InMemoryBackend
    from .paths import storage_root as storage_root
    from .persistence import Persistence as Persistence
    from .redaction import redact_keys as redact_keys
    from .registry import (
        AnnotatedRun as AnnotatedRun,
        PipelineInfo as PipelineInfo,
        PipelineRegistry as PipelineRegistry,
    )
    from .sqlite import SQLiteBackend as SQLiteBackend
