"""The rows of a durable run hold what a later process needs, and not more."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._engine import batch_stream
from justpipe_actors._supervisor.durable_runs import outcome_of
from justpipe_actors.abc import CommitMode
from justpipe_actors.journals import MemoryJournal


def looping(laps: int) -> Pipe[Any, Any]:
    """Return a pipe with a step that runs many times, between two that run once."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="looping")

    @pipe.step("first", to="lap")
    async def first(state: dict[str, Any]) -> None:
        state["laps"] = 0

    @pipe.step("lap", routes=["lap", "last"])
    async def lap(state: dict[str, Any]) -> str:
        state["laps"] += 1
        return "lap" if state["laps"] < laps else "last"

    @pipe.step("last")
    async def last(state: dict[str, Any]) -> None:
        state["is_done"] = True

    return pipe


async def test_what_begins_and_ends_between_two_commits_is_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A commit of group mode does not grow with the steps that have run since the last."""
    monkeypatch.setattr(batch_stream, "GROUP_INTERVAL", 3600)
    pipe, journal = looping(50), MemoryJournal("group")
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="run")
        await run.wait()
    row = journal.find("run")
    assert row is not None

    [end] = [one for one in journal.commits(row.id) if one.kind == "end"]

    assert list(json.loads(end.delta)) == ["x"]


@pytest.mark.parametrize("mode", ["sync", "group"])
async def test_a_stored_end_has_the_figures_of_each_step(mode: CommitMode) -> None:
    """Another process sees the same end, of steps that ran once and often."""
    pipe, journal = looping(5), MemoryJournal(mode)
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="run")
        end = await run.wait()
    row = journal.find("run")
    assert row is not None

    stored = outcome_of(row)

    assert stored is not None
    assert stored.metrics == end.metrics
    assert end.metrics is not None
    counts = {name: one.count for name, one in end.metrics.step_latency.items()}
    assert counts == {"first": 1, "lap": 5, "last": 1}


async def test_no_commit_is_waited_for_after_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end holds what the next commit was to hold, so a supervisor closes at once."""
    monkeypatch.setattr(batch_stream, "GROUP_INTERVAL", 3600)
    pipe = looping(2)
    with anyio.fail_after(60):
        async with Supervisor(pipe, journal=MemoryJournal("group")) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="run")
            await run.wait()
