"""The JSON shapes of the API that programs written for justpipe read.  Pure.

A rate has one definition everywhere: successes among the runs that have ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import Any

from ..observability.compare import RunComparison
from ..observability.spans import SpanStatus
from ..records import RunRecord, RunSummary, StoredEvent
from ..storage.registry import AnnotatedRun, PipelineInfo
from ..storage.shapes import event_to_json, run_to_json, success_rate
from .spans import spans_of_stored


def serialize_run(
    run: RunRecord, pipeline_name: str, pipeline_hash: str
) -> dict[str, Any]:
    """Return a stored run as JSON data."""
    return run_to_json(AnnotatedRun(run, pipeline_name, pipeline_hash))


def serialize_event(event: StoredEvent) -> dict[str, Any]:
    """Return an event; the user's payload is at ``data.payload``."""
    return event_to_json(event)


def serialize_pipeline(info: PipelineInfo, runs: Sequence[RunRecord]) -> dict[str, Any]:
    """Return a pipeline's summary.

    Args:
        info: the pipeline.
        runs: its runs, the newest first.
    """
    seconds = [run.duration.total_seconds() for run in runs if run.duration is not None]
    counts = Counter(run.label for run in runs)
    return _pipeline(
        info, counts, fmean(seconds) if seconds else None, runs[0] if runs else None
    )


def pipeline_to_json(
    info: PipelineInfo, summary: RunSummary, last: RunRecord | None
) -> dict[str, Any]:
    """Return a pipeline's summary from figures that the store has computed."""
    average = summary.average
    seconds = None if average is None else average.total_seconds()
    return _pipeline(info, Counter(summary.counts), seconds, last)


def _pipeline(
    info: PipelineInfo,
    counts: Counter[str],
    average: float | None,
    last: RunRecord | None,
) -> dict[str, Any]:
    return {
        "name": info.name,
        "hash": info.hash,
        "total_runs": counts.total(),
        "success_count": counts["success"],
        "success_rate": success_rate(counts),
        "avg_duration_seconds": None if average is None else round(average, 3),
        "last_run_time": None if last is None else last.start_time.isoformat(),
        "last_run_status": None if last is None else last.label,
    }


def serialize_comparison(comparison: RunComparison) -> dict[str, Any]:
    """Return a comparison of two runs."""
    return asdict(comparison)


def serialize_stats(runs: Sequence[RunRecord], days: int = 7) -> dict[str, Any]:
    """Return figures over the runs that started in the last days, the newest first."""
    since = datetime.now(UTC) - timedelta(days=days)
    recent = [run for run in runs if run.start_time.astimezone(UTC) >= since]
    counts = Counter(run.label for run in recent)
    failed = [run for run in recent if run.label in ("failed", "timeout")]
    per_day = Counter(
        run.start_time.astimezone(UTC).date().isoformat() for run in recent
    )
    return {
        "total_runs": len(recent),
        "days": days,
        "status_counts": dict(counts),
        "success_count": counts["success"],
        "failed_count": counts["failed"],
        "success_rate": success_rate(counts),
        "duration_stats": _durations(recent),
        "daily_activity": dict(sorted(per_day.items())),
        "recent_errors": [
            {
                "run_id": run.run_id,
                "start_time": run.start_time.isoformat(),
                "error_message": run.error_message,
                "error_step": run.error_step,
            }
            for run in failed[:5]
        ],
    }


def _durations(runs: Sequence[RunRecord]) -> dict[str, float] | None:
    seconds = [run.duration.total_seconds() for run in runs if run.duration is not None]
    if not seconds:
        return None
    return {
        "avg": fmean(seconds),
        "min": min(seconds),
        "max": max(seconds),
        "total": sum(seconds),
    }


def serialize_timeline(events: Sequence[StoredEvent]) -> list[dict[str, Any]]:
    """Return one entry for each invocation that ended, in the order of the ends."""
    spans = [
        (span.end, span)
        for span in spans_of_stored(events)
        if span.end is not None and span.status in (SpanStatus.DONE, SpanStatus.FAILED)
    ]
    spans.sort(key=lambda pair: (pair[0], pair[1].last_seq or 0))
    return [
        {
            "step_name": span.stage or "unknown",
            "start_time": _moment(span.start),
            "end_time": _moment(end),
            "duration_seconds": round(span.seconds, 4),
            "status": "success" if span.status is SpanStatus.DONE else "error",
        }
        for end, span in spans
    ]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
