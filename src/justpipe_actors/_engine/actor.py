"""One step at work: its inbox, and how many invocations it may have at once.

An actor has no task of its own; the dispatcher tasks of its host's dispatcher perform what is in its
inbox.  It stands in the dispatcher's line whenever it has a message and a slot for it.

An invocation that cannot go on because its run's consumer is behind gives its slot back
while it waits (``Invocation.wait_writable``), so a stalled run holds up nobody but itself.  It gets the
next slot that becomes free, before any message does.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from .._plan.plan import Node
from .._util.sync import Wakeup
from .messages import Message


if TYPE_CHECKING:
    from .dispatcher import Dispatcher
    from .run_state import RunState


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
            if workers_only and not getattr(stamped[1], "map_id", None):
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


_NOBODY: list[Wakeup] = []
"""Who waits at an actor where nobody ever did; nothing is ever put here."""


@attrs.frozen
class ActorStatistics:
    """What an actor is doing right now."""

    step: str
    """Its step."""
    depth: int
    """Messages in its inbox."""
    busy: int
    """Activations at work."""
    returning: int
    """Activations that wait to have their slot back."""
    runs: int
    """Runs whose messages wait."""
    oldest: float
    """Seconds that the oldest message has waited; 0 when none has to wait."""
    pipe: str = ""
    """Name of the pipe it belongs to."""
    fingerprint: str = ""
    """The version of that pipe: its hash."""


@attrs.define(eq=False, repr=False)
class Actor:
    """One step at work."""

    node: Node
    """Its step."""
    dispatcher: Dispatcher
    """Who performs its messages."""
    runs: Mapping[str, RunState]
    """The run states of the runs that may write to it, by id."""
    inbox: Inbox = attrs.field(factory=Inbox)
    """What it has to do."""
    is_queued: bool = attrs.field(default=False, init=False)
    """Whether it stands in the dispatcher's line."""
    busy: int = attrs.field(default=0, init=False)
    """Slots in use."""
    _returning: list[Wakeup] = attrs.field(default=_NOBODY, init=False)

    def put(self, message: Message) -> None:
        """Hand over a message; never blocks."""
        inbox = self.inbox
        waits = inbox.depth > 0 or not self._has_slot
        inbox.put(message, self.dispatcher.now() if waits else None)
        if not self.is_queued:
            self._enqueue()

    def take(self) -> Message | None:
        """Take the next message and a slot for it, and stand in line for the rest."""
        limit = self.node.concurrency
        self.is_queued = False
        if limit and self.busy >= limit:
            return None
        message = self.inbox.take()
        if message is not None:
            self.busy += 1
            if self.inbox.depth and (not limit or self.busy < limit):
                self.is_queued = True
                self.dispatcher.requeue(self)
        return message

    def give_slot(self) -> None:
        """Give a slot back; whoever waits for one goes on."""
        self.busy -= 1
        if self._returning and self._has_slot:
            self.busy += 1
            self._returning.pop(0).notify()
        elif self.inbox.depth and not self.is_queued:
            self._enqueue()

    async def regain_slot(self) -> None:
        """Have a slot again, before any message does."""
        if self._has_slot:
            self.busy += 1
            return
        wakeup = Wakeup()
        if self._returning is _NOBODY:
            self._returning = []
        self._returning.append(wakeup)
        try:
            await wakeup.wait()
        except BaseException:
            if wakeup in self._returning:
                self._returning.remove(wakeup)
                self.busy += 1  # given back with the invocation, as any other
            raise

    @property
    def _has_slot(self) -> bool:
        limit = self.node.concurrency
        return not limit or self.busy < limit

    def statistics(self) -> ActorStatistics:
        """Return what it is doing."""
        inbox = self.inbox.statistics()
        return ActorStatistics(
            step=self.node.name,
            depth=inbox.depth,
            busy=self.busy,
            returning=len(self._returning),
            runs=inbox.runs,
            oldest=0.0 if inbox.since is None else self.dispatcher.now() - inbox.since,
        )

    def _enqueue(self) -> None:
        if self._has_slot:
            self.is_queued = True
            self.dispatcher.enqueue(self)
