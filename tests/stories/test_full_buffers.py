"""A run goes on although its buffer is full, or observers or the consumer are slow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from justpipe_actors import (
    EventType,
    Pipe,
)
from justpipe_actors.observability import Observer

from ..helpers import (
    SUCCESS,
    AnyPipe,
    do_nothing,
    empty_state,
    end_of,
    event_words,
    hosted_runs,
    idle_chain,
    run_pipe,
)


# -- the engine waits for its own full buffer


@hosted_runs
@pytest.mark.parametrize(("items", "queue_size"), [(1000, 1000), (10, 10), (3, 1)])
async def test_a_map_larger_than_the_buffer(
    items: int, queue_size: int, hosted_runs: int
) -> None:
    """A map completes with any number of items and any size of the buffer."""
    pipe: AnyPipe = Pipe(dict, queue_size=queue_size)
    pipe.map("m", each="w", to="after")(lambda: range(items))
    pipe.step("w")(lambda item: None)
    pipe.step("after")(do_nothing)
    events = await run_pipe(pipe, hosted_runs=hosted_runs)

    assert end_of(events).status is SUCCESS
    assert event_words(events).count("STEP_END w") == items
    assert event_words(events)[-2] == "STEP_END after"


@hosted_runs
async def test_maps_in_maps_and_subs_with_a_buffer_of_one(hosted_runs: int) -> None:
    """Inner maps, child runs and streams complete, too."""
    child: AnyPipe = Pipe(dict)

    @child.step
    async def talk() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    pipe: AnyPipe = Pipe(dict, queue_size=1)
    pipe.map("outer", each="inner")(lambda: range(3))
    pipe.map("inner", each="s", max_concurrency=2)(lambda item: range(3))
    pipe.sub("s", pipeline=child)(lambda item: empty_state())
    events = await run_pipe(pipe, hosted_runs=hosted_runs)

    assert end_of(events).status is SUCCESS
    assert end_of(events).metrics is not None
    assert event_words(events).count("TOKEN s:talk") == 27


# -- slow observers


@pytest.mark.virtual_time
async def test_a_slow_observer_delays_nothing_else() -> None:
    """Steps and a quick observer end long before the slow one."""
    times: dict[str, list[float]] = {"slow": [], "quick": []}

    class Listening(Observer):
        def __init__(self, name: str, seconds: float) -> None:
            self.name, self.seconds = name, seconds

        async def on_event(self, *args: Any) -> None:
            await anyio.sleep(self.seconds)
            times[self.name].append(anyio.current_time())

    pipe = idle_chain(*"abcde")
    pipe.add_observer(Listening("slow", 10))
    pipe.add_observer(Listening("quick", 0))
    began = anyio.current_time()
    seen: list[float] = []
    async with pipe.run({}) as run:
        async for event in run:
            if event.type is not EventType.FINISH:
                seen.append(anyio.current_time())

    assert len(times["slow"]) == len(times["quick"]) == 12
    assert max(seen) - began < 10
    assert times["quick"][-2] - began < 10
    assert times["slow"][-1] - began >= 120


# -- slow consumers


@pytest.mark.virtual_time
@pytest.mark.parametrize("queue_size", [4, 1000])
async def test_the_graph_goes_on_while_no_event_is_read(queue_size: int) -> None:
    """Successors start without a reader, as far as the buffer has room."""
    done: list[str] = []
    pipe: AnyPipe = Pipe(dict, queue_size=queue_size)
    names = [f"s{number}" for number in range(10)]
    for name, following in zip(names, [*names[1:], None], strict=True):
        pipe.step(name, to=following)(lambda name=name: done.append(name))
    async with pipe.run({}) as run:
        assert (await anext(run)).type is EventType.START
        await anyio.sleep(100)
        went_on = len(done)
        rest = [event async for event in run]

    assert went_on == 10 if queue_size == 1000 else 1 < went_on < 5
    assert rest[-1].payload.status is SUCCESS
