"""The sockets: what a part must look like to be plugged in.

Contracts are documented here once; implementations add only what differs.  Who stores
nothing does not import what stores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fronts import front_door


if TYPE_CHECKING:
    from .observing import (
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
    from .placing import (
        Placement,
    )
    from .storing import (
        ChunkStore,
        RunRecorder,
        StorageBackend,
    )
    from .wrapping import (
        EventHook,
        Middleware,
        Redact,
        Wake,
    )


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
    "ChunkStore": ".storing",
    "EventHook": ".wrapping",
    "Middleware": ".wrapping",
    "OBSERVER_HOOKS": ".observing",
    "Observer": ".observing",
    "ObserverMeta": ".observing",
    "ObserverProtocol": ".observing",
    "Placement": ".placing",
    "Redact": ".wrapping",
    "RunRecorder": ".storing",
    "StorageBackend": ".storing",
    "WaitingJoin": ".observing",
    "Wake": ".wrapping",
    "WakefulProtocol": ".observing",
    "WitnessProtocol": ".observing",
    "no_joins": ".observing",
    "validate_observer": ".observing",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = front_door(__name__, _WHERE)
