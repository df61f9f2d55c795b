"""Your code is the graph, and every step is an actor.

Names are imported when they are first used: pytest imports this package in every
session on a machine that has it, for its plugin, and must not pay for the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._util.lazy_import import lazy_exports


if TYPE_CHECKING:
    from .daemon import serve
    from .errors import DefinitionError
    from .events import Event, EventType
    from .merge import Merge, Shared
    from .meta import Meta
    from .middleware import simple_logging_middleware
    from .pipe import Pipe
    from .signals import Ask, Raise, Retry, Skip, Stop, Suspend
    from .supervisor import Supervisor
    from .testing.harness import TestPipe
    from .testing.result import TestResult
    from .waiting import ask, idempotency_key, once, sleep_until


__all__ = [
    "Ask",
    "DefinitionError",
    "Event",
    "EventType",
    "Merge",
    "Meta",
    "Pipe",
    "Raise",
    "Retry",
    "Shared",
    "Skip",
    "Stop",
    "Supervisor",
    "Suspend",
    "TestPipe",
    "TestResult",
    "ask",
    "idempotency_key",
    "once",
    "serve",
    "simple_logging_middleware",
    "sleep_until",
]

_MODULE_OF = {
    "sleep_until": ".waiting",
    "once": ".waiting",
    "idempotency_key": ".waiting",
    "ask": ".waiting",
    "Ask": ".signals",
    "DefinitionError": ".errors",
    "Event": ".events",
    "EventType": ".events",
    "Merge": ".merge",
    "Meta": ".meta",
    "Pipe": ".pipe",
    "Raise": ".signals",
    "Retry": ".signals",
    "Shared": ".merge",
    "Skip": ".signals",
    "Stop": ".signals",
    "Supervisor": ".supervisor",
    "Suspend": ".signals",
    "TestPipe": ".testing.harness",
    "TestResult": ".testing.result",
    "serve": ".daemon",
    "simple_logging_middleware": ".middleware",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF)
