"""What observers remember of runs, and that it is bounded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from justpipe_actors import Event, EventType
from justpipe_actors.errors import UnknownRunError
from justpipe_actors.observability import (
    BarrierDebugger,
    BarrierDebugRecord,
    EventLogger,
    ObserverProtocol,
    StateDiffTracker,
    TimelineVisualizer,
    run_cache as recent,
)
from justpipe_actors.observability.run_cache import RunCache


def test_only_the_newest_ended_runs_are_kept() -> None:
    """Of the ended runs the last few are remembered, of the running ones all."""
    runs: RunCache[list[str]] = RunCache(list, keep=2)
    for name in "abcde":
        runs.begin(name).append(name)
    for name in "abcd":
        runs.end(name)

    assert list(runs) == ["c", "d", "e"]
    assert runs.for_run("c") == ["c"]
    assert runs.latest() == ["e"]
    assert "a" not in runs
    with pytest.raises(UnknownRunError, match="No run 'a' is remembered"):
        runs.for_run("a")


def test_runs_that_never_end_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose end is never observed is forgotten after many others."""
    monkeypatch.setattr(recent, "MAX_LIVE_RUNS", 3)
    runs: RunCache[list[str]] = RunCache(list)
    for number in range(100):
        runs.begin(str(number))

    assert list(runs) == ["97", "98", "99"]


def test_a_run_that_starts_again_replaces_the_old_one() -> None:
    """Nothing of an earlier run with the same id is left."""
    runs: RunCache[list[str]] = RunCache(list)
    runs.begin("a").append("old")
    runs.end("a")
    runs.end("never heard of")

    assert runs.begin("a") == []
    assert len(runs) == 1


@pytest.mark.parametrize("meta", [None, Mock(), SimpleNamespace(pipe_name="P")])
async def test_observers_can_be_called_by_hand(meta: Any) -> None:
    """A program that calls the hooks itself needs no real meta."""
    reports: list[BarrierDebugRecord] = []
    timeline, states = TimelineVisualizer(), StateDiffTracker()
    observers: list[ObserverProtocol] = [
        EventLogger("DEBUG", lambda record: None),
        BarrierDebugger(1.0, lambda: 9.0, reports.append),
        timeline,
        states,
    ]
    facts = {"waiting_for": ["w"], "expected_count": 2, "timeout": 60}
    for observer in observers:
        if meta is not None:
            await observer.on_pipeline_start({}, None, meta)
        for event in (
            Event(EventType.STEP_START, "a", timestamp=1.0),
            Event(EventType.BARRIER_WAIT, "j", facts, timestamp=2.0),
            Event(EventType.STEP_START, "b", timestamp=9.0),
            Event(EventType.STEP_END, "a", timestamp=9.0),
        ):
            await observer.on_event({}, None, meta, event)
        await observer.on_pipeline_end({}, None, meta, 8.0)

    assert [report.kind for report in reports] == ["hang", "unresolved"]
    assert "gives up after 1.0m. w: never started" in reports[0].message
    assert set(timeline.step_start_times) == {"a", "b"}
    assert states.step_order == ["a"]
