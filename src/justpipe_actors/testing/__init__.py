"""Everything for testing pipelines: mocks, virtual time, schedules, conformance.

Names are imported when they are first used, so that the pytest plugin in this folder
costs a session that does not use it nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import lazy_exports


if TYPE_CHECKING:
    from .._util.failpoints import Seam
    from ..errors import CleanupFailure, Deadlock, ScheduleFailure
    from .cancellation_sweep import Sweep, cancel_everywhere
    from .conformance import check_placement, check_storage
    from .deadlocks import watched
    from .exploration import Exploration, explore, replay
    from .harness import TestPipe
    from .result import TestResult
    from .schedules import Fault, Schedule, at_seams
    from .virtual_clock import BackendOptions, nothing_left, virtual_time


__all__ = [
    "BackendOptions",
    "CleanupFailure",
    "Deadlock",
    "Exploration",
    "Fault",
    "Schedule",
    "ScheduleFailure",
    "Seam",
    "Sweep",
    "TestPipe",
    "TestResult",
    "at_seams",
    "cancel_everywhere",
    "check_placement",
    "check_storage",
    "explore",
    "nothing_left",
    "replay",
    "virtual_time",
    "watched",
]

_MODULE_OF = {
    "BackendOptions": ".virtual_clock",
    "CleanupFailure": "..errors",
    "Deadlock": "..errors",
    "Exploration": ".exploration",
    "Fault": ".schedules",
    "Schedule": ".schedules",
    "ScheduleFailure": "..errors",
    "Seam": ".._util.failpoints",
    "Sweep": ".cancellation_sweep",
    "TestPipe": ".harness",
    "TestResult": ".result",
    "at_seams": ".schedules",
    "cancel_everywhere": ".cancellation_sweep",
    "check_placement": ".conformance",
    "check_storage": ".conformance",
    "explore": ".exploration",
    "nothing_left": ".virtual_clock",
    "replay": ".exploration",
    "virtual_time": ".virtual_clock",
    "watched": ".deadlocks",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF)
