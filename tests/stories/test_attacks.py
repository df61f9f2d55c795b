"""What was tried to break the engine, and did, until it was mended."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe, Supervisor


only_asyncio = pytest.mark.parametrize(
    "anyio_backend", ["asyncio"], indirect=True, scope="module"
)
"""trio has no way to cancel one task from outside."""


def resting() -> Pipe[Any, Any]:
    """Return a pipe of one step that waits once."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="resting")

    @pipe.step
    async def rest(state: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()

    return pipe


async def kill_newborn(known: set[asyncio.Task[Any]]) -> None:
    """Cancel natively, before its first step, every task that was just made."""
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - known:
        task.cancel()


# -- tasks that are killed before they have begun


@only_asyncio
async def test_a_run_killed_before_it_has_begun_begins_all_the_same() -> None:
    """Its consumer does not wait for ever for a task that never took a step."""
    events: list[Event] = []

    async def consume() -> None:
        events.extend([event async for event in resting().run({})])

    consumer = asyncio.create_task(consume())
    known = asyncio.all_tasks()
    with anyio.fail_after(5):
        await kill_newborn(known)
        await consumer

    assert events[-1].payload.status.value == "success"


@only_asyncio
async def test_a_receiver_killed_before_it_has_begun_leaves_no_run_waiting() -> None:
    """What it was summoned for ends with its supervisor, and is told so."""
    events: list[Event] = []
    async with Supervisor() as supervisor:

        async def consume() -> None:
            events.extend([event async for event in supervisor.run(resting(), {})])

        consumer = asyncio.create_task(consume())
        known = asyncio.all_tasks()
        with anyio.fail_after(5):
            await kill_newborn(known)
            await consumer

    assert events[-1].type is EventType.FINISH
    assert events[-1].payload.status.value == "cancelled"


# -- runs inside runs, all served by one task


def nested(depth: int, cleaned: list[str]) -> Pipe[Any, Any]:
    """Return a pipe whose step runs a pipe whose step ... waits for ever."""
    pipe: Pipe[Any, Any] = Pipe(dict, name=f"level {depth}")
    if depth:

        @pipe.sub(pipeline=nested(depth - 1, cleaned))
        async def sub(state: dict[str, Any]) -> Any:
            return state

    else:

        @pipe.step
        async def wait(state: dict[str, Any]) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()
                cleaned.append("wait")

    return pipe


@pytest.mark.parametrize("hosted", [False, True])
@pytest.mark.parametrize("moment", range(12))
async def test_cancelled_three_deep_every_run_says_whose_will_it_was(
    hosted: bool, moment: int
) -> None:
    """The outer run gives the caller's reason, the inner ones that their owner ended."""
    cleaned: list[str] = []
    events: list[Event] = []
    async with Supervisor() if hosted else nullcontext():
        run = nested(3, cleaned).run({})

        async def stop() -> None:
            for _ in range(moment):
                await anyio.lowlevel.checkpoint()
            run.cancel("enough")

        with anyio.fail_after(5):
            async with run, anyio.create_task_group() as tasks:
                tasks.start_soon(stop)
                events = [event async for event in run]

    began = any(event.type is EventType.STEP_START for event in events)
    starts = [event for event in events if event.type is EventType.START]
    ends = [event for event in events if event.type is EventType.FINISH]
    assert [end.payload.error for end in ends] == [
        *["The run's owner was cancelled"] * (len(ends) - 1),
        "enough",
    ]
    assert len(starts) <= len(ends) == (4 if began else 1)
    assert cleaned == ["wait"] * began


# -- an owner that is cancelled


async def test_a_conductor_cancelled_in_its_own_step_blames_its_owner() -> None:
    """Whether the step or the block hears of it first, the reason is the same."""
    pipe = nested(0, [])
    with anyio.CancelScope() as scope:
        async with pipe.run({}) as run:
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await run.wait()

    assert scope.cancelled_caught
    assert run.end is not None
    assert run.end.error == "The run's owner was cancelled"


@pytest.mark.virtual_time
async def test_a_child_over_its_steps_time_was_ended_by_its_owner() -> None:
    """The timeout of a sub-pipeline's step is the step's; the child just ends."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.sub(pipeline=nested(1, []), timeout=1)
    async def sub(state: dict[str, Any]) -> Any:
        return state

    async with pipe.run({}) as run:
        ends = [e.payload async for e in run if e.type is EventType.FINISH]

    assert [end.status.value for end in ends] == ["cancelled", "cancelled", "failed"]
    assert {end.error for end in ends[:2]} == {"The run's owner was cancelled"}
    assert ends[-1].failed_step == "sub"


@only_asyncio
@pytest.mark.parametrize("moment", range(1, 8))
async def test_a_supervisor_cancelled_while_it_opens_lets_its_owner_go(
    moment: int,
) -> None:
    """Natively cancelled at any step of its opening, the block ends as cancelled."""

    async def own() -> None:
        async with Supervisor():
            await anyio.sleep_forever()

    owner = asyncio.create_task(own())
    for _ in range(moment):
        await asyncio.sleep(0)
    owner.cancel()
    with anyio.fail_after(5):
        await asyncio.wait([owner])

    assert owner.cancelled()


# -- tasks that are killed at work


@only_asyncio
async def test_a_killed_barrier_timer_ends_its_run_and_no_other() -> None:
    """Nobody would keep that join's time any more, so its run says so; others go on."""
    go = anyio.Event()
    pipe: Pipe[Any, Any] = Pipe(dict, name="joined")

    @pipe.step(to=["fast", "slow"])
    async def begin(state: dict[str, Any]) -> None:
        pass

    @pipe.step(to="join")
    async def fast(state: dict[str, Any]) -> None:
        pass

    @pipe.step(to="join")
    async def slow(state: dict[str, Any]) -> None:
        await go.wait()

    @pipe.step(barrier_timeout=60)
    async def join(state: dict[str, Any]) -> None:
        pass

    async with Supervisor() as supervisor:
        killed = supervisor.submit_nowait(pipe, {})
        await anyio.wait_all_tasks_blocked()
        timers = [t for t in asyncio.all_tasks() if "_run_timer" in t.get_name()]
        other = supervisor.submit_nowait(pipe, {})
        await anyio.wait_all_tasks_blocked()
        (timer,) = timers
        timer.cancel()
        with anyio.fail_after(5):
            await anyio.wait_all_tasks_blocked()
            go.set()
            end, fine = await killed.wait(), await other.wait()

    assert (end.status.value, fine.status.value) == ("failed", "success")
    assert "join (barrier)" in (end.error or "")
