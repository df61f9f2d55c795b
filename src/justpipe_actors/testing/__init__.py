"""Everything for testing pipelines: mocks, virtual time, schedules, conformance.

Names are imported when they are first used, so that the pytest plugin in this folder
costs a session that does not use it nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..fronts import front_door


if TYPE_CHECKING:
    from ..errors import CleanupFailure, Deadlock, ScheduleFailure
    from ..seams import Seam
    from .clocks import BackendOptions, virtual_time
    from .conformance import check_placement, check_storage
    from .exploring import Exploration, explore, replay
    from .harness import TestPipe
    from .leaks import nothing_left
    from .result import TestResult
    from .standing import Fault, Schedule, at_seams
    from .sweeping import Sweep, cancel_everywhere
    from .watching import watched


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

_WHERE = {
    "BackendOptions": ".clocks",
    "CleanupFailure": "..errors",
    "Deadlock": "..errors",
    "Exploration": ".exploring",
    "Fault": ".standing",
    "Schedule": ".standing",
    "ScheduleFailure": "..errors",
    "Seam": "..seams",
    "Sweep": ".sweeping",
    "TestPipe": ".harness",
    "TestResult": ".result",
    "at_seams": ".standing",
    "cancel_everywhere": ".sweeping",
    "check_placement": ".conformance",
    "check_storage": ".conformance",
    "explore": ".exploring",
    "nothing_left": ".leaks",
    "replay": ".exploring",
    "virtual_time": ".clocks",
    "watched": ".watching",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = front_door(__name__, _WHERE)
