"""Observers of runs: logging, timelines, state diffs, barriers and spans.

Names are imported on first use, because every program imports the package and few
programs use all observers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from ..abc import (
        Observer as Observer,
        ObserverMeta as ObserverMeta,
        ObserverProtocol as ObserverProtocol,
        validate_observer as validate_observer,
    )
    from ..logs import LogCapture as LogCapture
    from .barrier import (
        BarrierDebugger as BarrierDebugger,
        BarrierDebugRecord as BarrierDebugRecord,
        BarrierDebugSink as BarrierDebugSink,
    )
    from .compare import (
        RunComparison as RunComparison,
        compare_runs as compare_runs,
        format_comparison as format_comparison,
    )
    from .logger import (
        EventLogger as EventLogger,
        LoggingSink as LoggingSink,
        LogRecord as LogRecord,
        LogSink as LogSink,
        RunFields as RunFields,
        StreamLogSink as StreamLogSink,
    )
    from .metrics import MetricsObserver as MetricsObserver
    from .state import (
        StateDiffTracker as StateDiffTracker,
        StateHistory as StateHistory,
    )
    from .timeline import (
        Timeline as Timeline,
        TimelineVisualizer as TimelineVisualizer,
    )
