"""The last events of a run that goes on whether or not anybody reads.

Nobody is ever made to wait.  When the tail is full the oldest TOKEN goes, and an event of
the run's own life only when there is no TOKEN left; FINISH comes last, so it is never
dropped.  Reading takes nothing away: every reader begins with the oldest event that is
kept and sees what is kept, however many readers there are.
"""

from __future__ import annotations

from collections import deque

import anyio
import attrs
from anyio.lowlevel import checkpoint

from ..events import Event, EventType
from .feed import TURN


@attrs.define(eq=False)
class Tail:
    """A buffer with one writer and any number of readers."""

    capacity: int
    """Events it keeps; 0 or less keeps all."""
    dropped: int = attrs.field(default=0, init=False)
    """Events dropped so far."""
    depth: int = attrs.field(default=0, init=False)
    """Most events that were ever kept."""
    is_full: bool = attrs.field(default=False, init=False)
    """Never: producers do not wait."""
    ended: bool = attrs.field(default=False, init=False)
    """Whether there will be no more."""
    _last: int = attrs.field(default=0, init=False)
    _events: dict[int, Event] = attrs.field(factory=dict, init=False)
    _tokens: deque[int] = attrs.field(factory=deque, init=False)
    _news: anyio.Event | None = attrs.field(default=None, init=False)

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Keep an event, in place of an older one when there is no room."""
        self._last += 1
        self._events[self._last] = event
        if event.type is EventType.TOKEN:
            self._tokens.append(self._last)
        if 0 < self.capacity < len(self._events):
            self._drop()
        self.depth = max(self.depth, len(self._events))
        self._tell()

    async def wait_room(self) -> None:
        """Return: there is always room."""
        await checkpoint()

    def end(self) -> None:
        """Say that no event will come any more."""
        self.ended = True
        self._tell()

    def close(self) -> None:
        """Leave it as it is: others may still want to read."""

    def after(self, position: int) -> tuple[int, Event] | None:
        """Return the first event that is kept behind a position."""
        event = self._events.get(position + 1)
        if event is not None:
            return position + 1, event
        if position >= self._last:
            return None
        return next((one for one in self._events.items() if one[0] > position), None)

    async def wait_news(self) -> None:
        """Wait until there is another event, or there will be none."""
        self._news = self._news or anyio.Event()
        await self._news.wait()

    def _drop(self) -> None:
        oldest = self._tokens.popleft() if self._tokens else next(iter(self._events))
        del self._events[oldest]
        self.dropped += 1

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


@attrs.define(eq=False)
class TailReader:
    """One reader of a tail."""

    tail: Tail
    """What it reads."""
    position: int = 0
    """The last event it has read."""
    _turn: int = attrs.field(default=0, init=False)

    async def get(self) -> Event | None:
        """Return the next event that is kept, None when there will be no more."""
        self._turn += 1
        if self._turn >= TURN:
            self._turn = 0
            await checkpoint()
        while (found := self.tail.after(self.position)) is None:
            if self.tail.ended:
                return None
            self._turn = 0
            await self.tail.wait_news()
        self.position, event = found
        return event
