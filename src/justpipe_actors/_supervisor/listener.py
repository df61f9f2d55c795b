"""Listeners of runs: at work here, at work in another process, or ended.

::

    next event number ───┬─ kept in memory ──────────────────────> read from memory
                         ├─ only in the history ─────────────────> read from there
                         ├─ not yet published ───────────────────> wait
                         └─ missing, but later ones exist ───────> GAP, then those

A listener keeps its position when another process, or this one again, takes up its run.

A run at work here keeps its last events (``KeptEvents``).  For a run in another process
one poller keeps them for all its listeners.  A listener owns no task, so it may be
dropped at any time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint

from .._publishing.event_buffer import EVENTS_PER_TURN
from .._publishing.kept_events import KeptEvents
from .._publishing.lazy_events import number_of
from .._util.lazy_classes import frozen
from ..abc import RunHistory
from ..events import Event, EventType


PAGE = 500
"""Number of events that are read from a history at once."""

WRITE_LAG = 3.0
"""Maximum seconds that a listener waits for an event to be stored."""

LAG_LOOK = 0.05
"""Seconds between two reads of a history that lags behind its run."""


MAX_DIGITS = 18
"""Digits of an event's number; what has more fits into no store."""


def parse_number(after: int | str | None) -> int:
    """Return the number of the last event that a client has read.

    Raises:
        ValueError: the text is not an event number.
    """
    text = "" if after is None else str(after).strip()
    if not text:
        return 0
    if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS:
        return int(text)
    msg = f"after must be an event's number, or a Last-Event-ID, not {after!r}."
    raise ValueError(msg)


def gap(run_id: str, first: int, last: int) -> Event:
    """Return a GAP event for events that can no longer be read."""
    payload = {"from": first, "to": last}
    return Event(EventType.GAP, "system", payload, run_id=run_id, origin_run_id=run_id)


def is_end(event: Event) -> bool:
    """Tell whether an event is the last one of its run."""
    return event.type is EventType.FINISH and event.stage == "system"


@frozen
class Source:
    """The current source of a run's events."""

    kept: KeptEvents | None = None
    """Its last events in memory; None if the run has ended."""
    history: RunHistory | None = None
    """Its stored events; None if none are known yet."""
    replay: tuple[Event, ...] = ()
    """Further events that are still in memory."""
    is_stored: bool = True
    """Whether its events are stored, possibly with a lag."""


class Listener:
    """Async iterator over the events of one run, for one reader.

    Args:
        run_id: id of the run.
        number: number of the last event that was read; 0 for none.
        source: the current source of the events.
        find: finds a new source after the run has moved to or from this process.
        find_history: returns the run's history; called in a worker thread.
        cancel: cancels the run, with a reason.
        closed: set when the supervisor ends.
    """

    def __init__(
        self,
        run_id: str,
        number: int,
        source: Source,
        *,
        find: Callable[[Listener], None],
        find_history: Callable[[], RunHistory | None],
        cancel: Callable[[str], None],
        closed: anyio.Event,
    ) -> None:
        self.run_id = run_id
        """The run."""
        self.number = self._begin = number
        """Number of the last event that was read or is known to be lost."""
        self.source = source
        """The current source of the events."""
        self._find = find
        self._find_history = find_history
        self._history = source.history
        self._has_looked = source.history is not None or not source.is_stored
        self._cancel = cancel
        self._closed = closed
        self._ready: deque[Event] = deque()
        self._turn = 0
        self._late_since: float | None = None
        self._is_over = False

    @property
    def is_live(self) -> bool:
        """Whether the next event may not exist yet."""
        return not self._is_over and self.source.kept is not None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event, or a GAP for lost events.

        Raises:
            StopAsyncIteration: after FINISH, or when the supervisor has ended.
        """
        self._turn += 1
        if self._turn >= EVENTS_PER_TURN:
            self._turn = 0
            await checkpoint()
        while not self._ready:
            if self._is_over:
                raise StopAsyncIteration
            await self._read()
        event = self._ready.popleft()
        self._is_over = self._is_over or is_end(event)
        return event

    async def aclose(self) -> None:
        """Stop reading; the run continues."""
        self._is_over = True
        self._ready.clear()
        await checkpoint()

    def cancel(self, reason: str = "Cancelled") -> None:
        """Cancel the run, if it has not ended."""
        self._cancel(reason)

    # -- reading

    async def _read(self) -> None:
        kept = self.source.kept
        if kept is None:
            await self._read_stored()
            return
        events = kept.newer(self.number)
        if events and not self._follows_gap(events[0]):
            self._accept(events)
        elif events:
            await self._fill(number_before(events[0]), events[0])
        elif kept.last_number > self.number:
            await self._fill(kept.last_number, None)
        elif kept.ended:
            self._follow()
        elif self._closed.is_set():
            self._is_over = True
        else:
            self._turn = 0
            await kept.wait()

    async def _read_stored(self) -> None:
        """Read the next page of an ended run, and stop after the last one."""
        events = await self._stored_page() or self._replayed(None)
        if not events or self._closed.is_set():
            self._is_over = True
        self._accept_all(events)

    def _follow(self) -> None:
        """Find the new source of the run, or its stored events."""
        if self._closed.is_set():
            self._is_over = True
            return
        self._find(self)
        self._history = self.source.history
        self._has_looked = self._history is not None or not self.source.is_stored

    async def _fill(self, last: int, following: Event | None) -> None:
        """Read missing events, wait until they are stored, or skip them with a GAP.

        Args:
            last: number of the last missing event.
            following: the event after the missing ones; None if there is none yet.
        """
        events = self._replayed(last)
        if not events:
            page = await self._stored_page()
            events = [event for event in page if number_of(event) <= last]
            is_recovered = following is not None and _is_recovered(following)
            if not page and not is_recovered and await self._may_come():
                return
        if events:
            self._accept_all(events)
        else:
            self._skip_to(last, following)

    async def _may_come(self) -> bool:
        """Wait ``LAG_LOOK`` seconds for an event to be stored; False after ``WRITE_LAG``."""
        if not self.source.is_stored or self._closed.is_set():
            return False
        now = anyio.current_time()
        self._late_since = self._late_since or now
        if now - self._late_since > WRITE_LAG:
            return False
        self._has_looked = self._history is not None
        await anyio.sleep(LAG_LOOK)
        return True

    # -- taking events

    def _follows_gap(self, event: Event) -> bool:
        return event.seq is not None and event.seq != self.number + 1

    def _accept(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take events up to the first hole, and return the rest."""
        for index, event in enumerate(events):
            if index and self._follows_gap(event):
                return events[index:]
            self._ready.append(event)
            if event.seq is not None:
                self.number = event.seq
        self._late_since = None
        return ()

    def _accept_all(self, events: Sequence[Event]) -> None:
        """Take events of the history, with a GAP for each hole, as holes are final."""
        while events:
            if self._follows_gap(events[0]):
                self._skip_to(number_before(events[0]), events[0])
            events = self._accept(events)

    def _skip_to(self, last: int, following: Event | None) -> None:
        """Report lost events with a GAP, unless the numbers may never have been used."""
        self._late_since = None
        if last <= self.number:
            return
        is_complete = (
            following is not None
            and _is_recovered(following)
            and (
                self._history is not None
                or self.number != self._begin
                or not self._begin
            )
        )
        if not is_complete:
            self._ready.append(gap(self.run_id, self.number + 1, last))
        self.number = last

    # -- events that are not kept

    def _replayed(self, last: int | None) -> list[Event]:
        return [
            event
            for event in self.source.replay
            if number_of(event) > self.number
            and (last is None or number_of(event) <= last)
        ]

    async def _stored_page(self) -> Sequence[Event]:
        if not self._has_looked:
            self._history = await anyio.to_thread.run_sync(self._find_history)
            self._has_looked = True
        if self._history is None:
            return ()
        read = partial(self._history.read, self.number, PAGE)
        return await anyio.to_thread.run_sync(read)


def _is_recovered(event: Event) -> bool:
    return event.type is EventType.RECOVERED


def number_before(event: Event) -> int:
    """Return the number before an event's own."""
    return (event.seq or 1) - 1
