"""Sample runs and events for the checks of stores."""

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

START_TIME = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
"""Start time of the sample runs."""

SUCCESS = PipelineTerminalStatus.SUCCESS
FAILED = PipelineTerminalStatus.FAILED


def make_run(name: str, *, minute: int = 0, **changes: Any) -> RunRecord:
    """Return a run that took two seconds."""
    start = START_TIME + timedelta(minutes=minute)
    run = RunRecord(
        name, start, start + timedelta(seconds=2), timedelta(seconds=2), SUCCESS
    )
    return replace(run, **changes)


def make_running_run(name: str, **changes: Any) -> RunRecord:
    """Return a run of this very process that has not ended."""
    running_fields: dict[str, Any] = {
        "end_time": None,
        "duration": None,
        "status": OpenStatus.RUNNING,
        "owner": this_owner(),
        "last_seen": datetime.now(UTC),
    }
    return make_run(name, **{**running_fields, **changes})


def event_text(
    seq: int | None, event_type: str = "step_start", stage: str = "a"
) -> str:
    """Return an event as JSON text."""
    event = {
        "type": event_type,
        "stage": stage,
        "timestamp": START_TIME.timestamp(),
        "payload": 1,
    }
    return json.dumps(event if seq is None else {**event, "seq": seq})


def seqs(events: list[StoredEvent]) -> list[int]:
    """Return the events' numbers."""
    return [event.seq for event in events]


def run_ids(runs: list[RunRecord]) -> list[str]:
    """Return the runs' ids."""
    return [run.run_id for run in runs]
