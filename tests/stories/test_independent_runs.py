"""Runs are independent: a failure of one changes nothing in the others."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import Event, EventType, Pipe, Supervisor

from ..helpers import talking_pipe


RUNS = 50


def lively() -> Pipe[Any, Any]:
    """Return a pipe with tokens, a map, a join, and a step that may fail or wait."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="lively")

    @pipe.step(to=["spread", "side"])
    async def begin(state: dict[str, Any]) -> Any:
        for item in range(5):
            yield state["number"] * item
            await checkpoint()

    @pipe.map(each="work", to="end")
    async def spread(state: dict[str, Any]) -> Any:
        return range(4)

    @pipe.step
    async def work(state: dict[str, Any], item: int) -> Any:
        yield state["number"] + item

    @pipe.step(to="end")
    async def side(state: dict[str, Any]) -> None:
        if state.get("trouble") == "crash":
            raise SystemError("the worst")
        await anyio.sleep(3600 if "trouble" in state else 1)

    @pipe.step
    async def end(state: dict[str, Any]) -> None:
        state["done"] = True

    return pipe


def comparable_events(events: list[Event]) -> list[tuple[Any, ...]]:
    """Return the events of a run without ids and times."""
    return sorted(
        (
            event.type.value,
            event.stage,
            event.attempt,
            event.scope,
            re.sub(f"{event.run_id}:[0-9]+", "an invocation", repr(event.payload)),
        )
        for event in events
        if event.type is not EventType.FINISH
    )


async def alone(number: int) -> list[tuple[Any, ...]]:
    """Return the events of a run without other runs beside it."""
    async with lively().run({"number": number}) as run:
        return comparable_events([event async for event in run])


@pytest.mark.virtual_time
@pytest.mark.parametrize("trouble", ["crash", "cancel", "deadline"])
async def test_a_failure_of_one_run_of_fifty_changes_no_other(
    trouble: str,
) -> None:
    """A failure, a cancellation or a timeout of one run leaves the events of 49 unchanged."""
    pipe = lively()
    heard: dict[int, list[tuple[Any, ...]]] = {}
    ends: dict[int, str] = {}

    async def play(number: int) -> None:
        state: dict[str, Any] = {"number": number}
        options: dict[str, Any] = {}
        if number == 7:
            state["trouble"] = trouble
            if trouble == "deadline":
                options["timeout"] = 0.5
        events: list[Event] = []
        async with supervisor.run(pipe, state, **options) as run:
            async for event in run:
                events.append(event)
                if trouble == "cancel" and number == 7 and len(events) == 8:
                    run.cancel("enough")
        assert run.end is not None
        heard[number], ends[number] = comparable_events(events), run.end.status.value

    async with Supervisor() as supervisor, anyio.create_task_group() as tasks:
        for number in range(RUNS):
            tasks.start_soon(play, number)

    others = [number for number in range(RUNS) if number != 7]
    solo = {number: await alone(number) for number in others}
    expected = {"crash": "failed", "cancel": "cancelled", "deadline": "timeout"}
    assert ends.pop(7) == expected[trouble]
    assert set(ends.values()) == {"success"}
    assert {number: heard[number] for number in others} == solo


async def test_a_busy_run_delays_a_single_message_by_a_few() -> None:
    """A run's one message passes two thousand queued items of another run."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="fair")
    done: list[str] = []

    @pipe.map(each="work", max_concurrency=2000)
    async def spread(state: dict[str, Any]) -> Any:
        return range(state["items"])

    @pipe.step(concurrency=1)
    async def work(state: dict[str, Any], item: int) -> None:
        await state["go"].wait()
        done.append(state["name"])

    go = anyio.Event()
    async with Supervisor() as supervisor:
        crowd = await supervisor.submit(
            pipe, {"name": "crowd", "items": 2000, "go": go}
        )
        await anyio.wait_all_tasks_blocked()
        depth = sum(actor.depth for actor in supervisor.snapshot().actors)
        single = await supervisor.submit(pipe, {"name": "single", "items": 1, "go": go})
        await anyio.wait_all_tasks_blocked()
        go.set()
        for run in (crowd, single):
            await run.wait()

    assert depth == 1999
    assert done.index("single") <= 4
    assert len(done) == 2001


async def test_a_stalled_consumer_leaves_another_run_all_of_its_events() -> None:
    """Beside a consumer that stops reading, 180 of 180 events arrive."""
    pipe = talking_pipe(8)

    async with Supervisor(grace=0) as supervisor:
        stalled = supervisor.run(pipe, {})
        await anext(stalled)
        await anyio.wait_all_tasks_blocked()
        parked = supervisor.snapshot().parked
        tokens = [
            event.payload
            async for event in supervisor.run(pipe, {})
            if event.type is EventType.TOKEN
        ]
        buffered = stalled.snapshot().buffered
        await stalled.aclose()

    assert tokens == list(range(180))
    assert parked == (stalled.run_id,)
    assert buffered == 8
