"""The floor: the same work by hand, with tasks and a queue and no engine.

One task per step, a queue of events to the consumer, a counter for joins.  It has no
names, no errors, no cancellation of its own: nothing an engine is for.  What an engine
costs is its distance from here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup


class Queue:
    """Events on their way to one reader."""

    def __init__(self) -> None:
        self.items: deque[Any] = deque()
        self.wake = anyio.Event()
        self.ended = False

    def put(self, item: Any) -> None:
        """Add an event."""
        self.items.append(item)
        self.wake.set()

    def end(self) -> None:
        """Say that no event follows."""
        self.ended = True
        self.wake.set()

    async def read(self) -> int:
        """Read to the end and return how many there were."""
        count = 0
        while True:
            while self.items:
                self.items.popleft()
                count += 1
            if self.ended:
                return count
            self.wake = anyio.Event()
            await self.wake.wait()


async def nothing(state: Any) -> None:
    """Do what a step of the measured programs does."""


async def chain(tasks: TaskGroup, queue: Queue, length: int = 200) -> None:
    """Run steps in a row, each in a task started by the one before."""

    async def step(number: int) -> None:
        queue.put(("start", number))
        await nothing(None)
        queue.put(("end", number))
        if number + 1 < length:
            tasks.start_soon(step, number + 1)
        else:
            queue.end()

    tasks.start_soon(step, 0)


async def fan(tasks: TaskGroup, queue: Queue, width: int = 100) -> None:
    """Run one step, ``width`` beside each other, and a join."""
    left = width

    async def last() -> None:
        queue.put(("start", "last"))
        await nothing(None)
        queue.put(("end", "last"))
        queue.end()

    async def branch(number: int) -> None:
        nonlocal left
        queue.put(("start", number))
        await nothing(None)
        queue.put(("end", number))
        left -= 1
        if not left:
            tasks.start_soon(last)

    queue.put(("start", "first"))
    await nothing(None)
    queue.put(("end", "first"))
    for number in range(width):
        tasks.start_soon(branch, number)


async def diamonds(tasks: TaskGroup, queue: Queue, count: int = 40) -> None:
    """Run diamonds in a row."""

    async def step(name: str, then: Callable[[], None]) -> None:
        queue.put(("start", name))
        await nothing(None)
        queue.put(("end", name))
        then()

    def diamond(number: int) -> None:
        left = 2

        def opened() -> None:
            for name in ("b", "c"):
                tasks.start_soon(step, name, arrived)

        def arrived() -> None:
            nonlocal left
            left -= 1
            if not left:
                tasks.start_soon(step, "d", done)

        def done() -> None:
            if number + 1 < count:
                diamond(number + 1)
            else:
                queue.end()

        tasks.start_soon(step, "a", opened)

    diamond(0)


async def map_items(tasks: TaskGroup, queue: Queue, items: int = 900) -> None:
    """Run a worker per item."""
    left = items

    async def worker(item: int) -> None:
        nonlocal left
        queue.put(("start", item))
        await nothing(item)
        queue.put(("end", item))
        left -= 1
        if not left:
            queue.end()

    for item in range(items):
        tasks.start_soon(worker, item)


async def tokens(tasks: TaskGroup, queue: Queue, count: int = 20_000) -> None:
    """Put tokens into the queue, leaving room for the reader now and then."""

    async def speak() -> None:
        for number in range(count):
            queue.put(number)
            if not number % 1000:
                await anyio.lowlevel.checkpoint()
        queue.end()

    tasks.start_soon(speak)


async def small(tasks: TaskGroup, queue: Queue) -> None:
    """Run three steps in a row."""
    await chain(tasks, queue, 3)


FLOORS: dict[str, Callable[[TaskGroup, Queue], Awaitable[None]]] = {
    "chain": chain,
    "fan": fan,
    "diamonds": diamonds,
    "map": map_items,
    "tokens": tokens,
    "small": small,
}
"""By the name of the program each one stands for."""


async def run(name: str) -> int:
    """Run one program once and return how many events its reader saw."""
    queue = Queue()
    async with anyio.create_task_group() as tasks:
        await FLOORS[name](tasks, queue)
        return await queue.read()
