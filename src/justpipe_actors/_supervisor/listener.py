"""Readers of runs: at work here, at work in another process, or over.

::

    the reader's number ─┬─ the next event is kept in memory ──────────> it
                         ├─ it is only in the history ────────────────> it, from there
                         ├─ it is not there yet ──────────────────────> wait
                         └─ later ones are there, and it is not ──────> GAP, then those

A reader goes on where it was when its run is taken up by another process, or by this one
again.

A run at work here keeps its last events (``KeptEvents``).  For one in another process a
poller keeps them: one for all who read this run.  A reader owns no task, so it may be
dropped at any moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

import anyio
import anyio.to_thread
import attrs
from anyio.lowlevel import checkpoint

from .._run.event_buffer import EVENTS_PER_TURN
from .._run.kept_events import KeptEvents, number_of
from ..abc.history import RunHistory
from ..events import Event, EventType


PAGE = 500
"""Events that are read from a history at once."""

WRITE_LAG = 3.0
"""Seconds that a reader waits for an event that its run has not stored yet."""

LAG_LOOK = 0.05
"""Seconds between two looks at the history while it lags behind its run."""


def parse_number(after: int | str | None) -> int:
    """Return the number to go on after, from what a client sent.

    Raises:
        ValueError: it is no number of an event.
    """
    if isinstance(after, int) and after >= 0:
        return int(after)
    text = "" if after is None else str(after).strip()
    if not text:
        return 0
    if text.isascii() and text.isdecimal():
        return int(text)
    msg = f"after must be an event's number, or a Last-Event-ID, not {after!r}."
    raise ValueError(msg)


def gap(run_id: str, first: int, last: int) -> Event:
    """Return what stands for events that nobody can read any more."""
    payload = {"from": first, "to": last}
    return Event(EventType.GAP, "system", payload, run_id=run_id, origin_run_id=run_id)


def is_end(event: Event) -> bool:
    """Tell whether a run has said its last."""
    return event.type is EventType.FINISH and event.stage == "system"


@attrs.frozen
class Source:
    """Where the events of a run come from at this moment."""

    kept: KeptEvents | None = None
    """Its last events; None when it is over."""
    history: RunHistory | None = None
    """Its stored events, if it is known already that there are any."""
    replay: tuple[Event, ...] = ()
    """More of its events that are still in memory."""
    is_stored: bool = True
    """Whether what it says will be in its history soon, if it is not yet."""


class Listener:
    """One reader of one run: an async iterator of its events.

    Args:
        run_id: the run.
        number: the last event that it has read; 0 for none.
        source: where its events come from now.
        find: finds a new source, when the run has left this process or come here.
        find_history: returns the run's history; may take a moment.
        cancel: ends the run.
        closed: set when the supervisor ends.
    """

    def __init__(  # noqa: PLR0913 - each is a fact of its own
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
        """The last event that it has read, or knows to be lost."""
        self.source = source
        """Where its events come from now."""
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
        """Whether it may have to wait for an event."""
        return not self._is_over and self.source.kept is not None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event, or a GAP for some that are lost.

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
        """Read no more; the run goes on."""
        self._is_over = True
        self._ready.clear()
        await checkpoint()

    def cancel(self, reason: str = "Cancelled") -> None:
        """End the run that is read, if it has not ended."""
        self._cancel(reason)

    # -- reading

    async def _read(self) -> None:
        kept = self.source.kept
        if kept is None:
            await self._read_stored()
            return
        events = kept.newer(self.number)
        if events and not self._is_hole(events[0]):
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
        """Read the next page of a run that is over, and end behind the last."""
        events = await self._stored_page() or self._replayed(None)
        if not events or self._closed.is_set():
            self._is_over = True
        self._accept_all(events)

    def _follow(self) -> None:
        """Find the run where it goes on, or what is stored of it."""
        if self._closed.is_set():
            self._is_over = True
            return
        self._find(self)
        self._history = self.source.history
        self._has_looked = self._history is not None or not self.source.is_stored

    async def _fill(self, last: int, following: Event | None) -> None:
        """Read what is missing, wait until it is stored, or skip it with a GAP.

        Args:
            last: the last number that is missing.
            following: the event that comes next, if it is there.
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
        """Wait a little for an event that its run may not have stored yet."""
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

    def _is_hole(self, event: Event) -> bool:
        return event.seq is not None and event.seq != self.number + 1

    def _accept(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take events up to the first hole, and return the rest."""
        for index, event in enumerate(events):
            if index and self._is_hole(event):
                return events[index:]
            self._ready.append(event)
            if event.seq is not None:
                self.number = event.seq
        self._late_since = None
        return ()

    def _accept_all(self, events: Sequence[Event]) -> None:
        """Take events of the history, with a GAP for each hole: nothing will fill it."""
        while events:
            if self._is_hole(events[0]):
                self._skip_to(number_before(events[0]), events[0])
            events = self._accept(events)

    def _skip_to(self, last: int, following: Event | None) -> None:
        """Say that events are lost, unless nobody can say that there were any."""
        self._late_since = None
        if last <= self.number:
            return
        is_seamless = (
            following is not None
            and _is_recovered(following)
            and (
                self._history is not None
                or self.number != self._begin
                or not self._begin
            )
        )
        if not is_seamless:
            self._ready.append(gap(self.run_id, self.number + 1, last))
        self.number = last

    # -- what is not kept

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
