"""Those who listen to runs; interchangeable parts.

Names are imported when they are first used: every program has a pipe, and few attach
all of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fronts import front_door


if TYPE_CHECKING:
    from ..abc import Observer, ObserverMeta, ObserverProtocol, validate_observer
    from .barriers import BarrierDebugger, BarrierDebugRecord, BarrierDebugSink
    from .comparison import RunComparison, compare_runs, format_comparison
    from .fields import RunFields
    from .history import StateHistory
    from .lines import LogRecord
    from .log import EventLogger, LoggingSink, LogSink, StreamLogSink
    from .states import StateDiffTracker
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
    "RunFields",
    "StateDiffTracker",
    "StateHistory",
    "StreamLogSink",
    "Timeline",
    "TimelineVisualizer",
    "compare_runs",
    "format_comparison",
    "validate_observer",
]

_WHERE = {
    "BarrierDebugRecord": ".barriers",
    "BarrierDebugSink": ".barriers",
    "BarrierDebugger": ".barriers",
    "EventLogger": ".log",
    "LogRecord": ".lines",
    "LogSink": ".log",
    "LoggingSink": ".log",
    "Observer": "..abc",
    "ObserverMeta": "..abc",
    "ObserverProtocol": "..abc",
    "RunComparison": ".comparison",
    "RunFields": ".fields",
    "StateDiffTracker": ".states",
    "StateHistory": ".history",
    "StreamLogSink": ".log",
    "Timeline": ".timeline",
    "TimelineVisualizer": ".timeline",
    "compare_runs": ".comparison",
    "format_comparison": ".comparison",
    "validate_observer": "..abc",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = front_door(__name__, _WHERE)
