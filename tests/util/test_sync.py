"""Signals between tasks."""

from __future__ import annotations

import anyio
import pytest

from justpipe_actors._backends import current_loop
from justpipe_actors._util.sync import LoopEventFactory, OneShotEvent


def loop_events() -> LoopEventFactory:
    """Return what makes the events of the running loop."""
    return current_loop().new_loop_event


@pytest.mark.parametrize("factory", ["anyio", "loop"])
async def test_a_cancelled_waiter_does_not_reach_the_others(factory: str) -> None:
    """Each task waits for itself: the others wake when the event is set."""
    event, woken = OneShotEvent(), []
    new_loop_event = anyio.Event if factory == "anyio" else loop_events()

    async def wait(name: str) -> None:
        await event.wait(new_loop_event)
        woken.append(name)

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(wait, "one")
            tasks.start_soon(wait, "two")
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await event.wait(new_loop_event)
        assert (scope.cancelled_caught, woken) == (True, [])
        event.set()

    assert sorted(woken) == ["one", "two"]


async def test_an_event_that_is_set_is_not_waited_for() -> None:
    """A later wait returns at once, even if the task is cancelled."""
    event = OneShotEvent()
    event.set()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await event.wait()

    assert event.is_set()
    assert not scope.cancelled_caught
