"""The event buffers between a run and its consumer: three overflow policies.

==================  ====================================================================
``"block"``         the run's producers wait; nothing is lost (the default)
``"drop_oldest"``   the oldest TOKEN is dropped; no other event is ever lost, so
                    producers wait when no TOKEN is left
``"fail"``          the run fails with ``ConsumerTooSlow``
==================  ====================================================================

Other runs are not affected.  A submitted run has no consumer to wait for and keeps a
``ReplayBuffer`` instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import ClassVar, Literal, get_args

import anyio
import attrs
from anyio.lowlevel import checkpoint

from .._util.lazy_classes import define
from .._util.sync import LoopEvent, LoopEventFactory, Wakeup, do_nothing
from ..errors import ConsumerTooSlow
from ..events import Event, EventType
from .lazy_events import BUILT, COUNTED, LazyEvent, Visibility, type_of


_NO_EVENTS: deque[Event] = deque(maxlen=0)
"""Shared queue of all buffers that drop events; it stays empty.

perf: a queue takes 760 bytes (``python -m tests.benchmarks.scale``, idle run).
"""

_NO_WRITERS: list[anyio.Event] = []
"""Shared list of all buffers that no producer has waited for; it stays empty."""

EVENTS_PER_TURN = 256
"""Events read without waiting before the consumer yields to other tasks."""


@define(eq=False, repr=False)
class EventBuffer:
    """A bounded buffer with one reader; producers wait while it is full."""

    capacity: int
    """Events it holds before producers wait; 0 or less is unbounded."""
    new_loop_event: LoopEventFactory = anyio.Event
    """Makes the signal that the reader waits for."""
    dropped: int = attrs.field(default=0, init=False)
    """Always 0: producers wait."""
    peak_length: int = attrs.field(default=0, init=False)
    """Highest number of events in the buffer so far."""
    is_full: bool = attrs.field(default=False, init=False)
    """Whether producers have to wait."""
    can_pause_producers: ClassVar[bool] = True
    """Whether ``pause_producers`` makes producers wait."""
    needs: Visibility = attrs.field(default=BUILT, init=False)
    """``COUNTED`` while the consumer only waits for the end, see ``ignore_events``."""
    _is_paused: bool = attrs.field(default=False, init=False)
    is_turn_over: bool = attrs.field(default=False, init=False)
    """Whether producers have to wait for other tasks once, and not for the consumer."""
    _drops: bool = attrs.field(default=False, init=False)
    _events: deque[Event] = attrs.field(factory=deque, init=False)
    _reader: Wakeup = attrs.field(init=False)
    _limit: float = attrs.field(init=False)
    _writers: list[anyio.Event] = attrs.field(default=_NO_WRITERS, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _turn: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = Wakeup(self.new_loop_event)
        self._limit = self.capacity if self.capacity > 0 else inf

    @property
    def parent(self) -> None:
        """None: the run that writes to this buffer is no child."""

    @property
    def depth(self) -> int:
        """0: the run that writes to this buffer is no child."""
        return 0

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: LazyEvent) -> None:
        """Add an event even if the buffer is full; drop it if it will not be read."""
        if self._drops:
            return
        self._events.append(event)  # type: ignore[arg-type]  # built: ``needs``
        depth = len(self._events)
        if depth > self.peak_length:  # perf: max() costs three times this
            self.peak_length = depth
        if depth >= self._limit:
            self.is_full = True
        if self._reader.has_waiter:
            self._reader.notify()

    async def wait_writable(self) -> None:
        """Wait until the buffer is not full, or is closed."""
        if self.is_turn_over:
            self.is_turn_over = False
            self._update_is_full()
            await checkpoint()
        elif self._closed:
            await checkpoint()
        while self._is_at_capacity():
            writable = anyio.Event()
            if self._writers is _NO_WRITERS:
                self._writers = []
            self._writers.append(writable)
            try:
                await writable.wait()
            except BaseException:
                if writable.is_set():
                    self._wake_writer()
                else:
                    self._writers.remove(writable)
                raise

    def get_nowait(self) -> Event | None:
        """Return the next event; None if there is none or other tasks must run."""
        if not self._events or self._turn >= EVENTS_PER_TURN:
            return None
        self._turn += 1
        event = self._events.popleft()
        if self.is_full:
            self._update_is_full()
        if self._writers:
            self._wake_writer()
        return event

    async def get(self) -> Event | None:
        """Return the next event, None when there will be no more.

        Raises:
            RuntimeError: another task is waiting for it already.
        """
        while (event := self.get_nowait()) is None:
            if self._turn >= EVENTS_PER_TURN:
                self._turn = 0
                await checkpoint()
            elif self.is_over:
                return None
            else:
                self._turn = 0
                change = self.begin_wait()
                try:
                    await change.wait()
                finally:
                    self.end_wait(change)
        return event

    @property
    def is_over(self) -> bool:
        """Whether no event will be added any more."""
        return self._ended or self._closed

    def begin_wait(self) -> LoopEvent:
        """Return the event that is set when an item arrives or the buffer ends.

        The reader hands it to ``end_wait`` after that.

        Raises:
            RuntimeError: another task is waiting for it already.
        """
        if self._reader.has_waiter:
            msg = (
                "Another task is reading this run already; "
                "let one task read, and hand on what others need."
            )
            raise RuntimeError(msg)
        self._wake_writer()  # the one woken before may not have put an event
        return self._reader.begin_wait()

    def end_wait(self, change: LoopEvent) -> None:
        """Note that the reader no longer waits."""
        self._reader.end_wait(change)

    def end(self) -> None:
        """Mark the end of the events; events in the buffer can still be read."""
        self._ended = True
        self._reader.notify()

    def close(self) -> None:
        """Stop reading: drop the waiting events and release the producers."""
        self._closed = True
        self._drop_all()
        self._reader.notify()

    def ignore_events(self, *, ignored: bool) -> bool:
        """Drop all events while the consumer only waits for the end of the run.

        Returns:
            Whether this is a change; then the publisher must ``update_visibility``.
        """
        needs = COUNTED if ignored else BUILT
        if needs is self.needs:
            return False
        self.needs = needs
        if ignored:
            self._drop_all()
        elif self._drops and not self._closed:
            self._drops = False
            self._events = deque()
        return True

    def _drop_all(self) -> None:
        """Drop all present and future events; no producer waits any more."""
        self._drops = True
        self._events = _NO_EVENTS
        self._update_is_full()
        while self._writers:
            self._writers.pop(0).set()

    def end_turn(self) -> None:
        """Have producers wait for other tasks once, if nothing reads the stream.

        A consumer who reads has them wait whenever the buffer is full; without one, a
        stream of tokens that never waits would keep all other tasks from running.
        """
        if self.needs is COUNTED:
            self.is_turn_over = self.is_full = True

    def _wake_writer(self) -> None:
        if self._writers and not self._is_at_capacity():
            self._writers.pop(0).set()

    def pause_producers(self, *, paused: bool) -> None:
        """Pause or resume producers because another queue, the recorder's, is full.

        Producers only check this buffer's ``is_full``; they then wait for the recorder,
        not here.
        """
        self._is_paused = paused
        self._update_is_full()

    def _update_is_full(self) -> None:
        self.is_full = self._is_paused or self.is_turn_over or self._is_at_capacity()

    def _is_at_capacity(self) -> bool:
        return len(self._events) >= self._limit


Overflow = Literal["block", "drop_oldest", "fail"]


@define(eq=False, repr=False)
class DropOldestBuffer(EventBuffer):
    """A buffer that drops its oldest TOKEN instead of making producers wait."""

    _tokens: int = attrs.field(default=0, init=False)

    def put(self, event: LazyEvent) -> None:
        """Add an event, in place of the oldest TOKEN when the buffer is full."""
        if self._drops:
            return
        if self._tokens and 0 < self.capacity <= len(self._events):
            self._drop_oldest()
        self._tokens += type_of(event) is EventType.TOKEN
        super().put(event)
        self._update_is_full()

    def get_nowait(self) -> Event | None:
        """Return the next event; None if there is none or other tasks must run."""
        event = super().get_nowait()
        if event is not None and event.type is EventType.TOKEN:
            self._tokens -= 1
            self._update_is_full()
        return event

    def _is_at_capacity(self) -> bool:
        """Return whether the buffer is full and has no TOKEN to drop."""
        return not self._tokens and super()._is_at_capacity()

    def _drop_all(self) -> None:
        self._tokens = 0
        super()._drop_all()

    def _drop_oldest(self) -> None:
        index = next(
            index
            for index, event in enumerate(self._events)
            if event.type is EventType.TOKEN
        )
        del self._events[index]
        self._tokens -= 1
        self.dropped += 1


@define(eq=False, repr=False)
class FailFastBuffer(EventBuffer):
    """A buffer that fails its run when it is full."""

    on_overflow: Callable[[Exception], None] = do_nothing
    """Ends the run."""

    async def wait_writable(self) -> None:
        """End the run instead of waiting; this interrupts the waiting producers."""
        if self._is_at_capacity():
            self.on_overflow(ConsumerTooSlow(self.capacity))
        await super().wait_writable()


_BUFFERS: dict[str, type[EventBuffer]] = {
    "block": EventBuffer,
    "drop_oldest": DropOldestBuffer,
    "fail": FailFastBuffer,
}


def new_buffer(
    overflow: str, capacity: int, new_loop_event: LoopEventFactory
) -> EventBuffer:
    """Return a buffer for an overflow policy.

    Args:
        overflow: ``"block"``, ``"drop_oldest"`` or ``"fail"``.
        capacity: events it holds; 0 or less is unbounded.
        new_loop_event: makes the signal that its reader waits for.

    Raises:
        ValueError: ``overflow`` is none of the three.
    """
    if overflow not in _BUFFERS:
        msg = f"overflow must be one of {get_args(Overflow)}, not {overflow!r}."
        raise ValueError(msg)
    return _BUFFERS[overflow](capacity, new_loop_event)
