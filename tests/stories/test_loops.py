"""Several invocations of one step: loops, laps and attempts."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import EventType, Pipe, Retry, Skip
from justpipe_actors.types import BarrierType

from ..helpers import (
    SUCCESS,
    AnyPipe,
    add_idle_steps,
    count_events,
    do_nothing,
    end_of,
    event_words,
    hosted_runs,
    run_pipe,
)


# -- several invocations of one step


@hosted_runs
async def test_two_branches_that_name_one_step(hosted_runs: int) -> None:
    """Two starts of a step have two ends, two sets of successors, and two outcomes."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True, log_state=False)
    add_idle_steps(pipe, r=["a", "b"])
    pipe.step("a")(lambda: "x")
    pipe.step("b")(lambda: "x")

    @pipe.step("x", to="y")
    async def once(state: Any) -> None:
        state["x"] = state.get("x", 0) + 1
        if state["x"] == 1:
            await checkpoint()
            raise ValueError("only the first")

    add_idle_steps(pipe, y=[])
    events = await run_pipe(pipe, hosted_runs=hosted_runs, start="r")

    assert count_events(events, "STEP_START x") == 2
    assert (
        count_events(events, "STEP_END x") == count_events(events, "STEP_ERROR x") == 1
    )
    assert count_events(events, "STEP_END y") == 1


@hosted_runs
@pytest.mark.virtual_time
@pytest.mark.parametrize("join", [BarrierType.ALL, BarrierType.ANY])
async def test_a_loop_that_overtakes_a_slow_branch(
    join: BarrierType, hosted_runs: int
) -> None:
    """Laps of a diamond are joined separately, also when one begins before the last has ended."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True)
    add_idle_steps(pipe, a=["fast", "slow", "again"], fast=["join"])

    @pipe.step("again")
    async def again(state: Any) -> Any:
        await anyio.sleep(1)
        state["laps"] = state.get("laps", 0) + 1
        return "a" if state["laps"] < 3 else None

    pipe.step("slow", to="join")(lambda: anyio.sleep(5))
    pipe.step("join", barrier_type=join)(do_nothing)
    events = await run_pipe(pipe, hosted_runs=hosted_runs)

    assert end_of(events).status is SUCCESS
    assert count_events(events, "STEP_END slow") == 3
    assert count_events(events, "STEP_END join") == 3


@hosted_runs
async def test_a_self_loop_continues_to_its_successors(hosted_runs: int) -> None:
    """They run when the step no longer returns its own name."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step("a", to="b")
    def again(state: Any) -> Any:
        state["laps"] = state.get("laps", 0) + 1
        return "a" if state["laps"] < 3 else None

    add_idle_steps(pipe, b=[])
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    assert count_events(events, "STEP_END a") == 3
    assert event_words(events)[-2] == "STEP_END b"


@hosted_runs
@pytest.mark.virtual_time
@pytest.mark.parametrize("body", ["one step", "chain", "diamond", "map"])
async def test_a_join_waits_for_the_last_lap(body: str, hosted_runs: int) -> None:
    """A loop in one branch counts as that branch: the join runs once."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, r=["first", "beside"], beside=["join"], join=["end"], end=[])

    def again(state: Any) -> Any:
        state["laps"] = state.get("laps", 0) + 1
        return "first" if state["laps"] < 3 else None

    if body == "one step":
        pipe.step("first", to="join")(again)
    else:
        pipe.step("last", to="join")(again)
        ways = {"chain": ["last"], "diamond": ["x", "y"], "map": ["last"]}[body]
        if body == "map":
            pipe.map("first", each="w", to=ways)(lambda: range(2))
            pipe.step("w")(lambda item: None)
        else:
            add_idle_steps(pipe, first=ways)
        if body == "diamond":
            add_idle_steps(pipe, x=["last"], y=["last"])
    events = await run_pipe(pipe, hosted_runs=hosted_runs)

    assert end_of(events).diagnostics == []
    assert count_events(events, "STEP_END first") == 3
    assert (
        count_events(events, "STEP_END join")
        == count_events(events, "STEP_END end")
        == 1
    )
    words = event_words(events)
    laps = [place for place, word in enumerate(words) if word == "STEP_END first"]
    assert laps[-1] < words.index("STEP_START join")


@hosted_runs
async def test_a_loop_that_fails_or_skips_in_its_last_lap(hosted_runs: int) -> None:
    """The outcome of the last lap is the outcome of the branch."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(
        pipe, r=["first", "beside"], first=["last"], beside=["join"], join=[]
    )

    @pipe.step("last", to="join")
    def again(state: Any) -> Any:
        state["laps"] = state.get("laps", 0) + 1
        return "first" if state["laps"] < 3 else Skip()

    end = end_of(await run_pipe(pipe, hosted_runs=hosted_runs))
    assert [(d.step, d.parents) for d in end.diagnostics] == [("join", ("last",))]


@hosted_runs
async def test_loops_in_loops(hosted_runs: int) -> None:
    """An inner loop belongs to the lap of the outer loop in which it runs."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, a=["b", "c"], c=["d"])

    @pipe.step("b", to="d")
    def inner(state: Any) -> Any:
        state["inner"] = state.get("inner", 0) + 1
        return "b" if state["inner"] % 3 else None

    @pipe.step("d", to="e")
    def outer(state: Any) -> Any:
        state["outer"] = state.get("outer", 0) + 1
        return "a" if state["outer"] < 4 else None

    add_idle_steps(pipe, e=[])
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    assert [count_events(events, f"STEP_END {step}") for step in "abcde"] == [
        4,
        12,
        4,
        4,
        1,
    ]
    assert end_of(events).diagnostics == []


@hosted_runs
async def test_a_state_machine(hosted_runs: int) -> None:
    """Each of several routes back to a step starts it."""
    pipe: AnyPipe = Pipe(dict)
    pipe.switch("begin", to={"x": "x", "y": "y"})(lambda: "x")
    add_idle_steps(pipe, x=["x2"], x2=["turn"], y=["turn"])

    @pipe.step("turn", to="end")
    def turn(state: Any) -> Any:
        state["way"] = state.get("way", "") + "."
        return {1: "y", 2: "y", 3: "x"}.get(len(state["way"]))

    add_idle_steps(pipe, end=[])
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    assert [
        count_events(events, f"STEP_END {step}") for step in ("x", "y", "turn", "end")
    ] == [
        2,
        2,
        4,
        1,
    ]
    assert end_of(events).diagnostics == []


@hosted_runs
async def test_a_join_that_restarts_one_branch(hosted_runs: int) -> None:
    """The join runs again after this branch alone."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, a=["b", "c"], b=["d"], c=["d"])

    @pipe.step("d")
    def judge(state: Any) -> Any:
        state["looks"] = state.get("looks", 0) + 1
        return "b" if state["looks"] < 3 else None

    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    assert [count_events(events, f"STEP_END {step}") for step in "abcd"] == [1, 3, 1, 3]


@pytest.mark.parametrize("targets", [["b", "c"], ["c", "b"]], ids="".join)
@hosted_runs
async def test_a_join_that_restarts_both_branches(
    targets: list[str], hosted_runs: int
) -> None:
    """Each lap starts both branches, and the join waits for both."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, a=targets, b=["d"], e=targets, end=[])

    @pipe.step("c", to="d")
    async def slow() -> None:
        await checkpoint()
        await checkpoint()

    @pipe.switch("d", to={"again": "e", "enough": "end"})
    def judge(state: Any) -> str:
        state["looks"] = state.get("looks", 0) + 1
        return "again" if state["looks"] < 3 else "enough"

    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    steps = ("a", "b", "c", "d", "e", "end")
    assert [count_events(events, f"STEP_END {step}") for step in steps] == [
        1,
        3,
        3,
        3,
        2,
        1,
    ]
    assert end_of(events).diagnostics == []


@hosted_runs
async def test_a_loop_in_front_of_a_join_that_also_waits_for_a_step_outside_it(
    hosted_runs: int,
) -> None:
    """Steps behind a loop wait for its last lap, though laps lack one of its parents."""
    pipe: AnyPipe = Pipe(dict, log_state=False)
    add_idle_steps(pipe, r=["outside", "a", "beside"], outside=["d"], beside=["end"])
    add_idle_steps(pipe, a=["b"], b=["d"])

    @pipe.step("d", to="end", routes=["a"])
    async def repeat(state: Any) -> str | None:
        state["d"] = state.get("d", 0) + 1
        return "a" if state["d"] < 3 else None

    @pipe.step("end")
    async def end(state: Any) -> None:
        assert state["d"] == 3

    events = await run_pipe(pipe, hosted_runs=hosted_runs)

    assert end_of(events).status is SUCCESS
    assert count_events(events, "STEP_START d") == 3
    assert count_events(events, "STEP_START end") == 1


# -- attempts


@hosted_runs
async def test_attempts_of_items_and_laps(hosted_runs: int) -> None:
    """Two hundred items may each retry once, and so may the step after 150 laps."""
    pipe: AnyPipe = Pipe(dict, max_retries=2, allow_multi_root=True)
    pipe.map("m", each="w", to="lap")(lambda: range(200))

    @pipe.step("w")
    def work(state: Any, item: int) -> Any:
        seen = state.setdefault("seen", set())
        if item not in seen:
            seen.add(item)
            return Retry()
        return None

    @pipe.step("lap")
    def lap(state: Any) -> Any:
        state["laps"] = state.get("laps", 0) + 1
        if state["laps"] <= 150:
            return "lap"
        return Retry() if state["laps"] == 151 else None

    events = await run_pipe(pipe, hosted_runs=hosted_runs, start="m")
    attempts = [e.attempt for e in events if e.type is EventType.STEP_END]
    assert end_of(events).status is SUCCESS
    assert attempts.count(2) == 201
