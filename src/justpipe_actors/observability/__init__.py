"""Those who listen to runs; interchangeable parts."""

from __future__ import annotations

from ..abc import Observer, ObserverMeta, ObserverProtocol, validate_observer
from .lines import LogRecord
from .log import EventLogger, LoggingSink, LogSink, StreamLogSink


__all__ = [
    "EventLogger",
    "LogRecord",
    "LogSink",
    "LoggingSink",
    "Observer",
    "ObserverMeta",
    "ObserverProtocol",
    "StreamLogSink",
    "validate_observer",
]
