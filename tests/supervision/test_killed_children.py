"""On asyncio any code can cancel a task natively; a child that ends so has failed."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from justpipe_actors._supervision.child import ChildSpec
from justpipe_actors.errors import ChildEnded

from .stage import Stage, steady


pytestmark = pytest.mark.parametrize(
    "anyio_backend", ["asyncio"], indirect=True, scope="module"
)


async def test_a_natively_cancelled_child_has_failed() -> None:
    """The end is abnormal, so even a transient child restarts; the other children go on."""
    stage = Stage()
    tasks: list[Any] = []

    async def victim() -> None:
        tasks.append(asyncio.current_task())
        await anyio.sleep_forever()

    async def body() -> None:
        await anyio.wait_all_tasks_blocked()
        tasks[0].cancel()
        await anyio.wait_all_tasks_blocked()
        assert stage.log == ["+a"]

    children = steady(min_delay=0)
    await stage.live(
        children,
        body,
        stage.player("a"),
        ChildSpec(name="victim", func=victim, restart="transient"),
    )

    assert len(tasks) == 2
    assert children.statistics()[1].last_error == (
        "ChildEnded: 'victim' was cancelled from outside. "
        "Add it with restart='transient' if its work can be finished."
    )


async def test_a_child_that_awaits_something_cancelled_has_failed() -> None:
    """On asyncio this looks like a cancellation of the child; it must not count as success."""
    stage = Stage()
    lives: list[int] = []

    async def waiter() -> None:
        lives.append(1)
        if len(lives) > 1:
            await anyio.sleep_forever()
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    await stage.live(
        steady(min_delay=0),
        anyio.wait_all_tasks_blocked,
        ChildSpec(name="waiter", func=waiter, restart="transient"),
    )

    assert len(lives) == 2


async def test_a_natively_cancelled_monitor_is_reported() -> None:
    """Without the monitor no end would be noticed, so the owner gets the error."""
    stage = Stage()

    async def body() -> None:
        await anyio.wait_all_tasks_blocked()
        for task in asyncio.all_tasks():
            if "ChildMonitor._run" in repr(task):
                task.cancel()
        await anyio.wait_all_tasks_blocked()

    await stage.live(steady(min_delay=0), body, stage.player("a"))

    assert isinstance(stage.failures[0], ChildEnded)
    assert stage.log == ["+a", "-a"]
