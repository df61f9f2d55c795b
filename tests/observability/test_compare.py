"""Two stored runs side by side."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from justpipe_actors import EventType
from justpipe_actors.observability import compare_runs, format_comparison
from justpipe_actors.records import RunRecord, StoredEvent
from justpipe_actors.types import PipelineTerminalStatus


START, END = EventType.STEP_START, EventType.STEP_END
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SUCCESS, FAILED = PipelineTerminalStatus.SUCCESS, PipelineTerminalStatus.FAILED


def run(
    name: str, seconds: float | None, status: PipelineTerminalStatus = SUCCESS
) -> RunRecord:
    """Return a stored run."""
    duration = None if seconds is None else timedelta(seconds=seconds)
    return RunRecord(name * 20, NOON, None, duration, status)


def stored(
    kind: Any, step: str, at: float, data: str | None = None, **ids: Any
) -> StoredEvent:
    """Return a stored event."""
    text = json.dumps(ids) if data is None else data
    return StoredEvent(1, NOON + timedelta(seconds=at), kind, step, text)


def test_runs_are_compared_step_by_step() -> None:
    """Durations, statuses, steps and event counts are differences: second run minus first."""
    first = [
        stored(START, "a", 0),
        stored(END, "a", 1),
        stored(START, "gone", 1),
        stored(END, "gone", 2),
    ]
    second = [
        stored(START, "a", 0),
        stored(END, "a", 3),
        stored(START, "new", 3),
        stored(END, "new", 3.5),
        stored(START, "bad", 3),
        stored(EventType.STEP_ERROR, "bad", 4),
    ]
    found = compare_runs(run("1", 2), first, run("2", 4, FAILED), second, "P", "Q")

    assert found.step_timing_diff == {"a": 2, "gone": -1, "new": 0.5}
    assert (found.new_steps, found.removed_steps) == (["new"], ["gone"])
    assert (found.duration_diff, found.event_count_diff) == (2, 2)
    assert (found.status_same, found.pipeline_same) == (False, False)
    assert format_comparison(found).splitlines() == [
        "Run Comparison",
        "=" * 40,
        "Run 1:    1111111111111111...",
        "Run 2:    2222222222222222...",
        "Pipeline: P → Q",
        "Status:   changed",
        "Duration: +2.000s (slower)",
        "",
        "Steps:",
        "  ~ a: +2.000s",
        "  - gone: -1.000s",
        "  + new: +0.500s",
        "",
        "Events:   +2",
    ]


def test_equal_runs_have_no_differences() -> None:
    """A run without a duration, compared with itself, has none either."""
    events = [stored(START, "a", 0), stored(END, "a", 1)]
    found = compare_runs(run("1", None), events, run("1", None), events)
    text = format_comparison(found)

    assert found.status_same
    assert found.pipeline_same
    assert "no change" in text
    assert "Steps:" not in text
    assert text.endswith("Events:   +0")


def test_workers_are_measured_separately() -> None:
    """Three concurrent workers count three times, by their invocation ids."""

    def three(seconds: float) -> list[StoredEvent]:
        starts = [stored(START, "w", n, invocation_id=f"r:{n}") for n in range(3)]
        ends = [
            stored(END, "w", n + seconds, invocation_id=f"r:{n}") for n in (2, 1, 0)
        ]
        return [*starts, *ends]

    found = compare_runs(run("1", 1), three(10), run("2", 1), three(12))

    assert found.step_timing_diff == {"w": 6}


def test_unreadable_events_are_compared_by_name() -> None:
    """Data that is not a JSON object, or a type of another version, raises no error."""
    events = [
        stored(START, "a", 0, data="{"),
        stored(END, "a", 1, data="[]"),
        stored("newer_than_us", "a", 1),
        stored(START, "b", 1, invocation_id=7, attempt="x"),
        stored(END, "b", 2),
    ]
    found = compare_runs(run("1", 1), [], run("2", 1), events)

    assert found.step_timing_diff == {"a": 1, "b": 1}
    assert found.event_count_diff == 5
