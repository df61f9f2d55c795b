"""What follows from the outcome of a step: successors, joins, timers."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe, Skip
from justpipe_actors.errors import BarrierTimeoutError, PipelineValidationWarning
from justpipe_actors.types import BarrierType, NodeKind

from ..helpers import add_idle_steps, end_of, event_words, run_pipe


AnyPipe = Pipe[Any, Any]


def skipping(pipe: AnyPipe, **edges: list[str]) -> None:
    """Add steps that skip their successors."""
    for name, to in edges.items():
        pipe.step(name, to=to)(lambda state: Skip())


def of_type(events: list[Event], kind: EventType) -> list[Event]:
    """Return the events of one type."""
    return [event for event in events if event.type is kind]


async def test_finish_explains_a_pruned_join() -> None:
    """FINISH names the parent that was pruned; the first one decides."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, start=["a", "b", "c"], c=["join"], join=[])
    skipping(pipe, a=["join"], b=["join"])
    (found,) = end_of(await run_pipe(pipe)).diagnostics

    assert (found.step, found.kind, found.parents) == ("join", "pruned", ("a",))
    assert found.message == "Step 'join' did not run: its parent 'a' was skipped."


async def test_finish_says_that_a_parent_failed() -> None:
    """It is the step that failed, or a map with failed items."""
    pipe: AnyPipe = Pipe(dict, log_state=False)

    def fail() -> None:
        raise ValueError

    pipe.step("root", to=["broken", "items", "well"])(lambda: None)
    pipe.step("broken", to="first")(fail)
    pipe.map("items", each="item", to="second")(lambda: [1])
    pipe.step("item")(lambda item: fail())
    add_idle_steps(pipe, well=["first", "second"], first=[], second=[])
    diagnostics = end_of(await run_pipe(pipe)).diagnostics

    assert sorted(one.message for one in diagnostics) == [
        "Step 'first' did not run: its parent 'broken' failed.",
        "Step 'second' did not run: its parent 'items' had failed items.",
    ]


async def test_finish_explains_a_join_of_steps_from_different_waves() -> None:
    """A parent that ran before a map does not meet one that ran in the wave of an item."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to="join")
    def root() -> None: ...

    pipe.map("items", each="item")(lambda state: [1])
    pipe.step("item", routes=["inner"])(lambda item: "inner")
    add_idle_steps(pipe, inner=["join"], join=[])
    pipe.step("before", to=["root", "items"])(lambda state: None)
    diagnostics = end_of(await run_pipe(pipe)).diagnostics
    found = next(one for one in diagnostics if one.kind == "unsatisfied")

    assert (found.step, found.parents) == ("join", ("root",))
    assert found.message == (
        "Step 'join' did not run: its parent 'root' did not report in the same pass "
        "through the graph."
    )


async def test_a_parent_that_start_leaves_out_prunes_the_join() -> None:
    """With ``start=`` the joins of parents that are not reached do not run."""
    pipe: AnyPipe = Pipe(dict, strict=False)
    add_idle_steps(pipe, start=["a", "b"], a=["join"], b=["join"], join=["after"])
    add_idle_steps(pipe, after=[])
    with pytest.warns(PipelineValidationWarning, match="cannot reach"):
        events = await run_pipe(pipe, start="a")

    assert event_words(events) == [
        "START system",
        "STEP_START a",
        "STEP_END a",
        "FINISH SUCCESS",
    ]


async def test_joins_that_wait_are_decided_from_upstream_to_downstream() -> None:
    """A route that was not taken leaves two joins waiting; the upstream one is decided first."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("start", to=["left", "choice", "direct"])(lambda state: None)
    add_idle_steps(pipe, left=["first"], direct=["second"])
    pipe.switch("choice", to={"a": "taken", "b": "other"})(lambda state: "a")
    add_idle_steps(pipe, taken=[], other=["first"], first=["second"], second=[])
    said = event_words(await run_pipe(pipe))

    assert said.index("STEP_END first") < said.index("STEP_START second")
    assert said.count("STEP_START second") == 1


async def test_the_last_parent_is_the_cause_of_a_join() -> None:
    """The events of the join name the parent that opened it as their cause."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, start=["a", "b"], a=["join"], b=["join"], join=[])
    events = await run_pipe(pipe)
    starts = {event.stage: event for event in of_type(events, EventType.STEP_START)}

    assert starts["join"].parent_invocation_id == starts["b"].invocation_id


async def test_a_route_into_an_open_any_join_is_ignored() -> None:
    """A join of any parent runs when the first parent reports; a later route into it adds
    nothing.
    """
    pipe: AnyPipe = Pipe(dict)
    pipe.step("start", to=["a", "b"])(lambda state: None)
    add_idle_steps(pipe, a=["join"], c=["join"])
    pipe.step("b", to="c", routes=["join"])(lambda state: "join")
    pipe.step("join", barrier_type=BarrierType.ANY)(lambda state: None)
    said = event_words(await run_pipe(pipe))

    assert said.count("STEP_START join") == 1


@pytest.mark.virtual_time
async def test_a_join_with_a_timeout_publishes_barrier_events() -> None:
    """BARRIER_WAIT has the missing parents, BARRIER_RELEASE the seconds of waiting."""
    pipe: AnyPipe = Pipe(dict)

    async def rest(state: Any) -> None:
        await anyio.sleep(1.25)

    add_idle_steps(pipe, start=["a", "b"], a=["join"])
    pipe.step("b", to="join")(rest)
    pipe.step("join", barrier_timeout=2)(lambda state: None)
    events = await run_pipe(pipe)
    (wait,) = of_type(events, EventType.BARRIER_WAIT)
    (release,) = of_type(events, EventType.BARRIER_RELEASE)

    assert (wait.stage, wait.node_kind) == ("join", NodeKind.BARRIER)
    assert wait.payload == {
        "timeout": 2,
        "dependencies": ["a", "b"],
        "expected_count": 2,
        "completed_count": 1,
        "waiting_for": ["b"],
    }
    assert (release.stage, release.node_kind) == ("join", NodeKind.BARRIER)
    assert release.payload == {"duration": 1.25}


@pytest.mark.virtual_time
async def test_a_join_that_times_out_names_its_missing_parents() -> None:
    """The error has the parents and the seconds, and the join does not run later."""
    pipe: AnyPipe = Pipe(dict)

    async def rest(state: Any) -> None:
        await anyio.sleep(3)

    add_idle_steps(pipe, start=["a", "b"], a=["join"])
    pipe.step("b", to="join")(rest)
    pipe.step("join", barrier_timeout=2)(lambda state: None)
    events = await run_pipe(pipe)
    end = end_of(events)

    assert end.failed_step == "join"
    error = end.exception
    assert isinstance(error, BarrierTimeoutError)
    assert (error.step, error.missing, error.seconds) == ("join", ("b",), 2)
    assert "STEP_END join" not in event_words(events)


@pytest.mark.virtual_time
async def test_a_wave_with_a_late_join_ends_like_any_other() -> None:
    """Its other waiting joins are decided after the late join has failed."""
    pipe: AnyPipe = Pipe(dict, strict=False)

    async def rest(state: Any) -> None:
        await anyio.sleep(3)

    add_idle_steps(pipe, start=["a", "b"], a=["join", "other"], ghost=["other"])
    pipe.step("b", to="join")(rest)
    pipe.step("join", barrier_timeout=2)(lambda state: None)
    add_idle_steps(pipe, other=[])
    end = end_of(await run_from_start(pipe))

    assert [(one.step, one.parents) for one in end.diagnostics] == [
        ("other", ("ghost",))
    ]


@pytest.mark.virtual_time
async def test_a_join_that_a_route_opens_runs_at_once() -> None:
    """Its cause is the step that returned its name."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, start=["a", "router", "slow"], a=["join"], join=[])
    pipe.step("slow")(lambda: anyio.sleep(9))

    @pipe.step("router", routes=["join"])
    async def route() -> str:
        await anyio.sleep(3)
        return "join"

    events = await run_pipe(pipe)
    starts = {event.stage: event for event in of_type(events, EventType.STEP_START)}

    said = event_words(events)
    assert said.index("STEP_END join") < said.index("STEP_END slow")
    assert starts["join"].parent_invocation_id == starts["router"].invocation_id


async def test_a_lap_has_the_scope_of_its_item() -> None:
    """In a map item the events of a loop are labelled with the item."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("items", each="work")(lambda: [1])
    pipe.step("work", routes=["think"])(lambda item: "think")
    pipe.step("think", routes=["act"])(
        lambda state: None if "acted" in state else "act"
    )

    @pipe.step("act", to="think")
    async def act(state: dict[str, Any]) -> None:
        state["acted"] = True

    events = await run_pipe(pipe)
    starts = {event.stage: event for event in of_type(events, EventType.STEP_START)}

    assert starts["act"].scope == starts["work"].scope != ()


async def test_a_join_that_a_route_opens_has_the_scope_of_the_route() -> None:
    """In a map item the events of the join are labelled with the item."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("items", each="work")(lambda: [1])
    pipe.step("work", routes=["choose"])(lambda item: "choose")
    pipe.step("choose", to="a", routes=["join"])(lambda state: "join")
    add_idle_steps(pipe, a=["join"])
    pipe.step("join", barrier_type=BarrierType.ANY)(lambda state: None)
    events = await run_pipe(pipe)
    starts = {event.stage: event for event in of_type(events, EventType.STEP_START)}

    assert starts["join"].scope == starts["choose"].scope == starts["work"].scope
    assert starts["join"].scope != ()


@pytest.mark.virtual_time
async def test_an_any_join_has_no_timer() -> None:
    """It runs when the first parent reports, so it never waits."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, start=["a", "b"], a=["join"], b=["join"])
    pipe.step("join", barrier_timeout=2, barrier_type=BarrierType.ANY)(
        lambda state: None
    )
    events = await run_pipe(pipe)

    assert of_type(events, EventType.BARRIER_WAIT) == []


async def run_from_start(pipe: AnyPipe) -> list[Event]:
    """Run a pipe from its step ``start``; a join has a parent that this leaves out."""
    with pytest.warns(PipelineValidationWarning, match="cannot reach"):
        return await run_pipe(pipe, start="start")


async def test_waiting_joins_are_pruned_from_upstream_to_downstream() -> None:
    """A join is not decided before a waiting join upstream of it."""
    pipe: AnyPipe = Pipe(dict, strict=False)
    add_idle_steps(pipe, start=["direct", "left"], direct=["second"], left=["first"])
    add_idle_steps(pipe, ghost=["first"], first=["second"], second=["after"], after=[])
    events = await run_from_start(pipe)

    assert "STEP_START second" not in event_words(events)
    assert [(one.step, one.parents) for one in end_of(events).diagnostics] == [
        ("first", ("ghost",)),
        ("second", ("first",)),
    ]


async def test_a_join_beside_a_loop_is_decided_after_the_last_lap() -> None:
    """The wave around a loop ends with the loop, and its waiting joins are decided then."""
    pipe: AnyPipe = Pipe(dict, strict=False)
    add_idle_steps(pipe, start=["left", "loop"], left=["join"], ghost=["join"], join=[])

    @pipe.step("loop", routes=["loop"])
    def again(state: Any) -> str | None:
        state["laps"] = state.get("laps", 0) + 1
        return "loop" if state["laps"] < 3 else None

    (found,) = end_of(await run_from_start(pipe)).diagnostics
    assert (found.step, found.parents) == ("join", ("ghost",))


async def test_a_pruned_any_join_names_all_its_parents() -> None:
    """It does not run when no parent came, and the message lists them."""
    pipe: AnyPipe = Pipe(dict)
    add_idle_steps(pipe, start=["a", "b"])
    skipping(pipe, a=["join"], b=["join"])
    pipe.step("join", barrier_type=BarrierType.ANY)(lambda state: None)
    (found,) = end_of(await run_pipe(pipe)).diagnostics

    assert found.message == (
        "Step 'join' did not run: its parents 'a', 'b' were skipped."
    )


@pytest.mark.virtual_time
async def test_a_route_to_a_join_that_has_run_runs_it_again() -> None:
    """The route was not known when the join opened, so the join could not wait for it."""
    pipe: AnyPipe = Pipe(dict)

    async def name_it(state: Any) -> str:
        await anyio.sleep(1)
        return "join"

    add_idle_steps(pipe, start=["a", "b", "late"], a=["join"], b=["join"], join=[])
    pipe.step("late")(name_it)
    said = event_words(await run_pipe(pipe))

    assert said.count("STEP_END join") == 2


async def test_a_lap_with_a_join_of_its_own_ends_like_any_other() -> None:
    """The joins around a loop are decided after its last lap, also when laps contain joins."""
    pipe: AnyPipe = Pipe(dict, strict=False)
    add_idle_steps(
        pipe, start=["left", "split"], left=["join"], ghost=["join"], join=[]
    )
    add_idle_steps(pipe, split=["x", "y"], x=["close"], y=["close"])

    @pipe.step("close", routes=["split"])
    def again(state: Any) -> str | None:
        state["laps"] = state.get("laps", 0) + 1
        return "split" if state["laps"] < 3 else None

    events = await run_from_start(pipe)
    (found,) = end_of(events).diagnostics

    assert event_words(events).count("STEP_END close") == 3
    assert (found.step, found.parents) == ("join", ("ghost",))
