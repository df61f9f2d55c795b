"""The timers of one actor system, and the one task that waits for them.

A timer is data: a time on the loop's clock and a function.  One task sleeps until the
earliest is due, calls the functions of all that are due, and ends when none is left, so
that an actor system without timers has no task for them.

Stopping a timer takes effect at once, in the caller.  Its entry stays in the heap until
its deadline or until stopped timers are the majority, as removing it from the middle of
a heap would take time proportional to the number of timers.

Rejected: a task for each timer.  A task cannot be stored and started again in another
process, and ten thousand waiting runs would be ten thousand tasks.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Coroutine
from math import inf
from typing import Any

import anyio
import attrs

from .._util import failpoints
from .._util.failpoints import Seam
from .._util.interrupts import enable_ki_protection
from .._util.lazy_classes import define
from .._util.sync import do_nothing


@define(eq=False, repr=False)
class TimerHandle:
    """A function that is called at a time, unless the timer is stopped."""

    due: float
    """The due time, in seconds of the loop's clock."""
    fire: Callable[[], None] | None
    """The function; None once the timer was stopped or has fired. It must not raise."""
    on_fault: Callable[[Exception], None] = do_nothing
    """Called instead of ``fire`` with the exception of a failpoint."""
    run_id: str = ""
    """The run it belongs to, for failpoints."""
    name: str = ""
    """Name of the wait, for failpoints."""
    is_queued: bool = attrs.field(default=True, init=False)
    """Whether it is in the heap."""


@define(eq=False, repr=False)
class TimerQueue:
    """The timers of one actor system."""

    spawn: Callable[[Callable[[], Coroutine[Any, Any, object]]], None]
    """Starts a task of the actor system."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    absorb_native_cancel: Callable[[], bool]
    """Absorb a native cancellation of the current task; tell whether there was one."""
    _heap: list[tuple[float, int, TimerHandle]] = attrs.field(factory=list, init=False)
    _count: int = attrs.field(default=0, init=False)
    _stopped: int = attrs.field(default=0, init=False)
    _is_running: bool = attrs.field(default=False, init=False)
    _changed: anyio.Event | None = attrs.field(default=None, init=False)

    def __len__(self) -> int:
        return len(self._heap) - self._stopped

    def start(
        self,
        due: float,
        fire: Callable[[], None],
        *,
        on_fault: Callable[[Exception], None] = do_nothing,
        run_id: str = "",
        name: str = "",
    ) -> TimerHandle:
        """Call a function at a time of the loop's clock.

        Args:
            due: seconds of the loop's clock; a past time means the next turn.
            fire: the function; it must not raise.
            on_fault: called instead of ``fire`` with the exception of a failpoint.
            run_id: the run it belongs to.
            name: name of the wait, for failpoints.
        """
        timer = TimerHandle(due, fire, on_fault, run_id, name)
        self._count += 1
        entry = (due, self._count, timer)
        heapq.heappush(self._heap, entry)
        if self._is_running:
            if self._heap[0] is entry:
                self._notify()
            return timer
        try:
            self._start_task()
        except BaseException:
            self._heap.remove(entry)
            heapq.heapify(self._heap)
            raise
        return timer

    def stop(self, timer: TimerHandle) -> None:
        """Stop a timer; do nothing if it has fired or was stopped."""
        if timer.fire is None:
            return
        timer.fire = None
        if not timer.is_queued:
            return
        self._stopped += 1
        if not len(self):
            self._heap.clear()
            self._stopped = 0
            self._notify()
        elif self._stopped * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].fire is not None]
            heapq.heapify(self._heap)
            self._stopped = 0

    def _start_task(self) -> None:
        if not self._heap:
            return
        self._is_running = True  # first: on some loops a task starts inside ``spawn``
        try:
            self.spawn(self._wait_for_timers)
        except BaseException:
            self._is_running = False
            raise

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()

    @enable_ki_protection
    async def _wait_for_timers(self) -> None:
        """Call the functions that are due until no timer is left."""
        try:
            while self._has_timer():  # the task ends with the last timer
                await self._wait_due()
                await self._fire_due()
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - raised unless outlived
            self._is_running = False
            if anyio.current_effective_deadline() == -inf:
                raise
            # Timers are data, so they outlast a task that was cancelled natively.
            self._start_task()
            if not self.absorb_native_cancel():
                raise
        else:
            self._is_running = False

    def _has_timer(self) -> bool:
        """Remove stopped timers from the head of the heap; tell whether one is left."""
        while self._heap and self._heap[0][2].fire is None:
            heapq.heappop(self._heap)
            self._stopped -= 1
        return bool(self._heap)

    async def _wait_due(self) -> None:
        """Wait until the earliest timer is due or the timers change."""
        changed = self._changed = anyio.Event()
        try:
            with anyio.move_on_after(max(self._heap[0][0] - self.now(), 0)):
                await changed.wait()
        finally:
            self._changed = None

    async def _fire_due(self) -> None:
        now = self.now()
        while self._heap and self._heap[0][0] <= now:
            _, _, timer = heapq.heappop(self._heap)
            timer.is_queued = False
            if timer.fire is None:
                self._stopped -= 1
                continue
            if failpoints.active is not None:
                try:
                    await failpoints.active.reach(Seam.TIMER, timer.run_id, timer.name)
                except Exception as error:  # noqa: BLE001 - it ends its own run only
                    timer.fire = None
                    timer.on_fault(error)
                    continue
            fire, timer.fire = timer.fire, None
            if fire is not None:
                fire()
