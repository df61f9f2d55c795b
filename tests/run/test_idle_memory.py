"""What a run that waits for something keeps in memory.

It is measured by ``tracemalloc``: everything that was allocated since the first runs were
at work and is still there when 1,000 more of them wait, divided by 1,000.  So it is what
one run adds, with its tasks, its coroutines and its kept events, and without what all
runs share.  (Resident memory, as ``python -m tests.benchmarks.scale`` measures it, is a
few per cent more.)
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from tests.helpers import AnyPipe

from justpipe_actors import Event, Pipe, Supervisor


RUNS = 1_000

Begin = Callable[[Supervisor, TaskGroup, AnyPipe], object]
"""Begins one run."""


def submitted(supervisor: Supervisor, _tasks: TaskGroup, pipe: AnyPipe) -> None:
    """Submit a run and leave it alone."""
    supervisor.submit_nowait(pipe, {})


def waited_for(supervisor: Supervisor, tasks: TaskGroup, pipe: AnyPipe) -> None:
    """Start a task that waits for the end of a run."""
    tasks.start_soon(supervisor.run(pipe, {}).wait)


async def kilobytes(begin: Begin) -> float:
    """Return the kilobytes that a run adds whose step waits for an event."""
    pipe: AnyPipe = Pipe(dict, name="idle")
    gate = anyio.Event()

    @pipe.step
    async def wait(state: Any) -> None:
        await gate.wait()

    async def begin_all(count: int) -> int:
        for _ in range(count):
            begin(supervisor, tasks, pipe)
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async with Supervisor() as supervisor, anyio.create_task_group() as tasks:
        await begin_all(100)
        tracemalloc.start()
        added = await begin_all(RUNS)
        tracemalloc.stop()
        gate.set()
    return added / RUNS / 1024


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("begin", "most"), [(submitted, 13), (waited_for, 16)])
def test_an_idle_run_takes_little_memory(
    begin: Begin, most: float, backend: str
) -> None:
    """At most 13 kB in a supervisor, and 3 kB more for the task that waits for it."""
    assert anyio.run(kilobytes, begin, backend=backend) <= most


def read_in_supervisor(supervisor: Supervisor, pipe: AnyPipe) -> Awaitable[object]:
    """Read a run of a supervisor."""
    return all_of(supervisor.run(pipe, {}))


def wait_in_supervisor(supervisor: Supervisor, pipe: AnyPipe) -> Awaitable[object]:
    """Wait for a run of a supervisor."""
    return supervisor.run(pipe, {}).wait()


async def all_of(events: AsyncIterator[Event]) -> list[Event]:
    """Read to the end."""
    return [event async for event in events]


async def read_alone(pipe: AnyPipe) -> None:
    """Read a run of its own."""
    await all_of(pipe.run({}))


async def wait_alone(pipe: AnyPipe) -> None:
    """Wait for a run of its own."""
    await pipe.run({}).wait()


async def read_in_block(pipe: AnyPipe) -> None:
    """Read a run of its own in the block of the run."""
    async with pipe.run({}) as run:
        await all_of(run)


async def wait_in_block(pipe: AnyPipe) -> None:
    """Wait for a run of its own in the block of the run."""
    async with pipe.run({}) as run:
        await run.wait()


async def unreachable_after(use: Callable[[], Awaitable[object]]) -> int:
    """Return how many objects only the garbage collector can free after ten uses."""
    await use()  # compiles the pipe
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            await use()
        await checkpoint()
        return gc.collect()
    finally:
        gc.enable()


def one_step() -> AnyPipe:
    """Return a pipe of one step that does not wait."""
    pipe: AnyPipe = Pipe(dict, name="short")
    pipe.step("only")(lambda: None)
    return pipe


def many_kinds() -> AnyPipe:
    """Return a pipe with steps that wait, a map, a join, a stream and a resource."""
    pipe: AnyPipe = Pipe(dict, name="many", allow_multi_root=True)

    @pipe.resource
    async def number() -> AsyncIterator[int]:
        yield 1

    @pipe.map(each="work", to="join")
    async def source(state: Any) -> range:
        return range(3)

    @pipe.step
    async def work(state: Any, item: int) -> None:
        await checkpoint()

    @pipe.step(to="join")
    async def speak(state: Any) -> AsyncIterator[str]:
        yield "word"

    @pipe.step(barrier_timeout=60)
    async def join(state: Any, number: int) -> None:
        await checkpoint()

    return pipe


@pytest.mark.parametrize("use", [read_in_supervisor, wait_in_supervisor])
@pytest.mark.parametrize("build", [one_step, many_kinds])
async def test_an_ended_run_of_a_supervisor_is_freed_without_the_collector(
    use: Callable[[Supervisor, AnyPipe], Awaitable[object]],
    build: Callable[[], AnyPipe],
) -> None:
    """A run has no reference cycle; collecting one would cost a tenth of a small run."""
    async with Supervisor() as supervisor:
        assert await unreachable_after(partial(use, supervisor, build())) == 0


@pytest.mark.parametrize("use", [read_alone, wait_alone, read_in_block, wait_in_block])
@pytest.mark.parametrize("build", [one_step, many_kinds])
async def test_an_ended_run_of_its_own_is_freed_without_the_collector(
    use: Callable[[AnyPipe], Awaitable[object]], build: Callable[[], AnyPipe]
) -> None:
    """Neither has a run with an actor system of its own."""
    assert await unreachable_after(partial(use, build())) == 0
