"""What was tried to break the engine, and did, until it was mended."""

from __future__ import annotations

import asyncio
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
