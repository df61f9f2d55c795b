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


@attrs.define(eq=False)
class Inbox:
    """The lanes of one actor."""

    _lanes: OrderedDict[str, deque[_Stamped]] = attrs.field(
        factory=OrderedDict, init=False
    )
    _depth: int = attrs.field(default=0, init=False)
    _taken: int = attrs.field(default=0, init=False)

    def put(self, message: Message, now: float | None = None) -> None:
        """Add a message behind the others of its run.

        Args:
            message: the message.
            now: the loop's clock, when the message has to wait.
        """
        lane = self._lanes.get(message.run_id)
        if lane is None:
            lane = self._lanes[message.run_id] = deque()
        lane.append((now, message))
        self._depth += 1

    @property
    def next_run(self) -> str | None:
        """The run whose turn it is; None when nothing waits."""
        return next(iter(self._lanes), None)

    def take(self) -> Message | None:
        """Remove and return the next message of the run whose turn it is."""
        if not self._depth:
            return None
        run_id = next(iter(self._lanes))
        lane = self._lanes[run_id]
        _, message = lane.popleft()
        if lane:
            self._lanes.move_to_end(run_id)
        else:
            del self._lanes[run_id]
        self._depth -= 1
        self._taken += 1
        return message

    def drop(self, run_id: str, *, workers_only: bool = False) -> list[Message]:
        """Remove and return the messages of one run.

        Args:
            run_id: the run.
            workers_only: leave alone what is not a map worker's.
        """
        lane = self._lanes.pop(run_id, None)
        if lane is None:
            return []
        dropped: list[Message] = []
        kept: deque[_Stamped] = deque()
        for stamped in lane:
            if workers_only and not getattr(stamped[1], "fan", None):
                kept.append(stamped)
            else:
                dropped.append(stamped[1])
        if kept:
            self._lanes[run_id] = kept
        self._depth -= len(dropped)
        return dropped

    def depth_of(self, run_id: str) -> int:
        """Return how many messages of one run wait."""
        return len(self._lanes.get(run_id, ()))

    def __len__(self) -> int:
        return self._depth

    def statistics(self) -> InboxStatistics:
        """Return what is waiting."""
        stamps = [at for lane in self._lanes.values() if (at := lane[0][0]) is not None]
        since = min(stamps, default=None)
        return InboxStatistics(self._depth, len(self._lanes), self._taken, since)
