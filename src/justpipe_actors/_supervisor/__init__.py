"""The supervisor: admission, durable runs, listeners, diagnostics and drain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from . import (
        questions as questions,
        stored_runs as stored_runs,
    )
    from .active_runs import ActiveRuns as ActiveRuns
    from .catalog import (
        JournalOptions as JournalOptions,
        RunOptions as RunOptions,
    )
    from .core import SupervisorCore as SupervisorCore
    from .diagnostics import (
        Health as Health,
        SnapshotOrder as SnapshotOrder,
        StuckRun as StuckRun,
        SupervisorSnapshot as SupervisorSnapshot,
        check_health as check_health,
        describe_stuck_run as describe_stuck_run,
        recent_dead_letters as recent_dead_letters,
        run_snapshots as run_snapshots,
    )
    from .drain import DrainReport as DrainReport
    from .durable_runs import DurableRuns as DurableRuns
    from .durable_stream import DurableStream as DurableStream
    from .listening import new_listening as new_listening
