"""Façade: what a store is made of, under the reference's module name."""

from __future__ import annotations

from ..abc import ChunkStore, StorageBackend
from ..records import (
    EventChunk,
    OpenStatus,
    RunQuery,
    RunRecord,
    RunStatus,
    RunSummary,
    StoredEvent,
)


__all__ = [
    "MAX_QUERY_LIMIT",
    "ChunkStore",
    "EventChunk",
    "OpenStatus",
    "RunQuery",
    "RunRecord",
    "RunStatus",
    "RunSummary",
    "StorageBackend",
    "StoredEvent",
]

MAX_QUERY_LIMIT = 10_000
"""Runs a program for the reference asks for at most; no limit of this package."""
