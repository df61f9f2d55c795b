"""The last events of a run that goes on with or without readers.

Producers never wait.  A full buffer drops its oldest TOKEN, and another event only when
there is no TOKEN left; FINISH comes last, so it is never dropped.  Events are built
when they are read (``lazy_events``).  Reading removes nothing: every reader begins with
the oldest event that is kept, and any number of readers see the same events.

So there are two queues, TOKENs and the rest, and each drops events at its front only.
A reader has a position in each and reads the event with the lower number, without a
search::

    tokens            5  6  8  9     each with its number in the run
    others   1  2  3           7
                      ^
    a reader that has read 3 goes on with 5
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Self

import anyio
import attrs
from anyio.lowlevel import checkpoint

from .._util.lazy_classes import define
from ..events import Event
from .event_buffer import EVENTS_PER_TURN
from .lazy_events import KEPT, TOKEN, LazyEvent, Visibility, built, type_of


@define(eq=False, repr=False)
class NumberedQueue:
    """Events of one kind, by their places 0, 1, 2, ...; a dict because readers jump.

    It is never iterated: CPython would pass over every place that was dropped.
    """

    first: int = attrs.field(default=0, init=False)
    """The place of the oldest that is kept."""
    end: int = attrs.field(default=0, init=False)
    """Index of the next item."""
    _kept: dict[int, tuple[int, LazyEvent]] = attrs.field(factory=dict, init=False)

    def put(self, number: int, event: LazyEvent) -> None:
        """Add an event at the end."""
        self._kept[self.end] = number, event
        self.end += 1

    def drop(self) -> None:
        """Drop the oldest event."""
        del self._kept[self.first]
        self.first += 1

    def number(self, index: int) -> int | None:
        """Return the number of the item at an index; None if it is not kept."""
        kept = self._kept.get(index)
        return None if kept is None else kept[0]

    def get(self, index: int) -> tuple[int, Event] | None:
        """Return the item at an index, with its number in the run."""
        kept = self._kept.get(index)
        return None if kept is None else (kept[0], built(kept[1]))


@define(eq=False, repr=False)
class ReplayBuffer:
    """A buffer with one writer and any number of readers."""

    capacity: int
    """Events it keeps; 0 or less keeps all."""
    dropped: int = attrs.field(default=0, init=False)
    """Events dropped so far."""
    peak_length: int = attrs.field(default=0, init=False)
    """Number of kept events; also the highest so far, as it never decreases."""
    needs: ClassVar[Visibility] = KEPT
    """Readers may come later."""
    is_turn_over: ClassVar[bool] = False
    """False: see ``EventBuffer``."""
    can_pause_producers: ClassVar[bool] = True
    """Whether ``pause_producers`` makes producers wait."""
    is_full: bool = attrs.field(default=False, init=False)
    """True only while producers are paused; they never wait for readers."""
    ended: bool = attrs.field(default=False, init=False)
    """Whether there will be no more."""
    tokens: NumberedQueue = attrs.field(factory=NumberedQueue, init=False)
    """TOKENs; they are dropped first."""
    others: NumberedQueue = attrs.field(factory=NumberedQueue, init=False)
    """All other events."""
    _last_number: int = attrs.field(default=0, init=False)
    _arrival: anyio.Event | None = attrs.field(default=None, init=False)

    @property
    def parent(self) -> None:
        """None: the run that writes to this buffer is no child."""

    @property
    def depth(self) -> int:
        """0: the run that writes to this buffer is no child."""
        return 0

    def __len__(self) -> int:
        return self.peak_length

    def put(self, event: LazyEvent) -> None:
        """Keep an event, in place of an older one when the buffer is full."""
        self._last_number += 1
        queue = self.tokens if type_of(event) is TOKEN else self.others
        queue.put(self._last_number, event)
        if 0 < self.capacity <= self.peak_length:
            self._drop()
        else:
            self.peak_length += 1
        self._notify_readers()

    def pause_producers(self, *, paused: bool) -> None:
        """Pause or resume producers because another queue, the recorder's, is full."""
        self.is_full = paused

    async def wait_writable(self) -> None:
        """Return at once: the buffer drops events instead of being full."""
        await checkpoint()

    def end_turn(self) -> None:
        """Do nothing: the run does not wait for readers."""

    def end(self) -> None:
        """Mark the end of the events."""
        self.ended = True
        self._notify_readers()

    def close(self) -> None:
        """Do nothing: other readers may still read."""

    def kept(self) -> tuple[Event, ...]:
        """Return the kept events in the order of the run."""
        queues = (self.tokens, self.others)
        numbered = [
            item
            for queue in queues
            for place in range(queue.first, queue.end)
            if (item := queue.get(place)) is not None
        ]
        return tuple(
            built(event) for _, event in sorted(numbered, key=lambda item: item[0])
        )

    async def wait_event(self) -> None:
        """Wait until there is another event, or there will be none."""
        self._arrival = self._arrival or anyio.Event()
        await self._arrival.wait()

    def _drop(self) -> None:
        has_tokens = self.tokens.first < self.tokens.end
        (self.tokens if has_tokens else self.others).drop()
        self.dropped += 1

    def _notify_readers(self) -> None:
        if self._arrival is not None:
            self._arrival.set()
            self._arrival = None


@define(eq=False, repr=False)
class ReplayReader:
    """One reader of a ``ReplayBuffer``."""

    buffer: ReplayBuffer
    _token: int = attrs.field(default=0, init=False)
    _other: int = attrs.field(default=0, init=False)
    _turn: int = attrs.field(default=0, init=False)

    async def get(self) -> Event | None:
        """Return the next event that is kept, None when there will be no more."""
        self._turn += 1
        if self._turn >= EVENTS_PER_TURN:
            self._turn = 0
            await checkpoint()
        while (event := self._take()) is None:
            if self.buffer.ended:
                return None
            self._turn = 0
            await self.buffer.wait_event()
        return event

    def _take(self) -> Event | None:
        """Go on to the next event that is kept."""
        tokens, others = self.buffer.tokens, self.buffer.others
        self._token = max(self._token, tokens.first)
        self._other = max(self._other, others.first)
        token, other = tokens.number(self._token), others.number(self._other)
        if other is None or (token is not None and token < other):
            found = tokens.get(self._token)
            self._token += found is not None
        else:
            found = others.get(self._other)
            self._other += 1
        return None if found is None else found[1]


class ReplayIterator:
    """One reader of a kept run; waits for the end of the run after its last event."""

    def __init__(
        self,
        buffer: ReplayBuffer,
        wait: Callable[[], Awaitable[object]],
        refuse_other_loop: Callable[[], None],
    ) -> None:
        self._reader = ReplayReader(buffer)
        self._wait = wait
        self._refuse_other_loop: Callable[[], None] | None = refuse_other_loop

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._refuse_other_loop is not None:  # perf: asked once, not for each event
            self._refuse_other_loop()
            self._refuse_other_loop = None
        event = await self._reader.get()
        if event is not None:
            return event
        await self._wait()
        raise StopAsyncIteration
