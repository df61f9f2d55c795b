"""What a run has said and the writer has not taken yet.

Putting an event is an append to a deque: no lock, no task, no encoding.  The writer's
thread takes from the other end.  Nothing is changed by both sides: how much waits is the
difference between what one side has put and the other has taken.

Tokens that follow each other are gathered in a burst first, which only the loop touches.
It goes into the deque when something else happens, when it is long enough, or when the
writer has lingered and asks for it.
"""

from __future__ import annotations

from collections import deque

import attrs

from ..events import Event, EventType
from ..records import Place
from .copying import EVENT, Burst, Copy, Moment, meta_text, place_of


HEAVIEST = 8_000_000
"""Bytes that may wait for the writer, roughly."""

LONGEST = 512
"""Tokens in one burst."""

_TOKEN = EventType.TOKEN


@attrs.define(eq=False)
class Backlog:
    """One run's; two sides use it, and each changes only what is its own."""

    flush_every: int
    """Events after which somebody should hurry."""
    queue: deque[Moment | Burst] = attrs.field(factory=deque, init=False)
    """What waits, oldest first."""
    burst: Burst | None = attrs.field(default=None, init=False)
    """Tokens that are still being gathered."""
    _put: int = attrs.field(default=0, init=False)
    _taken: int = attrs.field(default=0, init=False)
    _unflushed: int = attrs.field(default=0, init=False)

    @property
    def weight(self) -> int:
        """Bytes that wait, roughly."""
        return self._put - self._taken

    # -- the event loop's side

    def gather(self, event: Event) -> bool:
        """Add a token whose payload is a text; tell whether it is time to hurry."""
        place, burst = place_of(event), self.burst
        is_due = False
        if burst is None or event.seq != burst.next or place != burst.place:
            is_due = self.spill()
            limit = max(1, min(LONGEST, self.flush_every - self._unflushed))
            self.burst = burst = Burst(event, Place._make(place), limit)
        else:
            burst.next += 1
            burst.payloads.append(event.payload)
            burst.timestamps.append(event.timestamp)
        if len(burst.payloads) >= burst.limit:
            is_due = self.spill() or is_due
        return is_due

    def add(self, event: Event, payload: object) -> bool:
        """Add any event, its payload copied; tell whether it is time to hurry."""
        is_due = self.burst is not None and self.spill()
        moment = Moment(
            event.seq or 0,
            event.type,
            event.timestamp,
            Place._make(place_of(event)),
            payload,
            meta_text(event.meta),
            EVENT + len(payload) if isinstance(payload, (Copy, str)) else EVENT,
        )
        return self._append(moment, 1) or is_due

    def spill(self) -> bool:
        """End the burst; tell whether it is time to hurry."""
        burst, self.burst = self.burst, None
        if burst is None:
            return False
        burst.weigh()
        return self._append(burst, len(burst.payloads))

    def _append(self, item: Moment | Burst, events: int) -> bool:
        self.queue.append(item)
        self._put += item.weight
        self._unflushed += events
        if self._unflushed < self.flush_every:
            return False
        self._unflushed = 0
        return True

    # -- the writer's side

    def take(self) -> list[Moment | Burst]:
        """Take what waits, but for the burst."""
        items = [self.queue.popleft() for _ in range(len(self.queue))]
        self._taken += sum(item.weight for item in items)
        return items


def is_plain_token(event: Event) -> bool:
    """Tell whether an event can be part of a burst."""
    return event.type is _TOKEN and type(event.payload) is str and event.meta is None


def count(item: Moment | Burst) -> int:
    """Return how many events something is."""
    return len(item.payloads) if isinstance(item, Burst) else 1
