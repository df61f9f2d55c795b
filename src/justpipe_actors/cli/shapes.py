"""Stored runs and events as JSON objects: one shape, whichever command writes it."""

from __future__ import annotations

import json
from typing import Any

from ..records import StoredEvent
from ..storage.registry import AnnotatedRun


def run_shape(one: AnnotatedRun) -> dict[str, Any]:
    """Return a run; moments are ISO 8601, durations seconds."""
    run = one.run
    return {
        "run_id": run.run_id,
        "pipeline_name": one.pipeline_name,
        "pipeline_hash": one.pipeline_hash,
        "status": run.label,
        "start_time": run.start_time.isoformat(),
        "end_time": run.end_time.isoformat() if run.end_time else None,
        "duration_seconds": run.duration.total_seconds() if run.duration else None,
        "error_message": run.error_message,
        "error_step": run.error_step,
        "run_meta": parsed(run.run_meta),
    }


def event_shape(event: StoredEvent) -> dict[str, Any]:
    """Return an event; ``data`` is all of it, None if it cannot be read."""
    try:
        data = json.loads(event.data)
    except ValueError:
        data = None
    return {
        "seq": event.seq,
        "event_type": event.type_name,
        "step_name": event.step_name,
        "timestamp": event.timestamp.isoformat(),
        "data": data,
    }


def parsed(text: str | None) -> Any:
    """Return what JSON text says, the text itself if it is none."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def export_head(one: AnnotatedRun) -> dict[str, Any]:
    """Return a run as an export has it: with ``id``, as programs look for it there."""
    shape = run_shape(one)
    return {"id": shape["run_id"], **shape}
