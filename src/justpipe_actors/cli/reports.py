"""Figures over many stored runs.  Pure.

A rate has one definition: successes among the runs that have ended.  Runs that are still
running, were abandoned or suspended are counted, and belong to neither side.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from statistics import fmean
from typing import Any

import attrs

from ..records import RunRecord, StoredEvent
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


UNDECIDED = ("running", "abandoned", "suspended")
"""What a rate leaves out."""

SLOW = 3
"""How many times the mean a run takes that is worth a warning."""


def success_rate(counts: Mapping[str, int]) -> float | None:
    """Return the successes among the runs that ended, in percent with one decimal."""
    ended = sum(number for label, number in counts.items() if label not in UNDECIDED)
    return round(100 * counts.get("success", 0) / ended, 1) if ended else None


@attrs.frozen
class Durations:
    """How long runs took, in seconds."""

    average: float
    """The mean."""
    shortest: float
    """The least."""
    longest: float
    """The greatest."""
    total: float
    """Their sum."""


@attrs.frozen
class Figures:
    """What is to be said of some runs."""

    days: int
    """How far back they go."""
    counts: dict[str, int]
    """By status."""
    durations: Durations | None
    """None if no run has one."""
    pipelines: dict[str, int]
    """By pipeline, the most first."""
    daily: dict[date, int]
    """By day of the start, local time; days without runs included, today first."""
    failures: list[AnnotatedRun]
    """The newest failed ones."""

    @property
    def total(self) -> int:
        """How many runs."""
        return sum(self.counts.values())

    @property
    def rate(self) -> float | None:
        """Successes among the runs that ended, in percent."""
        return success_rate(self.counts)

    def warnings(self) -> list[str]:
        """Return what looks wrong, a sentence each."""
        said: list[str] = []
        failed, good = self.counts.get("failed", 0), self.counts.get("success", 0)
        if failed > good:
            said.append(f"More runs failed ({failed:,}) than succeeded ({good:,}).")
        took = self.durations
        if took is not None and took.longest > SLOW * took.average:
            said.append(f"The slowest run took more than {SLOW} times the average.")
        return said


def sum_up(runs: Sequence[AnnotatedRun], days: int, now: datetime) -> Figures:
    """Return the figures of the runs of the last days; the newest run comes first."""
    failed = [one for one in runs if one.run.label in ("failed", "timeout")]
    today = now.astimezone().date()
    per_day = Counter(one.run.start_time.astimezone().date() for one in runs)
    return Figures(
        days=days,
        counts=dict(Counter(one.run.label for one in runs).most_common()),
        durations=_durations([one.run for one in runs]),
        pipelines=dict(Counter(one.pipeline_name for one in runs).most_common()),
        daily={
            day: per_day[day]
            for day in (today - timedelta(days=back) for back in range(days))
        },
        failures=failed[:3],
    )


def _durations(runs: Sequence[RunRecord]) -> Durations | None:
    seconds = [run.duration.total_seconds() for run in runs if run.duration is not None]
    if not seconds:
        return None
    return Durations(fmean(seconds), min(seconds), max(seconds), sum(seconds))


def stats_shape(figures: Figures) -> dict[str, Any]:
    """Return the figures as a JSON object."""
    took = figures.durations
    return {
        "total_runs": figures.total,
        "days": figures.days,
        "status_counts": figures.counts,
        "success_count": figures.counts.get("success", 0),
        "failed_count": figures.counts.get("failed", 0),
        "success_rate": figures.rate,
        "duration_stats": None
        if took is None
        else {
            "avg": took.average,
            "min": took.shortest,
            "max": took.longest,
            "total": took.total,
        },
        "pipelines": figures.pipelines,
        "daily_activity": {str(d): n for d, n in figures.daily.items() if n},
        "recent_errors": [
            {
                "run_id": one.run.run_id,
                "start_time": one.run.start_time.isoformat(),
                "error_message": one.run.error_message,
                "error_step": one.run.error_step,
            }
            for one in figures.failures
        ],
        "warnings": figures.warnings(),
    }
