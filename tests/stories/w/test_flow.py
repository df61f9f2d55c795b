"""Weaknesses 12 to 21: joins, loops, maps, cancellation and children."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import Event, EventType, Meta, Pipe, Retry, Skip, Stop
from justpipe_actors.types import BarrierType, CancellationToken, FailureSource

from .playing import (
    CANCELLED,
    SUCCESS,
    AnyPipe,
    company,
    empty,
    end_of,
    nothing,
    play,
    steps,
    told,
)


def count(events: list[Event], word: str) -> int:
    """Count a word in a stream."""
    return told(events).count(word)


# -- exclusive branches


def branching(kind: str, way: str) -> AnyPipe:
    """Return a pipe that takes one of three ways to ``z``, which waits for all of them."""
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
    steps(pipe, x=["x2"], x2=["z"], y=["z"], q=["q2", "q3"], q2=["z"], q3=["z"])
    pipe.step("z", to="end", barrier_timeout=5)(nothing)
    steps(pipe, end=[])
    return pipe


@company
@pytest.mark.virtual_time
@pytest.mark.parametrize("way", ["left", "right", "far"])
@pytest.mark.parametrize("kind", ["dict", "callable", "returned name", "nested"])
async def test_a_join_of_ways_not_all_taken(kind: str, way: str, company: int) -> None:
    """A join waits for those that come: no false timeout, no join that never runs."""
    events = await play(branching(kind, way), company=company, start="s")

    assert end_of(events).status is SUCCESS
    assert end_of(events).diagnostics == []
    assert count(events, "STEP_END z") == count(events, "STEP_END end") == 1


@company
@pytest.mark.virtual_time
async def test_in_every_item_of_a_map_and_every_lap(company: int) -> None:
    """Each item and each lap takes its own way through the same join."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True)
    pipe.map("m", each="w")(lambda: range(4))
    pipe.switch("w", to=["x", "y"].__getitem__)(lambda item: item % 2)
    steps(pipe, x=["x2"], x2=["z"], y=["z"])

    @pipe.step("z", barrier_timeout=5)
    def again(state: Any) -> Any:
        state["laps"] = state.get("laps", 0) + 1
        return "x" if state["laps"] <= 4 else None

    events = await play(pipe, company=company, start="m")
    assert end_of(events).status is SUCCESS
    assert end_of(events).diagnostics == []
    assert count(events, "STEP_END z") == 8


# -- joins that cannot run


@company
@pytest.mark.virtual_time
@pytest.mark.parametrize("parent", ["skips", "fails", "beyond"])
async def test_a_join_that_cannot_run_is_named(parent: str, company: int) -> None:
    """FINISH names the join and the parent at fault, and no timer waits for them."""
    pipe: AnyPipe = Pipe(dict)
    answers: dict[str, Any] = {
        "skips": lambda: Skip(),
        "fails": lambda: 1 / 0,
        "beyond": lambda: None,
    }
    pipe.step("r", to=["a", "b"])(nothing)
    pipe.step("a", to="mid")(answers[parent])
    pipe.step("mid", to="join")(lambda: Skip() if parent == "beyond" else None)
    steps(pipe, b=["join"])
    pipe.step("join", to="end", barrier_timeout=1000)(nothing)
    steps(pipe, end=[])
    end = end_of(await play(pipe, company=company))

    assert end.duration_s < 1
    assert [(d.step, d.parents, d.count) for d in end.diagnostics] == [
        ("join", ("mid",), 1)
    ]


@company
async def test_a_parent_that_goes_elsewhere(company: int) -> None:
    """A parent that routes away is not waited for, and the others open the join."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True)
    steps(pipe, r=["a", "b"], b=["join"], x=[])
    pipe.step("a", to="join")(lambda: "x")
    steps(pipe, join=[])
    events = await play(pipe, company=company, start="r")

    assert end_of(events).status is SUCCESS
    assert count(events, "STEP_END join") == 1
    assert end_of(events).diagnostics == []


# -- several invocations of one step


@company
async def test_two_branches_that_name_one_step(company: int) -> None:
    """Two starts of a step are two ends, two sets of successors, and two outcomes."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True, log_state=False)
    steps(pipe, r=["a", "b"])
    pipe.step("a")(lambda: "x")
    pipe.step("b")(lambda: "x")

    @pipe.step("x", to="y")
    async def once(state: Any) -> None:
        state["x"] = state.get("x", 0) + 1
        if state["x"] == 1:
            await checkpoint()
            raise ValueError("only the first")

    steps(pipe, y=[])
    events = await play(pipe, company=company, start="r")

    assert count(events, "STEP_START x") == 2
    assert count(events, "STEP_END x") == count(events, "STEP_ERROR x") == 1
    assert count(events, "STEP_END y") == 1


@company
@pytest.mark.virtual_time
@pytest.mark.parametrize("join", [BarrierType.ALL, BarrierType.ANY])
async def test_a_loop_that_overtakes_a_slow_branch(
    join: BarrierType, company: int
) -> None:
    """A diamond entered again while a branch is still out joins each lap by itself."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True)
    steps(pipe, a=["fast", "slow", "again"], fast=["join"])

    @pipe.step("again")
    async def again(state: Any) -> Any:
        await anyio.sleep(1)
        state["laps"] = state.get("laps", 0) + 1
        return "a" if state["laps"] < 3 else None

    pipe.step("slow", to="join")(lambda: anyio.sleep(5))
    pipe.step("join", barrier_type=join)(nothing)
    events = await play(pipe, company=company)

    assert end_of(events).status is SUCCESS
    assert count(events, "STEP_END slow") == 3
    assert count(events, "STEP_END join") == 3


@company
async def test_a_self_loop_that_falls_through(company: int) -> None:
    """A step that has named itself goes on to its successors when it stops doing so."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step("a", to="b")
    def again(state: Any) -> Any:
        state["laps"] = state.get("laps", 0) + 1
        return "a" if state["laps"] < 3 else None

    steps(pipe, b=[])
    events = await play(pipe, company=company)
    assert count(events, "STEP_END a") == 3
    assert told(events)[-2] == "STEP_END b"


@company
@pytest.mark.virtual_time
@pytest.mark.parametrize("body", ["one step", "chain", "diamond", "map"])
async def test_a_join_waits_for_the_last_lap(body: str, company: int) -> None:
    """A loop in one branch is that branch: the join runs once, after its last lap."""
    pipe: AnyPipe = Pipe(dict)
    steps(pipe, r=["first", "beside"], beside=["join"], join=["end"], end=[])

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
            steps(pipe, first=ways)
        if body == "diamond":
            steps(pipe, x=["last"], y=["last"])
    events = await play(pipe, company=company)

    assert end_of(events).diagnostics == []
    assert count(events, "STEP_END first") == 3
    assert count(events, "STEP_END join") == count(events, "STEP_END end") == 1
    words = told(events)
    laps = [place for place, word in enumerate(words) if word == "STEP_END first"]
    assert laps[-1] < words.index("STEP_START join")


@company
async def test_a_loop_that_fails_or_skips_in_its_last_lap(company: int) -> None:
    """What the last lap comes to is what its branch comes to."""
    pipe: AnyPipe = Pipe(dict)
    steps(pipe, r=["first", "beside"], first=["last"], beside=["join"], join=[])

    @pipe.step("last", to="join")
    def again(state: Any) -> Any:
        state["laps"] = state.get("laps", 0) + 1
        return "first" if state["laps"] < 3 else Skip()

    end = end_of(await play(pipe, company=company))
    assert [(d.step, d.parents) for d in end.diagnostics] == [("join", ("last",))]


@company
async def test_loops_in_loops(company: int) -> None:
    """An inner loop belongs to the lap of the outer one that it runs in."""
    pipe: AnyPipe = Pipe(dict)
    steps(pipe, a=["b", "c"], c=["d"])

    @pipe.step("b", to="d")
    def inner(state: Any) -> Any:
        state["inner"] = state.get("inner", 0) + 1
        return "b" if state["inner"] % 3 else None

    @pipe.step("d", to="e")
    def outer(state: Any) -> Any:
        state["outer"] = state.get("outer", 0) + 1
        return "a" if state["outer"] < 4 else None

    steps(pipe, e=[])
    events = await play(pipe, company=company)
    assert [count(events, f"STEP_END {step}") for step in "abcde"] == [4, 12, 4, 4, 1]
    assert end_of(events).diagnostics == []


@company
async def test_a_state_machine(company: int) -> None:
    """A step that names one of several ways back to itself is reached by each."""
    pipe: AnyPipe = Pipe(dict)
    pipe.switch("begin", to={"x": "x", "y": "y"})(lambda: "x")
    steps(pipe, x=["x2"], x2=["turn"], y=["turn"])

    @pipe.step("turn", to="end")
    def turn(state: Any) -> Any:
        state["way"] = state.get("way", "") + "."
        return {1: "y", 2: "y", 3: "x"}.get(len(state["way"]))

    steps(pipe, end=[])
    events = await play(pipe, company=company)
    assert [
        count(events, f"STEP_END {step}") for step in ("x", "y", "turn", "end")
    ] == [
        2,
        2,
        4,
        1,
    ]
    assert end_of(events).diagnostics == []


@company
async def test_one_branch_of_a_diamond_again(company: int) -> None:
    """A join that sends one of its branches round again is reached by it alone."""
    pipe: AnyPipe = Pipe(dict)
    steps(pipe, a=["b", "c"], b=["d"], c=["d"])

    @pipe.step("d")
    def judge(state: Any) -> Any:
        state["looks"] = state.get("looks", 0) + 1
        return "b" if state["looks"] < 3 else None

    events = await play(pipe, company=company)
    assert [count(events, f"STEP_END {step}") for step in "abcd"] == [1, 3, 1, 3]


# -- attempts


@company
async def test_attempts_of_items_and_laps(company: int) -> None:
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

    events = await play(pipe, company=company, start="m")
    attempts = [e.attempt for e in events if e.type is EventType.STEP_END]
    assert end_of(events).status is SUCCESS
    assert attempts.count(2) == 201


# -- Skip and Stop of workers


@company
async def test_a_worker_that_skips(company: int) -> None:
    """Skip concerns its item, from a worker and from its handler; the map goes on."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("m", each="w", to="after")(lambda: range(4))

    @pipe.step("w", on_error=lambda error: Skip())
    def work(item: int) -> Any:
        if item == 1:
            raise ValueError(item)
        return Skip()

    steps(pipe, after=[])
    events = await play(pipe, company=company)
    assert told(events)[-2:] == ["STEP_END after", "FINISH SUCCESS"]


@company
@pytest.mark.virtual_time
@pytest.mark.parametrize("queue_size", [1, 1000])
async def test_stop_drops_workers_and_disarms_joins(
    queue_size: int, company: int
) -> None:
    """After Stop no worker in line starts and no join times out."""
    pipe: AnyPipe = Pipe(dict, queue_size=queue_size)
    steps(pipe, r=["m", "fast", "slow"], fast=["join"])
    pipe.map("m", each="w", max_concurrency=1)(lambda: range(1000))

    @pipe.step("w")
    async def work(state: Any, item: int) -> Any:
        state["items"] = item
        await anyio.sleep(1)
        return Stop if item == 2 else None

    pipe.step("slow", to="join")(lambda: anyio.sleep(100))
    pipe.step("join", barrier_timeout=10)(nothing)
    events = await play(pipe, company=company)

    assert end_of(events).status is SUCCESS
    assert count(events, "STEP_START w") == 3
    assert "STEP_ERROR join" not in told(events)


@company
async def test_stop_while_everybody_waits_for_room(company: int) -> None:
    """A map that was waiting for room when Stop came does not keep it from others."""
    for late in range(12):
        pipe: AnyPipe = Pipe(dict, queue_size=1)
        steps(pipe, r=["m", "a", "stop"], a=[])
        pipe.map("m", each="w", max_concurrency=2)(lambda: range(4))
        pipe.step("w")(lambda item: checkpoint())

        @pipe.step("stop")
        async def stop(late: int = late) -> Any:
            for _ in range(late):
                await checkpoint()
            return Stop

        events = await play(pipe, company=company)
        assert end_of(events).status is SUCCESS


# -- lazy, capped, honest


@company
async def test_items_are_pulled_lazily(company: int) -> None:
    """Of two thousand items two are out at a time, and no task waits for its turn."""
    out = most_out = pulled = most_ahead = done = 0

    def source() -> Iterator[int]:
        nonlocal pulled, most_ahead
        for item in range(2000):
            pulled += 1
            most_ahead = max(most_ahead, pulled - done)
            yield item

    pipe: AnyPipe = Pipe(dict)
    pipe.map("m", each="w", max_concurrency=2)(source)

    @pipe.step("w")
    async def work(item: int) -> None:
        nonlocal out, most_out, done
        out += 1
        most_out = max(most_out, out)
        if item % 200 == 0:
            await checkpoint()
        out -= 1
        done += 1

    if company > 1:
        pytest.skip("it counts what one run holds, so it needs to be alone")
    events = await play(pipe, company=company)
    assert end_of(events).status is SUCCESS
    assert (most_out, done) == (2, 2000)
    assert most_ahead <= 3


@company
async def test_every_source_is_capped(company: int) -> None:
    """An endless synchronous source ends at ``max_map_items``."""

    def source() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    pipe: AnyPipe = Pipe(dict, max_map_items=50)
    pipe.map("m", each="w")(source)
    pipe.step("w")(lambda item: None)
    end = end_of(await play(pipe, company=company))
    assert end.error is not None
    assert "exceeded maximum of 50 items" in end.error


@company
async def test_a_source_fails_with_its_own_error(company: int) -> None:
    """A TypeError inside a lazy source is told as itself, not as "not iterable"."""

    def source() -> Iterator[int]:
        yield 1
        raise TypeError("inside")

    pipe: AnyPipe = Pipe(dict)
    pipe.map("m", each="w")(source)
    pipe.step("w")(lambda item: None)
    end = end_of(await play(pipe, company=company))
    assert (end.failed_step, end.error) == ("m", "inside")


# -- the order of a map's events, and what a slot is


def check_map(events: list[Event], owner: str) -> None:
    """Check that a map's words surround its workers' words."""
    words = told(events)
    start, complete = (
        words.index(f"MAP_START {owner}"),
        words.index(f"MAP_COMPLETE {owner}"),
    )
    assert words.index(f"STEP_START {owner}") < start < complete
    assert complete < words.index(f"STEP_END {owner}")
    (end,) = [e for e in events if e.type is EventType.STEP_END and e.stage == owner]
    inside = [
        place
        for place, event in enumerate(events)
        if event.owner_invocation_id == end.invocation_id
        and event.type
        in (EventType.STEP_START, EventType.STEP_END, EventType.STEP_ERROR)
        and event.stage != owner
    ]
    assert all(start < place < complete for place in inside)


@company
@pytest.mark.parametrize("items", [0, 1, 5])
@pytest.mark.parametrize("queue_size", [1, 1000])
async def test_a_map_surrounds_its_workers(
    items: int, queue_size: int, company: int
) -> None:
    """MAP_START, then workers with their retries and failures, then MAP_COMPLETE, then STEP_END."""
    pipe: AnyPipe = Pipe(dict, queue_size=queue_size, log_state=False)
    pipe.map("m", each="w", max_concurrency=2)(lambda: range(items))

    @pipe.step("w")
    async def work(state: Any, item: int) -> Any:
        seen = state.setdefault("seen", set())
        await checkpoint()
        if item == 3:
            raise ValueError(item)
        if item in seen:
            return None
        seen.add(item)
        return Retry()

    check_map(await play(pipe, company=company), "m")


@pytest.mark.parametrize("worker", ["retrying", "map", "sub"])
async def test_a_slot_is_held_until_the_item_is_finished(worker: str) -> None:
    """With ``max_concurrency=1`` the next item waits for retries, inner maps, child runs."""
    inside: list[str] = []
    pipe: AnyPipe = Pipe(dict)
    pipe.map("m", each="w", max_concurrency=1)(lambda: "ab")

    def visit(state: Any, item: str) -> Any:
        inside.append(item)
        return Retry() if len(inside) % 3 else None

    async def leaf(item: str) -> None:
        inside.append(item)
        await checkpoint()

    if worker == "retrying":
        pipe.step("w")(visit)
    elif worker == "map":
        pipe.map("w", each="leaf")(lambda item: [item] * 3)
        pipe.step("leaf")(leaf)
    else:
        child: AnyPipe = Pipe(dict)
        child.step("x", to="y")(lambda state: leaf(state))
        child.step("y", to="z")(lambda state: leaf(state))
        child.step("z")(lambda state: leaf(state))
        pipe.sub("w", pipeline=child)(lambda item: item)
    events = await play(pipe)

    assert end_of(events).status is SUCCESS
    assert inside == ["a"] * 3 + ["b"] * 3


@company
async def test_inner_maps_speak_for_themselves(company: int) -> None:
    """An inner map's events carry its own name and its own ids."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("outer", each="inner")(lambda: range(2))
    pipe.map("inner", each="leaf")(lambda item: range(2))
    pipe.step("leaf")(lambda item: None)
    events = await play(pipe, company=company)
    starts = [e for e in events if e.type is EventType.MAP_START]

    assert [e.stage for e in starts] == ["outer", "inner", "inner"]
    assert len({e.invocation_id for e in starts}) == 3
    leaves = [e for e in events if e.type is EventType.STEP_END and e.stage == "leaf"]
    assert sorted(e.scope for e in leaves) == [
        (f"inner[{i}]", f"leaf[{j}]") for i in range(2) for j in range(2)
    ]


# -- cancellation by token


@company
@pytest.mark.parametrize("retries", [0, 2, {"stop": lambda state: False}])
async def test_a_cancellation_is_never_retried(retries: Any, company: int) -> None:
    """Whatever ``retries=`` says, a cancelled token is answered once."""
    calls: list[int] = []
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(retries=retries)
    async def a(cancel: CancellationToken) -> None:
        calls.append(1)
        await cancel.checkpoint()

    pipe.cancellation_token.cancel("enough")
    end = end_of(await play(pipe, company=company))
    assert (end.status, end.error) == (CANCELLED, "enough")
    assert len(calls) == max(company, 1)


async def test_a_run_has_a_token_of_its_own() -> None:
    """A run that cancels its token cancels its children and not the pipe's next run."""
    stop_it = True
    child: AnyPipe = Pipe(dict)

    child.step("x")(lambda cancel: cancel.checkpoint())

    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to="s")
    async def a(cancel: CancellationToken) -> None:
        if stop_it:
            cancel.cancel("for all below")

    pipe.sub("s", pipeline=child)(empty)
    end = end_of(await play(pipe))
    stop_it = False
    again = end_of(await play(pipe))

    assert (end.status, end.error) == (CANCELLED, "for all below")
    assert again.status is SUCCESS


@pytest.mark.virtual_time
async def test_retries_wait_without_holding_the_loop() -> None:
    """A synchronous step that waits to be retried lets others run, and counts its tries."""
    began = time.monotonic()
    pipe: AnyPipe = Pipe(dict)
    steps(pipe, r=["a", "b"])
    beside: list[float] = []

    @pipe.step(retries=3, retry_wait_min=10, retry_wait_max=10)
    def a() -> None:
        raise ValueError("again")

    @pipe.step
    async def b() -> None:
        await anyio.sleep(5)
        beside.append(anyio.current_time())

    events = await play(pipe)
    (error,) = [e for e in events if e.type is EventType.STEP_ERROR]
    assert error.meta is not None
    assert error.meta["framework"]["tries"] == 4
    assert end_of(events).duration_s >= 30
    assert time.monotonic() - began < 5
    assert len(beside) == 1


# -- children


class RemoteError(Exception):
    """An error of a library that talks to the world."""


RemoteError.__module__ = "httpx._exceptions"


def failing_child() -> AnyPipe:
    """Return a pipe that fails with a library's error."""
    child: AnyPipe = Pipe(dict)

    def ask() -> None:
        raise RemoteError("away")

    child.step("x", to="y")(ask)
    steps(child, y=[])
    return child


@company
async def test_a_childs_error_comes_across_whole(company: int) -> None:
    """Type and source of a child's error are the parent's record, under both names."""
    pipe: AnyPipe = Pipe(dict)
    pipe.sub("s", pipeline=failing_child(), to="after")(empty)
    steps(pipe, after=[])
    events = await play(pipe, company=company)
    end = end_of(events)

    assert (end.failure_source, end.failed_step) == (
        FailureSource.EXTERNAL_DEP,
        "s:x",
    )
    assert [r.step for r in end.errors] == ["s:x"]
    assert count(events, "STEP_ERROR s") == 1
    assert count(events, "STEP_END s") == count(events, "STEP_START after") == 0


@company
@pytest.mark.parametrize("level", ["local", "global"])
async def test_the_handlers_of_a_sub_are_asked(level: str, company: int) -> None:
    """A sub's own handler, then the pipe's, sees the child's exception and may mend it."""
    asked: list[str] = []

    def mend(error: Exception, step_name: str) -> None:
        asked.append(f"{type(error).__name__} {step_name}")

    pipe: AnyPipe = Pipe(dict)
    handler = mend if level == "local" else None
    pipe.sub("s", pipeline=failing_child(), to="after", on_error=handler)(empty)
    steps(pipe, after=[])
    if level == "global":
        pipe.on_error(mend)
    events = await play(pipe, company=company)

    assert told(events)[-2:] == ["STEP_END after", "FINISH SUCCESS"]
    assert asked == ["RemoteError s"] * max(company, 1)


@company
@pytest.mark.virtual_time
async def test_a_subs_timeout_bounds_its_child(company: int) -> None:
    """The timeout of a sub ends its child, whose cleanup and hooks come first."""
    log: list[str] = []
    child: AnyPipe = Pipe(dict)

    @child.step
    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cleaned")

    child.on_shutdown(lambda: log.append("shutdown"))
    pipe: AnyPipe = Pipe(dict)
    pipe.sub("s", pipeline=child, timeout=5)(empty)
    end = end_of(await play(pipe, company=company))

    assert (end.failed_step, end.error) == ("s", "Step 's' timed out after 5s")
    assert sorted(log) == sorted(["cleaned", "shutdown"] * max(company, 1))


# -- notes


@attrs.define
class Noted:
    """A context that wants to note things."""

    meta: Meta | None = None


async def test_notes_of_runs_that_share_a_context() -> None:
    """A child and two runs on one context each note on their own pages."""
    child: AnyPipe = Pipe(dict, Noted, metadata={"who": "child"})

    @child.step("x")
    async def x(ctx: Any) -> None:
        ctx.meta.run.set("who", ctx.meta.pipeline.get("who"))
        await checkpoint()

    pipe: AnyPipe = Pipe(dict, Noted, metadata={"who": "parent"})

    @pipe.sub("s", pipeline=child, to="after")
    def s(ctx: Any) -> dict[str, Any]:
        ctx.meta.step.set("by", "sub")
        return {}

    @pipe.step("after")
    async def after(state: Any, ctx: Any) -> None:
        await checkpoint()
        ctx.meta.run.set("who", ctx.meta.pipeline.get("who"))
        ctx.meta.run.set("number", state["number"])

    shared = Noted()
    finishes: dict[str, Any] = {}
    ends: list[Any] = []

    async def one(number: int) -> None:
        async with pipe.run({"number": number}, shared) as run:
            async for event in run:
                if event.type is EventType.FINISH:
                    finishes[f"{event.stage} {number}"] = event.meta
                elif event.type is EventType.STEP_END and event.stage == "s":
                    ends.append(event.meta and event.meta["data"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one, 1)
        tasks.start_soon(one, 2)

    assert finishes == {
        "s:system 1": {"data": {"who": "child"}},
        "s:system 2": {"data": {"who": "child"}},
        "system 1": {"data": {"who": "parent", "number": 1}},
        "system 2": {"data": {"who": "parent", "number": 2}},
    }
    assert ends == [{"by": "sub"}] * 2


async def test_notes_of_a_map_are_the_maps() -> None:
    """What a map's function notes is on the map's STEP_END, a worker's on its own."""
    pipe: AnyPipe = Pipe(dict, Noted)

    @pipe.map(each="w")
    def m(ctx: Any) -> list[int]:
        ctx.meta.step.set("by", "map")
        return [1, 2]

    @pipe.step
    def w(item: int, ctx: Any) -> None:
        ctx.meta.step.set("by", item)
        ctx.meta.run.increment("items")

    async with pipe.run({}, Noted()) as run:
        events = [event async for event in run]
    ends = [e for e in events if e.type is EventType.STEP_END]

    assert [e.meta["data"]["by"] for e in ends if e.meta] == [1, 2, "map"]
    assert events[-1].meta == {"counters": {"items": 2}}


async def test_a_step_named_after_its_way_was_given_up_names_the_join() -> None:
    """A join that closed on absent parents is named when one of them arrives after all."""
    pipe: Pipe[Any, Any] = Pipe(dict, allow_multi_root=True)

    @pipe.step(to=["way", "late"])
    async def first(state: dict[str, Any]) -> str:
        return "namer"

    @pipe.step(to="join")
    async def way(state: dict[str, Any]) -> None:
        pass

    @pipe.step(to="join")
    async def late(state: dict[str, Any]) -> None:
        pass

    @pipe.step
    async def join(state: dict[str, Any]) -> None:
        state["joined"] = True

    @pipe.step
    async def namer(state: dict[str, Any]) -> str:
        return "late"

    state: dict[str, Any] = {}
    end = await pipe.run(state, start="first").wait()

    assert state == {}
    assert [(one.step, one.kind, one.parents) for one in end.diagnostics] == [
        ("join", "unsatisfied", ("late",))
    ]
