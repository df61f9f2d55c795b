"""The sockets: what a part must look like to be plugged in.

Contracts are documented here once; implementations add only what differs.  Who stores
nothing does not import what stores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import front_door


if TYPE_CHECKING:
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
    from .placement import Placement
    from .storage import ChunkStore, RunRecorder, StorageBackend


__all__ = [
    "OBSERVER_HOOKS",
    "ChunkStore",
    "EventHook",
    "Middleware",
    "Observer",
    "ObserverMeta",
    "ObserverProtocol",
    "Placement",
    "Redact",
    "RunRecorder",
    "StorageBackend",
    "WaitingJoin",
    "Wake",
    "WakefulProtocol",
    "WitnessProtocol",
    "no_joins",
    "validate_observer",
]

_WHERE = {
    "ChunkStore": ".storage",
    "EventHook": ".middleware",
    "Middleware": ".middleware",
    "OBSERVER_HOOKS": ".observer",
    "Observer": ".observer",
    "ObserverMeta": ".observer",
    "ObserverProtocol": ".observer",
    "Placement": ".placement",
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
    __getattr__, __dir__ = front_door(__name__, _WHERE)
