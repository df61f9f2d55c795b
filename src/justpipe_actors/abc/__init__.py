"""Protocols of the interchangeable parts: stores, journals, observers, placements.

Contracts are documented here once; implementations document only what differs.  A
module is imported on first use: a program without a store does not import storage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from ..specs import (
        EventHook as EventHook,
        Middleware as Middleware,
        Redact as Redact,
    )
    from .journal import (
        CommitMode as CommitMode,
        Journal as Journal,
    )
    from .journal_records import (
        Batch as Batch,
        Claim as Claim,
        Commit as Commit,
        JournaledRun as JournaledRun,
        MapItems as MapItems,
        NewAsk as NewAsk,
        NewRun as NewRun,
        OpenAsk as OpenAsk,
        RunFilter as RunFilter,
        RunRow as RunRow,
        Signal as Signal,
        Submitted as Submitted,
        WorkerRow as WorkerRow,
    )
    from .observer import (
        OBSERVER_HOOKS as OBSERVER_HOOKS,
        Observer as Observer,
        ObserverMeta as ObserverMeta,
        ObserverProtocol as ObserverProtocol,
        WaitingJoin as WaitingJoin,
        WakefulProtocol as WakefulProtocol,
        WitnessProtocol as WitnessProtocol,
        no_joins as no_joins,
        validate_observer as validate_observer,
    )
    from .placement import (
        AnyPlacement as AnyPlacement,
        Call as Call,
        LocalPlacement as LocalPlacement,
        LogReport as LogReport,
        Outcome as Outcome,
        Placement as Placement,
        PlacementOwner as PlacementOwner,
        RemoteFailure as RemoteFailure,
        is_remote as is_remote,
    )
    from .storage import (
        ChunkStore as ChunkStore,
        FindHistory as FindHistory,
        HeaderStore as HeaderStore,
        LogStore as LogStore,
        RunHistory as RunHistory,
        RunRecorder as RunRecorder,
        StorageBackend as StorageBackend,
        Wake as Wake,
    )
