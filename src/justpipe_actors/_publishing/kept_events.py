"""The last events of a run at work, for any number of readers that come and go.

A run without readers pays one append to a deque for each event, and the events are
built when they are read (``lazy_events``).  A reader that has read
everything asks to be notified of the next event.  Only that event costs more, because the
reader replaces the append by a function of its own, once::

    publisher.keep_in(deque.append)        no reader waits (a list for the first events)
    publisher.keep_in(_put_and_notify)     a reader waits; puts the append back

Tokens have a deque of their own, so that a stream of them does not drop the events that
report what the run has done.  The run never waits for a reader.  A reader that is
behind sees gaps in the sequence numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import merge

import anyio
import attrs

from .._util.lazy_classes import define
from ..events import Event
from .event_publisher import EventPublisher
from .lazy_events import TOKEN, LazyEvent, built, number_of, timestamp_of, type_of


MIN_KEPT = 500
"""Events that are kept at least as soon as there is a reader."""

EARLY = 16
"""Events that are kept in one list before the two queues are made.

perf: a queue takes 760 bytes, and most runs that wait for something have few events
(``python -m tests.benchmarks.scale``, idle run).
"""

_NO_EVENTS: deque[LazyEvent] = deque(maxlen=0)
"""Shared queue of all runs that have no queues yet; it stays empty."""


@define(eq=False, repr=False)
class KeptEvents:
    """The last events of one run, written by one publisher or one poller."""

    capacity: int
    """Events of the run that are kept, and as many of its tokens."""
    ended: bool = attrs.field(default=False, init=False)
    """Whether there will be no more."""
    _last_number: int = attrs.field(default=0, init=False)
    _publisher: EventPublisher | None = attrs.field(default=None, init=False)
    _early: list[LazyEvent] = attrs.field(factory=list, init=False)
    _early_limit: int = attrs.field(default=EARLY, init=False)
    _events: deque[LazyEvent] = attrs.field(default=_NO_EVENTS, init=False)
    _tokens: deque[LazyEvent] = attrs.field(default=_NO_EVENTS, init=False)
    _arrival: anyio.Event | None = attrs.field(default=None, init=False)

    def attach(self, publisher: EventPublisher) -> None:
        """Keep a publisher's events from now on; none when the capacity is 0."""
        self._publisher = publisher
        if self.capacity:
            self._early_limit = min(EARLY, self.capacity)
            self._disarm()

    def begin_keeping(self) -> None:
        """Keep events from now on, for a new reader, if none were kept so far."""
        if not self.capacity:
            self.capacity = MIN_KEPT
            self._disarm()

    def put(self, event: LazyEvent) -> None:
        """Keep an event and tell the readers."""
        if self._events is _NO_EVENTS:
            self._put_early(event)
        else:
            self._queue(event)
        self._last_number = max(self._last_number, number_of(event))
        self._notify()

    def _put_early(self, event: LazyEvent) -> None:
        """Keep one of the first events; make the queues when there are enough."""
        early = self._early
        early.append(event)
        if len(early) >= self._early_limit:
            self._early = []
            self._events = deque(maxlen=self.capacity)
            self._tokens = deque(maxlen=self.capacity)
            for first in early:
                self._queue(first)
            if self._arrival is None:  # else a reader waits, and ``_disarm`` follows
                self._disarm()

    def _queue(self, event: LazyEvent) -> None:
        (self._tokens if type_of(event) is TOKEN else self._events).append(event)

    def end(self) -> None:
        """Mark the end of the events."""
        self.ended = True
        if self._publisher is not None:
            self._last_number = self._publisher.last_number
            self._publisher.stop_keeping()
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
        found = (_newer(kept, number) for kept in self._kept())
        return [built(event) for event in merge(*found, key=number_of)]

    @property
    def last_at(self) -> float | None:
        """The timestamp of the last event; None when none is kept."""
        last = [timestamp_of(events[-1]) for events in self._kept() if events]
        return max(last, default=None)

    def _kept(self) -> tuple[Sequence[LazyEvent], ...]:
        return self._early, self._events, self._tokens

    async def wait(self) -> None:
        """Wait until there is another event, or there will be none."""
        if self._arrival is None:
            self._arrival = anyio.Event()
            self._arm()
        await self._arrival.wait()

    # -- notification of readers

    def _arm(self) -> None:
        if self._publisher is not None:
            self._publisher.keep_in(self._put_and_notify, self._put_and_notify)

    def _disarm(self) -> None:
        if self._publisher is None:
            return
        if self._events is _NO_EVENTS:
            put = self._put_early  # perf: one bound method (scale, idle run)
            self._publisher.keep_in(put, put)
        else:
            self._publisher.keep_in(self._events.append, self._tokens.append)

    def _put_and_notify(self, event: LazyEvent) -> None:
        self.put(built(event))  # once for all readers that wait
        self._disarm()

    def _notify(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.set()


def _newer(events: Sequence[LazyEvent], number: int) -> list[LazyEvent]:
    """Return the events after a number; reads from the end, so few if up to date."""
    found: list[LazyEvent] = []
    for event in reversed(events):
        if number_of(event) <= number:
            break
        found.append(event)
    found.reverse()
    return found
