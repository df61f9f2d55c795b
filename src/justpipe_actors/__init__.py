"""Your code is the graph, and every step is an actor."""

from __future__ import annotations

from .errors import DefinitionError
from .events import Event, EventType
from .meta import Meta
from .middleware import simple_logging_middleware
from .pipe import Pipe
from .signals import Raise, Retry, Skip, Stop, Suspend
from .supervisor import Supervisor


__all__ = [
    "DefinitionError",
    "Event",
    "EventType",
    "Meta",
    "Pipe",
    "Raise",
    "Retry",
    "Skip",
    "Stop",
    "Supervisor",
    "Suspend",
    "simple_logging_middleware",
]
