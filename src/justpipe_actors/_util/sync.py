"""Small signals between tasks, and waiting that reports what it waits for.

``Wakeup`` and ``OneShotEvent`` create the event of the loop when a task waits, and cost
nothing before that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import MethodType
from typing import Protocol

import anyio


class LoopEvent(Protocol):
    """An event that is set once and that one task waits for."""

    def set(self) -> object:
        """Set the event."""

    def wait(self) -> Awaitable[object]:
        """Wait until the event is set."""
        ...


LoopEventFactory = Callable[[], LoopEvent]
"""Makes a signal of the running loop.

``anyio.Event`` works on every loop.  The loop's own event costs a third of that, which
matters where every run waits: for its consumer, and for a message.
"""


class Wakeup:
    """Wake the one task that waits here.

    A ``notify`` without a waiter is lost.  So the waiter checks its condition first,
    with no await between the check and ``wait``.
    """

    __slots__ = ("_event", "_new_loop_event", "has_waiter")

    def __init__(self, new_loop_event: LoopEventFactory = anyio.Event) -> None:
        self._new_loop_event = new_loop_event
        self._event: LoopEvent | None = None
        self.has_waiter: bool = False
        """True while a task waits here."""

    def notify(self) -> None:
        """Wake the waiter, if there is one."""
        if self._event is not None:
            self._event.set()
            self._event = None
            self.has_waiter = False

    def begin_wait(self) -> LoopEvent:
        """Return the event that the next ``notify`` sets; hand it to ``end_wait``.

        perf: a task that waits for the event itself has no coroutine of ``wait``, which
        takes 216 bytes (scale, idle run).
        """
        event = self._event = self._new_loop_event()
        self.has_waiter = True
        return event

    def end_wait(self, event: LoopEvent) -> None:
        """Note that the task no longer waits, whether it was notified or not."""
        if self._event is event:
            self._event = None
            self.has_waiter = False

    async def wait(self) -> None:
        """Wait for the next ``notify``."""
        event = self.begin_wait()
        try:
            await event.wait()
        finally:
            self.end_wait(event)


class OneShotEvent:
    """An event that is set once; later waits return at once.

    Each task that waits has an event of the loop to itself: on asyncio that is a future,
    and the cancellation of one task must not reach the others.
    """

    __slots__ = ("_is_set", "_waited_for")

    def __init__(self) -> None:
        self._is_set = False
        self._waited_for: list[LoopEvent] | None = None

    def set(self) -> None:
        """Set the event and wake all waiting tasks."""
        self._is_set = True
        if self._waited_for is not None:
            events, self._waited_for = self._waited_for, None
            for event in events:
                event.set()

    def is_set(self) -> bool:
        """Tell whether the event is set."""
        return self._is_set

    def begin_wait(self, new_loop_event: LoopEventFactory = anyio.Event) -> LoopEvent:
        """Return the event to wait for, if this one is not set; hand it to ``end_wait``.

        perf: as for ``Wakeup.begin_wait``.
        """
        event = new_loop_event()
        if self._waited_for is None:
            self._waited_for = []
        self._waited_for.append(event)
        return event

    def end_wait(self, event: LoopEvent) -> None:
        """Note that a task no longer waits, whether the event was set or not."""
        if self._waited_for is not None:
            self._waited_for.remove(event)

    async def wait(self, new_loop_event: LoopEventFactory = anyio.Event) -> None:
        """Wait until the event is set; without a checkpoint if it is set already."""
        if not self._is_set:
            event = self.begin_wait(new_loop_event)
            try:
                await event.wait()
            finally:
                self.end_wait(event)


REPORT_INTERVAL = 10.0
"""Seconds between two reports of what is waited for."""


async def wait_and_report(
    wait: Callable[[], Awaitable[object]],
    is_done: Callable[[], bool],
    report: Callable[[], object],
    interval: float = REPORT_INTERVAL,
) -> None:
    """Wait without a limit, and report at intervals what is still missing.

    Args:
        wait: waits for a change.
        is_done: whether there is nothing left to wait for.
        report: says what is waited for; called after each interval without success.
        interval: seconds between two reports.
    """
    while not is_done():
        with anyio.move_on_after(interval):
            await wait()
        if not is_done():
            report()


def do_nothing(*_arguments: object) -> None:
    """Do nothing: the default of a callback."""


def refuse_task(*_arguments: object) -> None:
    """Raise an error: the function that started the tasks of an owner which has ended."""
    msg = "No task can begin: its owner has ended."
    raise RuntimeError(msg)


bound = MethodType
"""Bind a function to its only argument: a ``partial`` of 64 bytes and not 192.

perf: every run has two (``python -m tests.benchmarks.scale``, idle run).
"""
