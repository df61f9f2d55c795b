"""The timers of an actor system: when they fire, and that one task serves all."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from justpipe_actors._backends import current_loop
from justpipe_actors._engine.timers import TimerQueue


pytestmark = pytest.mark.virtual_time


def _queue(tasks: TaskGroup, started: list[str]) -> TimerQueue:
    def spawn(func: Callable[[], Coroutine[Any, Any, object]]) -> None:
        started.append("task")
        tasks.start_soon(func)

    return TimerQueue(spawn, current_loop().now, lambda: False)


async def test_timers_fire_in_the_order_of_their_deadlines() -> None:
    """A timer with an earlier deadline fires first although it was started later; one
    task serves all.
    """
    fired: list[str] = []
    started: list[str] = []
    async with anyio.create_task_group() as tasks:
        timers = _queue(tasks, started)
        now = timers.now()
        timers.start(now + 20, partial(fired.append, "late"))
        await anyio.wait_all_tasks_blocked()
        timers.start(now + 10, partial(fired.append, "early"))
        timers.start(now + 15, partial(fired.append, "middle"))

    assert fired == ["early", "middle", "late"]
    assert started == ["task"]
    assert timers.now() - now == pytest.approx(20)


async def test_a_stopped_timer_does_not_fire_and_holds_no_task() -> None:
    """The task ends as soon as the last timer is stopped."""
    fired: list[str] = []
    started: list[str] = []
    async with anyio.create_task_group() as tasks:
        timers = _queue(tasks, started)
        now = timers.now()
        handles = [
            timers.start(now + 10 + n, partial(fired.append, str(n))) for n in range(5)
        ]
        await anyio.wait_all_tasks_blocked()
        for handle in handles:
            timers.stop(handle)
            timers.stop(handle)

    assert fired == []
    assert len(timers) == 0
    assert timers.now() == pytest.approx(now)


async def test_stopping_most_timers_keeps_the_rest() -> None:
    """Entries of stopped timers are removed together; the others fire on time."""
    fired: list[str] = []
    async with anyio.create_task_group() as tasks:
        timers = _queue(tasks, [])
        now = timers.now()
        handles = [
            timers.start(now + 1 + n, partial(fired.append, str(n))) for n in range(9)
        ]
        for handle in handles[::2] + handles[1:5:2]:
            timers.stop(handle)
        assert len(timers) == 2

    assert fired == ["5", "7"]


async def test_a_timer_may_start_and_stop_others_when_it_fires() -> None:
    """What the function of a timer changes in the queue takes effect at once."""
    fired: list[str] = []
    async with anyio.create_task_group() as tasks:
        timers = _queue(tasks, [])
        now = timers.now()
        other = timers.start(now + 1, partial(fired.append, "stopped"))

        def fire() -> None:
            fired.append("first")
            timers.stop(other)
            timers.start(now + 5, partial(fired.append, "second"))

        timers.start(now + 0.5, fire)

    assert fired == ["first", "second"]
    assert timers.now() - now == pytest.approx(5)


async def test_the_task_ends_with_the_last_timer_that_was_not_stopped() -> None:
    """A stopped timer with a later deadline does not keep the task."""
    fired: list[str] = []
    async with anyio.create_task_group() as tasks:
        timers = _queue(tasks, [])
        now = timers.now()
        late = timers.start(now + 60, partial(fired.append, "late"))
        timers.start(now + 1, partial(fired.append, "soon"))
        timers.stop(late)

    assert fired == ["soon"]
    assert timers.now() - now == pytest.approx(1)
