"""Everything for testing pipelines: mocks, virtual time, schedules, conformance.

Names are imported when they are first used, so that the pytest plugin in this folder
costs a session that does not use it nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from .._util.failpoints import Seam as Seam
    from ..errors import (
        CleanupFailure as CleanupFailure,
        CrashFailure as CrashFailure,
        Deadlock as Deadlock,
        ScheduleFailure as ScheduleFailure,
        UnansweredAsk as UnansweredAsk,
    )
    from .cancellation_sweep import (
        Sweep as Sweep,
        cancel_everywhere as cancel_everywhere,
    )
    from .conformance import (
        check_journal as check_journal,
        check_placement as check_placement,
        check_storage as check_storage,
    )
    from .crash_sweep import (
        CrashSweep as CrashSweep,
        crash_everywhere as crash_everywhere,
    )
    from .deadlocks import watched as watched
    from .exploration import (
        Exploration as Exploration,
        explore as explore,
        replay as replay,
    )
    from .harness import TestPipe as TestPipe
    from .result import TestResult as TestResult
    from .schedules import (
        Fault as Fault,
        Schedule as Schedule,
        at_seams as at_seams,
    )
    from .virtual_clock import (
        BackendOptions as BackendOptions,
        nothing_left as nothing_left,
        virtual_time as virtual_time,
    )
