"""What every event has: ids, order and timestamps."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import EventType, Pipe, Suspend

from ..helpers import (
    AnyPipe,
    add_idle_steps,
    do_nothing,
    empty_state,
    end_of,
    hosted_runs,
    idle_chain,
    run_pipe,
)


# -- ids


@hosted_runs
async def test_all_events_of_an_invocation_have_its_ids(
    hosted_runs: int,
) -> None:
    """Tokens and suspensions name invocation, item and child; successors name their cause."""
    child: AnyPipe = Pipe(dict)

    @child.step
    async def talk() -> AsyncIterator[Any]:
        yield "word"
        await checkpoint()

    pipe: AnyPipe = Pipe(dict)
    pipe.map("m", each="s", to="after")(lambda: range(3))
    pipe.sub("s", pipeline=child)(lambda item: empty_state())
    pipe.step("after", to="last")(do_nothing)
    pipe.step("last")(lambda: Suspend("later"))
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    starts = {e.invocation_id: e for e in events if e.type is EventType.STEP_START}

    said = [e for e in events if e.type in (EventType.TOKEN, EventType.SUSPEND)]
    assert len(said) == 4
    for event in said:
        start = starts[event.invocation_id]
        assert event.scope == start.scope
        assert event.owner_invocation_id == start.owner_invocation_id
    (after,) = [e for e in starts.values() if e.stage == "after"]
    assert starts[after.parent_invocation_id].stage == "m"
    (last,) = [e for e in starts.values() if e.stage == "last"]
    assert last.parent_invocation_id == after.invocation_id


# -- order


@hosted_runs
async def test_the_order_is_the_order_of_definition(hosted_runs: int) -> None:
    """Roots and the parents in BARRIER_WAIT come in this order."""
    names = ["zeta", "alpha", "mid", "omega", "beta"]
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True)
    for name in names:
        pipe.step(name, to="join")(do_nothing)
    pipe.step("join", barrier_timeout=60)(do_nothing)
    for _ in range(3):
        events = await run_pipe(pipe, hosted_runs=hosted_runs)
        starts = [e.stage for e in events if e.type is EventType.STEP_START]
        (wait,) = [e for e in events if e.type is EventType.BARRIER_WAIT]
        assert wait.payload["dependencies"] == names
        assert starts[-1] == "join"
    plan = pipe.plan()
    assert list(plan.roots) == names
    assert list(plan.nodes["join"].parents) == names


# -- clocks


@hosted_runs
async def test_timestamps_do_not_run_backwards(hosted_runs: int) -> None:
    """A slow reader of two parallel streams gets times in the order of ``seq``."""
    pipe: AnyPipe = Pipe(dict, queue_size=2)

    async def talk() -> AsyncIterator[int]:
        for number in range(20):
            yield number
            await checkpoint()

    add_idle_steps(pipe, r=["a", "b"])
    pipe.step("a")(talk)
    pipe.step("b")(talk)
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    stamps = [event.timestamp for event in events]
    assert stamps == sorted(stamps)


async def test_durations_do_not_follow_the_wall_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No duration is negative when the clock is set back by an hour."""
    pipe: AnyPipe = Pipe(dict)
    real = time.time

    @pipe.step(to="m")
    def turn_back() -> None:
        monkeypatch.setattr(time, "time", lambda: real() - 3600)

    pipe.map("m", each="w", to="s")(lambda: range(2))
    pipe.step("w")(lambda item: None)
    pipe.sub("s", pipeline=idle_chain("x"))(empty_state)
    end = end_of(await run_pipe(pipe))
    assert end.metrics is not None
    assert 0 <= end.duration_s < 60
    assert all(
        0 <= row.min_s <= row.max_s < 60 for row in end.metrics.step_latency.values()
    )
