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


def read_alone(_supervisor: Supervisor, pipe: AnyPipe) -> Awaitable[object]:
    """Read a run of its own."""
    return all_of(pipe.run({}))


def wait_alone(_supervisor: Supervisor, pipe: AnyPipe) -> Awaitable[object]:
    """Wait for a run of its own."""
    return pipe.run({}).wait()


def read_in_supervisor(supervisor: Supervisor, pipe: AnyPipe) -> Awaitable[object]:
    """Read a run of a supervisor."""
    return all_of(supervisor.run(pipe, {}))


def wait_in_supervisor(supervisor: Supervisor, pipe: AnyPipe) -> Awaitable[object]:
    """Wait for a run of a supervisor."""
    return supervisor.run(pipe, {}).wait()


async def all_of(events: AsyncIterator[Event]) -> list[Event]:
    """Read to the end."""
    return [event async for event in events]


@pytest.mark.parametrize(
    "use", [read_alone, wait_alone, read_in_supervisor, wait_in_supervisor]
)
async def test_an_ended_run_is_freed_without_the_collector(
    use: Callable[[Supervisor, AnyPipe], Awaitable[object]],
) -> None:
    """A run has no reference cycle; collecting one would cost a tenth of a small run."""
    pipe: AnyPipe = Pipe(dict, name="short")
    pipe.step("only")(lambda: None)
    async with Supervisor() as supervisor:
        await use(supervisor, pipe)  # compiles the pipe
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                await use(supervisor, pipe)
            await checkpoint()
            unreachable = gc.collect()
        finally:
            gc.enable()

    assert unreachable == 0
