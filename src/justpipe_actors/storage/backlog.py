"""What a run has said and the writer has not taken yet.

Putting an event is an append to a list: no lock, no task, no encoding.  What could change
later is copied beside it.  Every ``LONGEST`` events the list is closed: it becomes a
stretch, in which no event is held any more, since thousands of events that stay would
cost the garbage collector more than all the rest.

The loop closes a list that is long, and the writer's thread whatever it finds when it
takes.  Both do it under a lock and remove from the front, while the loop appends behind.
"""

from __future__ import annotations

import logging
import threading

import attrs

from ..events import Event, EventType
from .copying import ATOMS, copied, meta_text
from .stretches import Stretch, stretches_of


HEAVIEST = 8_000_000
"""Bytes that may wait for the writer, roughly."""

LONGEST = 1024
"""Events that are held as such, and in one stretch."""

LONG = 500
"""Characters from which a text is weighed by itself."""

_logger = logging.getLogger("justpipe_actors.persistence")

_WITH_STATE = (EventType.START, EventType.STEP_END)
_EVENT = 250  # bytes that an event takes beside what is weighed, roughly
_HEAVY = HEAVIEST // 16  # bytes of what is weighed, after which a list is closed


@attrs.define(eq=False)
class Backlog:
    """One run's."""

    keeps_states: bool
    """Whether the payloads of START and STEP_END are stored at all."""
    knows_kin: bool = attrs.field(default=False, init=False)
    """Whether its tokens are as their step said them."""
    events: list[Event] = attrs.field(factory=list, init=False)
    """What is not closed yet, oldest first."""
    lost: int = attrs.field(default=0, init=False)
    """Events that were dropped, or that hooks have made into something that is none."""
    _closed: list[Stretch] = attrs.field(factory=list, init=False)
    _closing: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    # By the identity of events that are still in the list.
    _payloads: dict[int, object] = attrs.field(factory=dict, init=False)
    _metas: dict[int, str] = attrs.field(factory=dict, init=False)
    # The loop changes the first, and whoever holds the lock the others.
    _put: int = attrs.field(default=0, init=False)
    _weighed: int = attrs.field(default=0, init=False)
    _waiting: int = attrs.field(default=0, init=False)
    _count: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self.events) + self._count

    @property
    def weight(self) -> int:
        """Bytes that wait, roughly."""
        return len(self) * _EVENT + self._waiting + self._put - self._weighed

    # -- the event loop's side

    def add(self, event: Event) -> bool:
        """Add an event, its copy beside it; tell whether the list has become heavy."""
        payload, meta = event.payload, event.meta
        if payload is not None and (type(payload) is not str or len(payload) >= LONG):
            kept = payload
            if not self.keeps_states and event.type in _WITH_STATE:
                kept = None  # a large state that is not stored is not copied either
            elif type(payload) not in ATOMS:
                kept = copied(payload)
            self._payloads[id(event)] = kept
            if isinstance(kept, (bytes, str)):
                self._put += len(kept)
        # The usual one holds the framework's figures only, which nobody changes.
        if meta is not None and (len(meta) > 1 or "framework" not in meta):
            self._metas[id(event)] = text = meta_text(meta)
            self._put += len(text)
        self.events.append(event)
        return self._put - self._weighed >= _HEAVY

    @property
    def is_long(self) -> bool:
        """Whether it is time to close the list."""
        return len(self.events) >= LONGEST or self._put - self._weighed >= _HEAVY

    # -- both sides

    def close(self) -> None:
        """Make stretches of the events."""
        with self._closing:
            # What is appended meanwhile stays: only this many are removed.
            events = self.events[:]
            put = self._put
            try:
                self._closed += list(
                    stretches_of(
                        events,
                        self._payloads,
                        self._metas,
                        knows_kin=self.knows_kin,
                    )
                )
            except Exception as error:  # noqa: BLE001 - whatever hooks have put in them
                self.lost += len(events)
                for event in events:
                    self._payloads.pop(id(event), None)
                    self._metas.pop(id(event), None)
                _logger.warning("Lost %d events: %s", len(events), error)
            else:
                self._count += len(events)
                self._waiting += put - self._weighed
            self._weighed = put
            del self.events[: len(events)]

    # -- the writer's side

    def take(self) -> list[Stretch]:
        """Take all that waits."""
        self.close()
        with self._closing:
            return self._taken()

    def drop(self) -> None:
        """Forget all that waits; from both sides."""
        self.close()
        with self._closing:
            self.lost += sum(map(len, self._taken()))

    def _taken(self) -> list[Stretch]:
        taken, self._closed = self._closed, []
        self._count = self._waiting = 0
        return taken
