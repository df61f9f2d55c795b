"""Messages waiting for one actor: puts never block, runs take turns.

Why not a bounded channel: with bounds on inner edges a cycle of steps deadlocks as soon
as its inboxes are full, and no size is large enough for every graph.  The bounds are at
the edges instead: admission of runs, a map's window, the event stream's capacity.

Why not ``anyio``'s memory stream: it loses an item when its receiver is natively
cancelled between hand-over and resumption, and one lost message is a run that never
ends.  Here a receiver is only *woken*; it takes the message itself, without an await in
between, when it runs again.

Each run has a lane; ``take`` serves the lanes in turn, so a run that queued two thousand
messages delays another run's only one by one message and not by two thousand.

A message is stamped when it has to wait for others; the clock is not read for one that
is taken at once, so waiting is measured and the hot path does not pay for it.
"""

from __future__ import annotations

from collections import OrderedDict, deque

import attrs

from .messages import Message


_Stamped = tuple[float | None, Message]
"""A message, and when it began to wait."""

_NONE: OrderedDict[str, deque[_Stamped]] = OrderedDict()
"""The lanes of an inbox that never had any; nothing is ever put here."""


@attrs.frozen
class InboxStatistics:
    """What an inbox holds right now."""

    depth: int
    """Messages waiting."""
    runs: int
    """Runs they belong to."""
    taken: int
    """Messages taken so far."""
    since: float | None
    """When the message that has waited longest was put; None when none had to wait."""


@attrs.define(eq=False, repr=False)
class Inbox:
    """The lanes of one actor.

    Most of the time it holds one message or none, so the first one needs no lane, and
    most inboxes never have any.
    """

    depth: int = attrs.field(default=0, init=False)
    """Messages waiting."""
    _only: _Stamped | None = attrs.field(default=None, init=False)
    _lanes: OrderedDict[str, deque[_Stamped]] = attrs.field(default=_NONE, init=False)
    _taken: int = attrs.field(default=0, init=False)

    def put(self, message: Message, now: float | None = None) -> None:
        """Add a message behind the others of its run.

        Args:
            message: the message.
            now: the loop's clock, when the message has to wait.
        """
        self.depth += 1
        if self.depth == 1:
            self._only = (now, message)
            return
        if self._only is not None:
            self._line_up(self._only)
            self._only = None
        self._line_up((now, message))

    def _line_up(self, stamped: _Stamped) -> None:
        run_id = stamped[1].run_id
        if self._lanes is _NONE:
            self._lanes = OrderedDict()
        lane = self._lanes.get(run_id)
        if lane is None:
            lane = self._lanes[run_id] = deque()
        lane.append(stamped)

    @property
    def next_run(self) -> str | None:
        """The run whose turn it is; None when nothing waits."""
        if self._only is not None:
            return self._only[1].run_id
        return next(iter(self._lanes), None)

    def take(self) -> Message | None:
        """Remove and return the next message of the run whose turn it is."""
        if not self.depth:
            return None
        self.depth -= 1
        self._taken += 1
        if self._only is not None:
            message = self._only[1]
            self._only = None
            return message
        run_id = next(iter(self._lanes))
        lane = self._lanes[run_id]
        _, message = lane.popleft()
        if not lane:
            del self._lanes[run_id]
        elif len(self._lanes) > 1:
            self._lanes.move_to_end(run_id)
        return message

    def drop(self, run_id: str, *, workers_only: bool = False) -> list[Message]:
        """Remove and return the messages of one run.

        Args:
            run_id: the run.
            workers_only: leave alone what is not a map worker's.
        """
        dropped: list[Message] = []
        kept: deque[_Stamped] = deque()
        for stamped in self._lane_of(run_id):
            if workers_only and not getattr(stamped[1], "fan", None):
                kept.append(stamped)
            else:
                dropped.append(stamped[1])
        for stamped in kept:
            self._line_up(stamped)
        self.depth -= len(dropped)
        return dropped

    def _lane_of(self, run_id: str) -> deque[_Stamped]:
        """Take a run's messages out, in order."""
        if self._only is not None and self._only[1].run_id == run_id:
            only, self._only = self._only, None
            return deque([only])
        return self._lanes.pop(run_id, deque())

    def depth_of(self, run_id: str) -> int:
        """Return how many messages of one run wait."""
        if self._only is not None:
            return int(self._only[1].run_id == run_id)
        return len(self._lanes.get(run_id, ()))

    def __len__(self) -> int:
        return self.depth

    def statistics(self) -> InboxStatistics:
        """Return what is waiting."""
        lanes = len(self._lanes) + (self._only is not None)
        firsts = [lane[0] for lane in self._lanes.values()]
        if self._only is not None:
            firsts.append(self._only)
        since = min((at for at, _ in firsts if at is not None), default=None)
        return InboxStatistics(self.depth, lanes, self._taken, since)
