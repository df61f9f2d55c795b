"""Those who listen to runs; interchangeable parts.

Names are imported when they are first used: every program has a pipe, and few attach
all of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import lazy_exports


if TYPE_CHECKING:
    from ..abc import Observer, ObserverMeta, ObserverProtocol, validate_observer
    from .barrier import BarrierDebugger, BarrierDebugRecord, BarrierDebugSink
    from .compare import RunComparison, compare_runs, format_comparison
    from .logger import (
        EventLogger,
        LoggingSink,
        LogRecord,
        LogSink,
        RunFields,
        StreamLogSink,
    )
    from .state import StateDiffTracker, StateHistory
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

_MODULE_OF = {
    "BarrierDebugRecord": ".barrier",
    "BarrierDebugSink": ".barrier",
    "BarrierDebugger": ".barrier",
    "EventLogger": ".logger",
    "LogRecord": ".logger",
    "LogSink": ".logger",
    "LoggingSink": ".logger",
    "Observer": "..abc",
    "ObserverMeta": "..abc",
    "ObserverProtocol": "..abc",
    "RunComparison": ".compare",
    "RunFields": ".logger",
    "StateDiffTracker": ".state",
    "StateHistory": ".state",
    "StreamLogSink": ".logger",
    "Timeline": ".timeline",
    "TimelineVisualizer": ".timeline",
    "compare_runs": ".compare",
    "format_comparison": ".compare",
    "validate_observer": "..abc",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF)
