"""The sockets: what a part must look like to be plugged in.

Contracts are documented here once; implementations add only what differs.  Who stores
nothing does not import what stores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import lazy_exports


if TYPE_CHECKING:
    from .journal import CommitMode, Journal
    from .journal_records import (
        Batch,
        Claim,
        Commit,
        JournaledRun,
        MapItems,
        NewAsk,
        NewRun,
        OpenAsk,
        RunFilter,
        RunRow,
        Signal,
        Submitted,
        WorkerRow,
    )
    from .middleware import EventHook, Middleware, Redact, Wake
    from .observer import (
        OBSERVER_HOOKS,
        Observer,
        ObserverMeta,
        ObserverProtocol,
        WaitingJoin,
        WakefulProtocol,
        WitnessProtocol,
        no_joins,
        validate_observer,
    )
    from .placement import (
        AnyPlacement,
        Call,
        LocalPlacement,
        LogReport,
        Outcome,
        Placement,
        PlacementOwner,
        RemoteFailure,
        is_remote,
    )
    from .storage import ChunkStore, RunRecorder, StorageBackend


__all__ = [
    "OBSERVER_HOOKS",
    "AnyPlacement",
    "Batch",
    "Call",
    "ChunkStore",
    "Claim",
    "Commit",
    "CommitMode",
    "EventHook",
    "Journal",
    "JournaledRun",
    "LocalPlacement",
    "LogReport",
    "MapItems",
    "Middleware",
    "NewAsk",
    "NewRun",
    "Observer",
    "ObserverMeta",
    "ObserverProtocol",
    "OpenAsk",
    "Outcome",
    "Placement",
    "PlacementOwner",
    "Redact",
    "RemoteFailure",
    "RunFilter",
    "RunRecorder",
    "RunRow",
    "Signal",
    "StorageBackend",
    "Submitted",
    "WaitingJoin",
    "Wake",
    "WakefulProtocol",
    "WitnessProtocol",
    "WorkerRow",
    "is_remote",
    "no_joins",
    "validate_observer",
]

_MODULE_OF = {
    "Batch": ".journal_records",
    "Claim": ".journal_records",
    "Commit": ".journal_records",
    "JournaledRun": ".journal_records",
    "MapItems": ".journal_records",
    "NewAsk": ".journal_records",
    "NewRun": ".journal_records",
    "OpenAsk": ".journal_records",
    "RunFilter": ".journal_records",
    "RunRow": ".journal_records",
    "Signal": ".journal_records",
    "Submitted": ".journal_records",
    "WorkerRow": ".journal_records",
    "CommitMode": ".journal",
    "Journal": ".journal",
    "ChunkStore": ".storage",
    "EventHook": ".middleware",
    "Middleware": ".middleware",
    "OBSERVER_HOOKS": ".observer",
    "Observer": ".observer",
    "ObserverMeta": ".observer",
    "ObserverProtocol": ".observer",
    "AnyPlacement": ".placement",
    "Call": ".placement",
    "LocalPlacement": ".placement",
    "LogReport": ".placement",
    "Outcome": ".placement",
    "Placement": ".placement",
    "PlacementOwner": ".placement",
    "RemoteFailure": ".placement",
    "is_remote": ".placement",
    "Redact": ".middleware",
    "RunRecorder": ".storage",
    "StorageBackend": ".storage",
    "WaitingJoin": ".observer",
    "Wake": ".middleware",
    "WakefulProtocol": ".observer",
    "WitnessProtocol": ".observer",
    "no_joins": ".observer",
    "validate_observer": ".observer",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF)
