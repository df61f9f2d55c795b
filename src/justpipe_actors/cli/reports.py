"""Figures over many stored runs.  Pure.

A rate has one definition: successes among the runs that have ended.  Runs that are
still running, were abandoned or suspended are counted, and do not affect the rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from statistics import fmean
from typing import Any

import attrs

from .._util.user_objects import call_or
from ..abc import StorageBackend
from ..events import EventType
from ..outcomes import PipelineEndData
from ..records import RunRecord
from ..storage.history import event_of
from ..storage.registry import AnnotatedRun, PipelineRegistry
from ..storage.shapes import (
    event_to_json as event_to_json,
    parse_json_or_text as parse_json_or_text,
    run_to_json as run_to_json,
    success_rate as success_rate,
)


def stored_end(store: StorageBackend, run: RunRecord) -> PipelineEndData | None:
    """Return the payload of a stored run's FINISH; None if there is none to be read."""
    ends = [
        event.payload
        for event in map(event_of, store.get_events(run.run_id, EventType.FINISH))
        if event is not None and event.stage == "system"
    ]
    return ends[-1] if ends and isinstance(ends[-1], PipelineEndData) else None


def error_text_of(registry: PipelineRegistry, annotated: AnnotatedRun) -> str | None:
    """Return why a stored run was no success, the exception's type first."""
    run = annotated.run
    if run.error_message is None:
        return None
    # A damaged store may raise anything; the record still has the message.
    end = call_or(
        None, lambda: stored_end(registry.get_backend(annotated.pipeline_hash), run)
    )
    return run.error_message if end is None else end.error_text or run.error_message


def exported_run(annotated: AnnotatedRun) -> dict[str, Any]:
    """Return a run as an export has it: with ``id``, as programs look for it there."""
    fields = run_to_json(annotated)
    return {"id": fields["run_id"], **fields}


UNFINISHED_LABELS = ("running", "abandoned", "suspended")
"""Labels of runs that a rate does not count."""

SLOW_FACTOR = 3
"""A run that takes this many times the mean duration is marked as slow."""


@attrs.frozen
class Durations:
    """How long runs took, in seconds."""

    average: float
    shortest: float
    longest: float
    total: float


@attrs.frozen
class RunStatistics:
    """The report about some runs."""

    days: int
    """Number of days that the report covers."""
    counts: dict[str, int]
    """Number of runs by status."""
    durations: Durations | None
    """Durations of the runs; None if no run has one."""
    pipelines: dict[str, int]
    """Number of runs by pipeline, the most first."""
    daily: dict[date, int]
    """Number of runs by day of their start in local time: all days, today first."""
    failures: list[AnnotatedRun]
    """The newest failed runs."""

    @property
    def total(self) -> int:
        """How many runs."""
        return sum(self.counts.values())

    @property
    def rate(self) -> float | None:
        """Successes among the runs that ended, in percent."""
        return success_rate(self.counts)

    def warnings(self) -> list[str]:
        """Return the problems, a sentence each."""
        messages: list[str] = []
        failed, succeeded = self.counts.get("failed", 0), self.counts.get("success", 0)
        if failed > succeeded:
            messages.append(
                f"More runs failed ({failed:,}) than succeeded ({succeeded:,})."
            )
        duration = self.durations
        if duration is not None and duration.longest > SLOW_FACTOR * duration.average:
            messages.append(
                f"The slowest run took more than {SLOW_FACTOR} times the average."
            )
        return messages


def summarize_runs(
    runs: Sequence[AnnotatedRun], days: int, now: datetime
) -> RunStatistics:
    """Return the figures of the runs of the last days; the newest run comes first."""
    failed = [
        annotated for annotated in runs if annotated.run.label in ("failed", "timeout")
    ]
    today = now.astimezone().date()
    per_day = Counter(
        annotated.run.start_time.astimezone().date() for annotated in runs
    )
    return RunStatistics(
        days=days,
        counts=dict(Counter(annotated.run.label for annotated in runs).most_common()),
        durations=_durations([annotated.run for annotated in runs]),
        pipelines=dict(
            Counter(annotated.pipeline_name for annotated in runs).most_common()
        ),
        daily={
            day: per_day[day]
            for day in (today - timedelta(days=days_ago) for days_ago in range(days))
        },
        failures=failed[:3],
    )


def _durations(runs: Sequence[RunRecord]) -> Durations | None:
    seconds = [run.duration.total_seconds() for run in runs if run.duration is not None]
    if not seconds:
        return None
    return Durations(fmean(seconds), min(seconds), max(seconds), sum(seconds))


def statistics_to_json(statistics: RunStatistics) -> dict[str, Any]:
    """Return the figures as a JSON object."""
    duration = statistics.durations
    return {
        "total_runs": statistics.total,
        "days": statistics.days,
        "status_counts": statistics.counts,
        "success_count": statistics.counts.get("success", 0),
        "failed_count": statistics.counts.get("failed", 0),
        "success_rate": statistics.rate,
        "duration_stats": None
        if duration is None
        else {
            "avg": duration.average,
            "min": duration.shortest,
            "max": duration.longest,
            "total": duration.total,
        },
        "pipelines": statistics.pipelines,
        "daily_activity": {str(d): n for d, n in statistics.daily.items() if n},
        "recent_errors": [
            {
                "run_id": annotated.run.run_id,
                "start_time": annotated.run.start_time.isoformat(),
                "error_message": annotated.run.error_message,
                "error_step": annotated.run.error_step,
            }
            for annotated in statistics.failures
        ],
        "warnings": statistics.warnings(),
    }
