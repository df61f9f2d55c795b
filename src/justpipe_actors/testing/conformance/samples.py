"""Runs and events to store, and how to look at what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ...abc import StorageBackend
from ...outcomes import PipelineTerminalStatus
from ...records import OpenStatus, RunRecord, StoredEvent
from ...storage.queries import this_owner


Check = Callable[[StorageBackend], None]
"""A claim about stores, given a new and empty one."""

DAWN = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
"""When everything begins."""

SUCCESS = PipelineTerminalStatus.SUCCESS
FAILED = PipelineTerminalStatus.FAILED


def a_run(name: str, *, minute: int = 0, **changes: Any) -> RunRecord:
    """Return a run that took two seconds."""
    start = DAWN + timedelta(minutes=minute)
    run = RunRecord(
        name, start, start + timedelta(seconds=2), timedelta(seconds=2), SUCCESS
    )
    return replace(run, **changes)


def a_running_run(name: str, **changes: Any) -> RunRecord:
    """Return a run of this very process that has not ended."""
    known: dict[str, Any] = {
        "end_time": None,
        "duration": None,
        "status": OpenStatus.RUNNING,
        "owner": this_owner(),
        "last_seen": datetime.now(UTC),
    }
    return a_run(name, **{**known, **changes})


def text_of(seq: int | None, kind: str = "step_start", stage: str = "a") -> str:
    """Return an event as JSON text."""
    event = {"type": kind, "stage": stage, "timestamp": DAWN.timestamp(), "payload": 1}
    return json.dumps(event if seq is None else {**event, "seq": seq})


def seqs(events: list[StoredEvent]) -> list[int]:
    """Return the events' numbers."""
    return [event.seq for event in events]


def names(runs: list[RunRecord]) -> list[str]:
    """Return the runs' ids."""
    return [run.run_id for run in runs]
