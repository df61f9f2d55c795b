"""Joins of branches that are not all taken, that cannot run, and that wait."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import (
    EventType,
    Pipe,
    Skip,
    Stop,
)

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


# -- exclusive branches


def branching(kind: str, way: str) -> AnyPipe:
    """Return a pipe that takes one of three routes to ``z``, which joins all of them."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True)
    names = {"left": "x", "right": "y", "far": "q"}
    match kind:
        case "dict":
            pipe.switch("s", to=names)(lambda: way)
        case "callable":
            pipe.switch("s", to=lambda value: names[value])(lambda: way)
        case "returned name":
            pipe.step("s")(lambda: names[way])
        case _:
            pipe.switch("s", to={"left": "x", "on": "s2"})(
                lambda: "left" if way == "left" else "on"
            )
            pipe.switch("s2", to={"right": "y", "far": "q"})(lambda: way)
    add_idle_steps(
        pipe, x=["x2"], x2=["z"], y=["z"], q=["q2", "q3"], q2=["z"], q3=["z"]
    )
    pipe.step("z", to="end", barrier_timeout=5)(do_nothing)
    add_idle_steps(pipe, end=[])
    return pipe


@hosted_runs
@pytest.mark.virtual_time
@pytest.mark.parametrize("way", ["left", "right", "far"])
@pytest.mark.parametrize("kind", ["dict", "callable", "returned name", "nested"])
async def test_a_join_of_branches_that_are_not_all_taken(
    kind: str, way: str, hosted_runs: int
) -> None:
    """It waits for the branches that run: no timeout, and the join always runs."""
    events = await run_pipe(branching(kind, way), hosted_runs=hosted_runs, start="s")

    assert end_of(events).status is SUCCESS
    assert end_of(events).diagnostics == []
    assert (
        count_events(events, "STEP_END z") == count_events(events, "STEP_END end") == 1
    )


@hosted_runs
@pytest.mark.virtual_time
async def test_each_item_and_each_lap_takes_its_own_branch(hosted_runs: int) -> None:
    """The same join decides for each of them."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True)
    pipe.map("m", each="w")(lambda: range(4))
    pipe.switch("w", to=["x", "y"].__getitem__)(lambda item: item % 2)
    add_idle_steps(pipe, x=["x2"], x2=["z"], y=["z"])

    @pipe.step("z", barrier_timeout=5)
    def again(state: Any) -> Any:
        state["laps"] = state.get("laps", 0) + 1
        return "x" if state["laps"] <= 4 else None

    events = await run_pipe(pipe, hosted_runs=hosted_runs, start="m")
    assert end_of(events).status is SUCCESS
    assert end_of(events).diagnostics == []
    assert count_events(events, "STEP_END z") == 8


# -- joins that cannot run


@hosted_runs
@pytest.mark.virtual_time
@pytest.mark.parametrize("parent", ["skips", "fails", "beyond"])
async def test_a_join_that_cannot_run_is_named(parent: str, hosted_runs: int) -> None:
    """FINISH names the join and the parent that was pruned, and no timer waits."""
    pipe: AnyPipe = Pipe(dict)
    answers: dict[str, Any] = {
        "skips": lambda: Skip(),
        "fails": lambda: 1 / 0,
        "beyond": lambda: None,
    }
    pipe.step("r", to=["a", "b"])(do_nothing)
    pipe.step("a", to="mid")(answers[parent])
    pipe.step("mid", to="join")(lambda: Skip() if parent == "beyond" else None)
    add_idle_steps(pipe, b=["join"])
    pipe.step("join", to="end", barrier_timeout=1000)(do_nothing)
    add_idle_steps(pipe, end=[])
    end = end_of(await run_pipe(pipe, hosted_runs=hosted_runs))

    assert end.duration_s < 1
    assert [(d.step, d.parents, d.count) for d in end.diagnostics] == [
        ("join", ("mid",), 1)
    ]


@hosted_runs
async def test_a_parent_that_routes_elsewhere_is_not_waited_for(
    hosted_runs: int,
) -> None:
    """The other parents open the join."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True)
    add_idle_steps(pipe, r=["a", "b"], b=["join"], x=[])
    pipe.step("a", to="join")(lambda: "x")
    add_idle_steps(pipe, join=[])
    events = await run_pipe(pipe, hosted_runs=hosted_runs, start="r")

    assert end_of(events).status is SUCCESS
    assert count_events(events, "STEP_END join") == 1
    assert end_of(events).diagnostics == []


# -- barriers


@hosted_runs
@pytest.mark.virtual_time
@pytest.mark.parametrize("ending", ["in time", "late", "handled", "stopped"])
async def test_barrier_events_have_true_counts(ending: str, hosted_runs: int) -> None:
    """They list arrived and missing parents, and every timeout is counted."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, r=["a", "b", "c"], a=["j"])
    pipe.step("b", to="j")(lambda: anyio.sleep(2))

    async def last() -> Any:
        await anyio.sleep(4)
        return Stop if ending == "stopped" else None

    pipe.step("c", to="j")(last)
    handler = (lambda error: None) if ending == "handled" else None
    seconds = 10 if ending in ("in time", "stopped") else 3
    pipe.step("j", barrier_timeout=seconds, on_error=handler)(do_nothing)
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    words, end = event_words(events), end_of(events)
    (wait,) = [e for e in events if e.type is EventType.BARRIER_WAIT]

    assert wait.payload["completed_count"] == 1
    assert wait.payload["waiting_for"] == ["b", "c"]
    assert end.metrics is not None
    figures = end.metrics.barriers["j"]
    is_late = ending in ("late", "handled")
    assert (figures.waits, figures.timeouts) == (1, int(is_late))
    assert figures.releases == int(ending == "in time")
    if ending == "in time":
        assert words.index("BARRIER_RELEASE j") < words.index("STEP_START j")
        assert figures.total_wait_s == pytest.approx(4, abs=0.1)
    else:
        assert "BARRIER_RELEASE j" not in words
        assert "STEP_START j" not in words


# -- start= beside switches and maps


@hosted_runs
async def test_a_join_with_a_router_among_its_predecessors(hosted_runs: int) -> None:
    """A router is no parent of a join, so ``start=`` beside it is no error."""
    pipe: AnyPipe = Pipe(dict)
    pipe.switch("s", to={"b": "b", "join": "join"})(lambda: "b")
    add_idle_steps(pipe, b=["join"], join=[])
    for start in (None, "b", "join"):
        events = await run_pipe(pipe, hosted_runs=hosted_runs, start=start)
        assert event_words(events)[-2:] == ["STEP_END join", "FINISH SUCCESS"]
