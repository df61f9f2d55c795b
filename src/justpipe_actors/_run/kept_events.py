"""The last events of a run at work, for any number of readers that come and go.

A run without readers pays one append to a deque for each event.  A reader that has read
everything asks to be told of the next event.  Only that event costs more, because the
reader replaces the append by a function of its own, once::

    publisher.keep  =  deque.append        no reader waits
                    =  _put_and_notify     a reader waits; puts the append back

Tokens have a deque of their own, so that a stream of them does not drop the events that
report what the run has done.  The run never waits for a reader.  A reader that is
behind sees gaps in the sequence numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import merge
from typing import Protocol

import anyio
import attrs

from .._util.lazy_classes import define
from ..events import Event, EventType


MIN_KEPT = 500
"""Events that are kept at least as soon as there is a reader."""

_TOKEN = EventType.TOKEN

Keep = Callable[[Event], object]
"""Keeps an event for readers."""


class Keeping(Protocol):
    """The part of a publisher that ``KeptEvents`` uses."""

    keep: Keep | None
    """Keeps events; None when the run can have no readers."""
    keep_token: Keep | None
    """The same for tokens."""

    @property
    def last_number(self) -> int:
        """The number of the last event that was published."""
        ...


def number_of(event: Event) -> int:
    """Return an event's number; 0 when a hook has removed it."""
    return event.seq or 0


@define(eq=False, repr=False)
class KeptEvents:
    """The last events of one run, written by one publisher or one poller."""

    capacity: int
    """Events of the run that are kept, and as many of its tokens."""
    ended: bool = attrs.field(default=False, init=False)
    """Whether there will be no more."""
    _last_number: int = attrs.field(default=0, init=False)
    _publisher: Keeping | None = attrs.field(default=None, init=False)
    _events: deque[Event] = attrs.field(init=False)
    _tokens: deque[Event] = attrs.field(init=False)
    _arrival: anyio.Event | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._events = deque(maxlen=self.capacity)
        self._tokens = deque(maxlen=self.capacity)

    def attach(self, publisher: Keeping) -> None:
        """Keep a publisher's events from now on; none when the capacity is 0."""
        self._publisher = publisher
        if self.capacity:
            self._disarm()

    def begin_keeping(self) -> None:
        """Keep events from now on, for a new reader, if none were kept so far."""
        if not self.capacity:
            self.capacity = MIN_KEPT
            self._events = deque(maxlen=MIN_KEPT)
            self._tokens = deque(maxlen=MIN_KEPT)
            self._disarm()

    def put(self, event: Event) -> None:
        """Keep an event and tell the readers."""
        (self._tokens if event.type is _TOKEN else self._events).append(event)
        self._last_number = max(self._last_number, number_of(event))
        self._notify()

    def end(self) -> None:
        """Mark the end of the events."""
        self.ended = True
        if self._publisher is not None:
            self._last_number = self._publisher.last_number
            self._publisher.keep = self._publisher.keep_token = None
            self._publisher = None
        self._notify()

    # -- reading

    @property
    def last_number(self) -> int:
        """The number of the last event published, kept or not."""
        if self._publisher is not None:
            return self._publisher.last_number
        return self._last_number

    def newer(self, number: int) -> list[Event]:
        """Return the events that are kept and come after a number, in their order."""
        events = _newer(self._events, number)
        tokens = _newer(self._tokens, number)
        if not tokens:
            return events
        return list(merge(events, tokens, key=number_of)) if events else tokens

    @property
    def last_at(self) -> float | None:
        """The timestamp of the last event; None when none is kept."""
        last = [
            events[-1].timestamp for events in (self._events, self._tokens) if events
        ]
        return max(last, default=None)

    async def wait(self) -> None:
        """Wait until there is another event, or there will be none."""
        if self._arrival is None:
            self._arrival = anyio.Event()
            self._arm()
        await self._arrival.wait()

    # -- notification of readers

    def _arm(self) -> None:
        if self._publisher is not None:
            self._publisher.keep = self._publisher.keep_token = self._put_and_notify

    def _disarm(self) -> None:
        if self._publisher is not None:
            self._publisher.keep = self._events.append
            self._publisher.keep_token = self._tokens.append

    def _put_and_notify(self, event: Event) -> None:
        self._disarm()
        self.put(event)

    def _notify(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.set()


def _newer(events: deque[Event], number: int) -> list[Event]:
    """Return the events after a number; reads from the end, so few if up to date."""
    found: list[Event] = []
    for event in reversed(events):
        if number_of(event) <= number:
            break
        found.append(event)
    found.reverse()
    return found
