"""Build the record of a run: at its start, and at its end with status and reason."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import attrs

from ..codec import to_plain, to_text
from ..events import Event, EventType
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from ..records import OpenStatus, RunRecord
from .queries import this_owner


_FINISH, _TIMEOUT, _SUSPEND = EventType.FINISH, EventType.TIMEOUT, EventType.SUSPEND


@attrs.define(eq=False)
class RunSummaryBuilder:
    """Collects the events that describe how a run ended."""

    finish: Event | None = None
    """Its FINISH, as it may be stored."""
    timeout: str | None = None
    """Message of its TIMEOUT event."""
    suspend: str | None = None
    """Message of its SUSPEND event."""

    def add(self, event: Event, run_id: str) -> None:
        """Keep an event's information about the end of the run."""
        event_type = event.type
        if event_type is _SUSPEND:
            self.suspend = _message_text(event.payload)
        elif event_type is _FINISH and event.origin_run_id == run_id:
            self.finish = event
        elif event_type is _TIMEOUT and event.origin_run_id == run_id:
            self.timeout = _message_text(event.payload)


def initial_record(
    run_id: str, fingerprint: str | None, now: datetime, journal: str | None = None
) -> RunRecord:
    """Return the record of a run that begins in this process."""
    running, owner = OpenStatus.RUNNING, this_owner()
    return RunRecord(
        run_id,
        now,
        None,
        None,
        running,
        fingerprint=fingerprint,
        owner=owner,
        last_seen=now,
        journal=journal,
    )


def waiting_record(record: RunRecord, now: datetime) -> RunRecord:
    """Return the record of a durable run that this process has released."""
    return replace(record, status=OpenStatus.WAITING, last_seen=now)


def final_record(
    record: RunRecord, end: PipelineEndData, summary: RunSummaryBuilder, now: datetime
) -> RunRecord:
    """Return the record of a run that has ended.

    The status comes from the engine; the texts come from FINISH after hooks and
    redaction.
    """
    end_data = summary.finish.payload if summary.finish is not None else end
    if not isinstance(end_data, PipelineEndData):
        end_data = replace(end, error=None, failed_step=None)
    is_suspended = end.status is PipelineTerminalStatus.SUCCESS and bool(
        end.metrics and end.metrics.suspends
    )
    meta = summary.finish.meta if summary.finish is not None else None
    reason = summary.suspend if is_suspended else end.reason and end.reason.value
    return replace(
        record,
        end_time=now,
        duration=timedelta(seconds=end.duration_s),
        status=end.status,
        error_message=end_data.error or _timeout_message(end, summary),
        error_step=end_data.failed_step,
        run_meta=to_text(meta) if meta else None,
        reason=reason,
        is_suspended=is_suspended,
        last_seen=None,
    )


def _timeout_message(end: PipelineEndData, summary: RunSummaryBuilder) -> str | None:
    return summary.timeout if end.status is PipelineTerminalStatus.TIMEOUT else None


def _message_text(payload: object) -> str | None:
    plain = to_plain(payload)
    return plain if plain is None or isinstance(plain, str) else json.dumps(plain)
