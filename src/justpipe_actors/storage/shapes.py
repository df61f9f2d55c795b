"""Stored runs and events as JSON: one schema for the API, the commands and exports.

Timestamps are ISO 8601 in UTC, durations are seconds, and ``None`` means unknown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..records import StoredEvent
from .registry import AnnotatedRun


UNFINISHED_LABELS = ("running", "waiting", "stuck", "abandoned", "suspended")
"""The labels of runs that have neither succeeded nor failed."""


def run_to_json(one: AnnotatedRun) -> dict[str, Any]:
    """Return a stored run."""
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
        "run_meta": parse_json_or_text(run.run_meta),
    }


def event_to_json(event: StoredEvent) -> dict[str, Any]:
    """Return a stored event; ``data`` is the whole event, None if it cannot be read."""
    try:
        data = json.loads(event.data)
    except (ValueError, RecursionError):
        data = None
    return {
        "seq": event.seq,
        "event_type": event.type_name,
        "step_name": event.step_name,
        "timestamp": event.timestamp.isoformat(),
        "data": data,
    }


def parse_json_or_text(text: str | None) -> Any:
    """Return the value of JSON text, or the text itself if it is not JSON."""
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def success_rate(counts: Mapping[str, int]) -> float | None:
    """Return the successes among the runs that ended, in percent with one decimal."""
    ended = sum(
        number for label, number in counts.items() if label not in UNFINISHED_LABELS
    )
    return round(100 * counts.get("success", 0) / ended, 1) if ended else None
