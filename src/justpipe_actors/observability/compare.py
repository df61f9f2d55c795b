"""Two stored runs side by side; pure.

A step's time is the sum of the durations of its invocations that reached STEP_END.  So
three concurrent invocations of ten seconds each count as thirty seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .._util.text import escape_controls
from ..events import Event, EventType
from ..records import RunRecord, StoredEvent
from .spans import SpanStatus, collect_spans


MIN_TIME_DIFFERENCE = 0.001
"""Seconds by which a step's time must differ to be mentioned."""


@dataclass(frozen=True)
class RunComparison:
    """What differs between two runs; differences are the second minus the first."""

    run1_id: str
    run2_id: str
    pipeline1_name: str
    pipeline2_name: str
    duration_diff: float
    """Seconds; a run without a duration counts as 0."""
    status_same: bool
    """Whether they ended with the same status."""
    pipeline_same: bool
    """Whether they are runs of one pipe."""
    step_timing_diff: dict[str, float]
    """Seconds by step; a step that one of them did not end counts as 0 there."""
    new_steps: list[str]
    """Steps that only the second ended."""
    removed_steps: list[str]
    """Steps that only the first ended."""
    event_count_diff: int
    """Difference of the numbers of events."""


def compare_runs(
    run1: RunRecord,
    events1: Sequence[StoredEvent],
    run2: RunRecord,
    events2: Sequence[StoredEvent],
    pipeline1_name: str = "",
    pipeline2_name: str = "",
) -> RunComparison:
    """Compare two stored runs by their records and events.

    Events with unreadable ``data`` are paired by the name of their step.

    Args:
        run1: the record of the first run.
        events1: its events.
        run2: the record of the second run.
        events2: its events.
        pipeline1_name: name of the first run's pipeline, to show.
        pipeline2_name: name of the second run's pipeline, to show.

    Returns:
        The differences.
    """
    before, after = _step_times(events1), _step_times(events2)
    return RunComparison(
        run1_id=run1.run_id,
        run2_id=run2.run_id,
        pipeline1_name=pipeline1_name,
        pipeline2_name=pipeline2_name,
        duration_diff=_seconds(run2) - _seconds(run1),
        status_same=run1.status == run2.status,
        pipeline_same=pipeline1_name == pipeline2_name,
        step_timing_diff={
            step: after.get(step, 0.0) - before.get(step, 0.0)
            for step in {**before, **after}
        },
        new_steps=[step for step in after if step not in before],
        removed_steps=[step for step in before if step not in after],
        event_count_diff=len(events2) - len(events1),
    )


def _seconds(run: RunRecord) -> float:
    return 0.0 if run.duration is None else run.duration.total_seconds()


def _step_times(stored: Iterable[StoredEvent]) -> dict[str, float]:
    times: dict[str, float] = {}
    for span in collect_spans(_events(stored)):
        if span.status is SpanStatus.DONE:
            times[span.stage] = times.get(span.stage, 0.0) + span.seconds
    return times


def _events(stored: Iterable[StoredEvent]) -> Iterator[Event]:
    for stored_event in stored:
        if isinstance(stored_event.event_type, EventType):
            yield _event(
                stored_event, stored_event.event_type, _event_fields(stored_event.data)
            )


def _event(stored: StoredEvent, event_type: EventType, fields: dict[str, Any]) -> Event:
    invocation, attempt = fields.get("invocation_id"), fields.get("attempt")
    return Event(
        event_type,
        stored.step_name,
        timestamp=stored.timestamp.timestamp(),
        origin_run_id=fields.get("origin_run_id"),
        invocation_id=invocation if isinstance(invocation, str) else None,
        parent_invocation_id=fields.get("parent_invocation_id"),
        attempt=attempt if isinstance(attempt, int) else 1,
    )


def _event_fields(data: str) -> dict[str, Any]:
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


# -- as text


def format_comparison(comparison: RunComparison) -> str:
    """Write a comparison as text, the greatest differences first.

    Args:
        comparison: the differences.

    Returns:
        The text.
    """
    lines = [
        "Run Comparison",
        "=" * 40,
        f"Run 1:    {_short_id(comparison.run1_id)}",
        f"Run 2:    {_short_id(comparison.run2_id)}",
        f"Pipeline: {_pipeline_text(comparison)}",
        f"Status:   {'same' if comparison.status_same else 'changed'}",
        f"Duration: {_duration_text(comparison.duration_diff)}",
    ]
    steps = sorted(
        comparison.step_timing_diff.items(), key=lambda item: (-abs(item[1]), item[0])
    )
    step_lines = [
        line
        for step, seconds in steps
        if (line := _step_line(comparison, step, seconds))
    ]
    if step_lines:
        lines += ["", "Steps:", *step_lines]
    lines += ["", f"Events:   {comparison.event_count_diff:+d}"]
    return "\n".join(lines)


def _short_id(run_id: str) -> str:
    return f"{escape_controls(run_id[:16])}..."


def _pipeline_text(comparison: RunComparison) -> str:
    first, second = comparison.pipeline1_name, comparison.pipeline2_name
    text = first if comparison.pipeline_same else f"{first} → {second}"
    return escape_controls(text) or "-"


def _duration_text(seconds: float) -> str:
    if abs(seconds) < 0.0005:
        return "no change"
    return f"{seconds:+.3f}s ({'slower' if seconds > 0 else 'faster'})"


def _step_line(comparison: RunComparison, step: str, seconds: float) -> str | None:
    if step in comparison.new_steps:
        sign = "+"
    elif step in comparison.removed_steps:
        sign = "-"
    elif abs(seconds) > MIN_TIME_DIFFERENCE:
        sign = "~"
    else:
        return None
    return f"  {sign} {escape_controls(step)}: {seconds:+.3f}s"
