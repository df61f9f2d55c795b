"""Those who listen to runs; interchangeable parts."""

from __future__ import annotations

from ..abc import Observer, ObserverMeta, ObserverProtocol, validate_observer
from .barriers import BarrierDebugger, BarrierDebugRecord, BarrierDebugSink
from .comparison import RunComparison, compare_runs, format_comparison
from .lines import LogRecord
from .log import EventLogger, LoggingSink, LogSink, StreamLogSink
from .states import StateDiffTracker, StateHistory
from .timeline import Timeline, TimelineVisualizer


__all__ = [
    "BarrierDebugRecord",
    "BarrierDebugSink",
    "BarrierDebugger",
    "EventLogger",
    "LogRecord",
    "LogSink",
    "LoggingSink",
    "Observer",
    "ObserverMeta",
    "ObserverProtocol",
    "RunComparison",
    "StateDiffTracker",
    "StateHistory",
    "StreamLogSink",
    "Timeline",
    "TimelineVisualizer",
    "compare_runs",
    "format_comparison",
    "validate_observer",
]
