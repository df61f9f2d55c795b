"""Maps: signals of workers, lazy sources, the order of events, and slots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import Event, EventType, Pipe, Retry, Skip, Stop

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


# -- Skip and Stop of workers


@hosted_runs
async def test_a_worker_that_skips(hosted_runs: int) -> None:
    """Skip concerns the item only, from a worker and from its handler; the map goes on."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("m", each="w", to="after")(lambda: range(4))

    @pipe.step("w", on_error=lambda error: Skip())
    def work(item: int) -> Any:
        if item == 1:
            raise ValueError(item)
        return Skip()

    add_idle_steps(pipe, after=[])
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    assert event_words(events)[-2:] == ["STEP_END after", "FINISH SUCCESS"]


@hosted_runs
@pytest.mark.virtual_time
@pytest.mark.parametrize("queue_size", [1, 1000])
async def test_stop_drops_workers_and_timers(queue_size: int, hosted_runs: int) -> None:
    """After Stop no queued worker starts, and no join times out."""
    pipe: AnyPipe = Pipe(dict, queue_size=queue_size)
    add_idle_steps(pipe, r=["m", "fast", "slow"], fast=["join"])
    pipe.map("m", each="w", max_concurrency=1)(lambda: range(1000))

    @pipe.step("w")
    async def work(state: Any, item: int) -> Any:
        state["items"] = item
        await anyio.sleep(1)
        return Stop if item == 2 else None

    pipe.step("slow", to="join")(lambda: anyio.sleep(100))
    pipe.step("join", barrier_timeout=10)(do_nothing)
    events = await run_pipe(pipe, hosted_runs=hosted_runs)

    assert end_of(events).status is SUCCESS
    assert count_events(events, "STEP_START w") == 3
    assert "STEP_ERROR join" not in event_words(events)


@hosted_runs
async def test_stop_while_a_map_waits_for_room(hosted_runs: int) -> None:
    """A map that waits for the event buffer does not keep the run from ending."""
    for late in range(12):
        pipe: AnyPipe = Pipe(dict, queue_size=1)
        add_idle_steps(pipe, r=["m", "a", "stop"], a=[])
        pipe.map("m", each="w", max_concurrency=2)(lambda: range(4))
        pipe.step("w")(lambda item: checkpoint())

        @pipe.step("stop")
        async def stop(late: int = late) -> Any:
            for _ in range(late):
                await checkpoint()
            return Stop

        events = await run_pipe(pipe, hosted_runs=hosted_runs)
        assert end_of(events).status is SUCCESS


# -- lazy, capped, honest


@hosted_runs
async def test_items_are_taken_lazily(hosted_runs: int) -> None:
    """Of two thousand items two are at work at a time, and no tasks wait for their turn."""
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
            for _ in range(5):  # long enough for the next worker to begin
                await checkpoint()
        out -= 1
        done += 1

    if hosted_runs > 1:
        pytest.skip("it counts what one run holds, so it needs to be alone")
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    assert end_of(events).status is SUCCESS
    assert (most_out, done) == (2, 2000)
    assert most_ahead <= 3


@hosted_runs
async def test_every_source_is_limited(hosted_runs: int) -> None:
    """An endless synchronous source ends at ``max_map_items``."""

    def source() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    pipe: AnyPipe = Pipe(dict, max_map_items=50)
    pipe.map("m", each="w")(source)
    pipe.step("w")(lambda item: None)
    end = end_of(await run_pipe(pipe, hosted_runs=hosted_runs))
    assert end.error is not None
    assert "exceeded maximum of 50 items" in end.error


@hosted_runs
async def test_a_source_fails_with_its_own_error(hosted_runs: int) -> None:
    """A TypeError inside a lazy source is not reported as "not iterable"."""

    def source() -> Iterator[int]:
        yield 1
        raise TypeError("inside")

    pipe: AnyPipe = Pipe(dict)
    pipe.map("m", each="w")(source)
    pipe.step("w")(lambda item: None)
    end = end_of(await run_pipe(pipe, hosted_runs=hosted_runs))
    assert (end.failed_step, end.error) == ("m", "inside")


# -- the order of a map's events, and what a slot is


def check_map(events: list[Event], owner: str) -> None:
    """Check that the events of a map are around those of its workers."""
    words = event_words(events)
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


@hosted_runs
@pytest.mark.parametrize("items", [0, 1, 5])
@pytest.mark.parametrize("queue_size", [1, 1000])
async def test_the_events_of_a_map_are_around_those_of_its_workers(
    items: int, queue_size: int, hosted_runs: int
) -> None:
    """MAP_START, workers with retries and failures, MAP_COMPLETE, then STEP_END."""
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

    check_map(await run_pipe(pipe, hosted_runs=hosted_runs), "m")


@pytest.mark.parametrize("worker", ["retrying", "map", "sub"])
async def test_a_slot_is_kept_until_the_item_is_finished(worker: str) -> None:
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
    events = await run_pipe(pipe)

    assert end_of(events).status is SUCCESS
    assert inside == ["a"] * 3 + ["b"] * 3


@hosted_runs
async def test_events_of_inner_maps_have_their_own_names(hosted_runs: int) -> None:
    """Their ids are those of the inner map, too."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("outer", each="inner")(lambda: range(2))
    pipe.map("inner", each="leaf")(lambda item: range(2))
    pipe.step("leaf")(lambda item: None)
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    starts = [e for e in events if e.type is EventType.MAP_START]

    assert [e.stage for e in starts] == ["outer", "inner", "inner"]
    assert len({e.invocation_id for e in starts}) == 3
    leaves = [e for e in events if e.type is EventType.STEP_END and e.stage == "leaf"]
    assert sorted(e.scope for e in leaves) == [
        (f"inner[{i}]", f"leaf[{j}]") for i in range(2) for j in range(2)
    ]
