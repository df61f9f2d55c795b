"""A run's record: as it begins, and once it has ended with its true status and why."""

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
class Words:
    """What a run said about its own end."""

    finish: Event | None = None
    """Its FINISH, as it may be stored."""
    timeout: str | None = None
    """What its TIMEOUT said."""
    suspend: str | None = None
    """What its SUSPEND said."""

    def note(self, event: Event, run_id: str) -> None:
        """Remember what an event says about the end."""
        kind = event.type
        if kind is _SUSPEND:
            self.suspend = _text(event.payload)
        elif kind is _FINISH and event.origin_run_id == run_id:
            self.finish = event
        elif kind is _TIMEOUT and event.origin_run_id == run_id:
            self.timeout = _text(event.payload)


def begun(run_id: str, fingerprint: str | None, now: datetime) -> RunRecord:
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
    )


def ended(
    record: RunRecord, end: PipelineEndData, words: Words, now: datetime
) -> RunRecord:
    """Return the record of a run that has ended.

    The status is the engine's own; texts are FINISH's, as hooks and redaction left it.
    """
    told = words.finish.payload if words.finish is not None else end
    if not isinstance(told, PipelineEndData):
        told = replace(end, error=None, failed_step=None)
    is_suspended = end.status is PipelineTerminalStatus.SUCCESS and bool(
        end.metrics and end.metrics.suspends
    )
    meta = words.finish.meta if words.finish is not None else None
    reason = words.suspend if is_suspended else end.reason and end.reason.value
    return replace(
        record,
        end_time=now,
        duration=timedelta(seconds=end.duration_s),
        status=end.status,
        error_message=told.error or _timeout(end, words),
        error_step=told.failed_step,
        run_meta=to_text(meta) if meta else None,
        reason=reason,
        is_suspended=is_suspended,
        last_seen=None,
    )


def _timeout(end: PipelineEndData, words: Words) -> str | None:
    return words.timeout if end.status is PipelineTerminalStatus.TIMEOUT else None


def _text(payload: object) -> str | None:
    plain = to_plain(payload)
    return plain if plain is None or isinstance(plain, str) else json.dumps(plain)
