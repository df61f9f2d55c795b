"""One step at work: its inbox, and how many invocations it may have at once.

An actor has no task of its own; the tasks of the dispatcher process the messages in its
inbox.  The actor is in the dispatcher's ready queue while it has a message and a free
slot.

An invocation that waits for its run's consumer releases its slot meanwhile
(``Invocation.wait_writable``), so a stalled run delays no other run.  It gets the next
slot that becomes free, before any message does.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING

import attrs

from .._plan.plan import Node
from .._util.lazy_classes import define, frozen
from .._util.sync import Wakeup
from .messages import Message


if TYPE_CHECKING:
    from .dispatcher import Dispatcher
    from .run_state import RunState


_QueuedMessage = tuple[float | None, Message]
"""A message, and when it began to wait."""

_NO_QUEUES: OrderedDict[str, deque[_QueuedMessage]] = OrderedDict()
"""Shared empty queues for inboxes that had no queue yet; it stays empty.

perf: an actor of a thousand has one (``python -m tests.benchmarks.scale``).
"""


@frozen
class InboxStatistics:
    """What an inbox holds right now."""

    depth: int
    """Number of waiting messages."""
    runs: int
    """Number of runs that they belong to."""
    taken: int
    """Number of messages taken so far."""
    since: float | None
    """When the message that has waited longest was put; None when none had to wait."""


@define(eq=False, repr=False)
class Inbox:
    """The queues of one actor, one per run.

    Most of the time it holds one message or none, so the first one needs no queue, and
    most inboxes never have any.
    """

    depth: int = attrs.field(default=0, init=False)
    """Number of waiting messages."""
    single: _QueuedMessage | None = attrs.field(default=None, init=False)
    """The only message; None when there is none, or when there are queues."""
    _queues: OrderedDict[str, deque[_QueuedMessage]] = attrs.field(
        default=_NO_QUEUES, init=False
    )
    taken: int = attrs.field(default=0, init=False)
    """Messages taken so far."""

    def put(self, message: Message, now: float | None = None) -> None:
        """Add a message behind the others of its run.

        Args:
            message: the message.
            now: the loop's clock, when the message has to wait.
        """
        self.depth += 1
        if self.depth == 1:
            self.single = (now, message)
            return
        queue = self._queues.get(message.run_id)
        if queue is not None:  # perf: without the call of ``_append`` (bench: map)
            queue.append((now, message))
            return
        if self.single is not None:
            self._append(self.single)
            self.single = None
        self._append((now, message))

    def _append(self, queued: _QueuedMessage) -> None:
        run_id = queued[1].run_id
        if self._queues is _NO_QUEUES:
            self._queues = OrderedDict()
        queue = self._queues.get(run_id)
        if queue is None:
            queue = self._queues[run_id] = deque()
        queue.append(queued)

    @property
    def next_run(self) -> str | None:
        """The run of the message that is taken next; None when nothing waits."""
        if self.single is not None:
            return self.single[1].run_id
        return next(iter(self._queues), None)

    def take(self) -> Message | None:
        """Remove and return the next message; the runs take turns.

        Returns:
            None when the inbox is empty.
        """
        if not self.depth:
            return None
        self.depth -= 1
        self.taken += 1
        if self.single is not None:
            message = self.single[1]
            self.single = None
            return message
        run_id = next(iter(self._queues))
        queue = self._queues[run_id]
        _, message = queue.popleft()
        if not queue:
            del self._queues[run_id]
        elif len(self._queues) > 1:
            self._queues.move_to_end(run_id)
        return message

    def drop(self, run_id: str, *, workers_only: bool = False) -> list[Message]:
        """Remove and return the messages of one run.

        Args:
            run_id: the run.
            workers_only: leave alone what is not a map worker's.
        """
        dropped: list[Message] = []
        kept: deque[_QueuedMessage] = deque()
        for queued in self._take_queue(run_id):
            if workers_only and not getattr(queued[1], "map_id", None):
                kept.append(queued)
            else:
                dropped.append(queued[1])
        for queued in kept:
            self._append(queued)
        self.depth -= len(dropped)
        return dropped

    def _take_queue(self, run_id: str) -> deque[_QueuedMessage]:
        """Take a run's messages out, in order."""
        if self.single is not None and self.single[1].run_id == run_id:
            single, self.single = self.single, None
            return deque([single])
        return self._queues.pop(run_id, deque())

    def depth_of(self, run_id: str) -> int:
        """Return how many messages of one run wait."""
        if self.single is not None:
            return int(self.single[1].run_id == run_id)
        return len(self._queues.get(run_id, ()))

    def __len__(self) -> int:
        return self.depth

    def first(self, limit: int) -> list[tuple[str, float | None]]:
        """Return run and start of waiting for at most ``limit`` next messages."""
        queues = [
            islice(queue, limit) for queue in islice(self._queues.values(), limit)
        ]
        rounds = chain.from_iterable(zip_longest(*queues))
        queued = rounds if self.single is None else iter((self.single,))
        found = islice((one for one in queued if one is not None), limit)
        return [(message.run_id, since) for since, message in found]

    def statistics(self) -> InboxStatistics:
        """Return the current figures of the inbox."""
        run_count = len(self._queues) + (self.single is not None)
        oldest = [queue[0] for queue in self._queues.values()]
        if self.single is not None:
            oldest.append(self.single)
        since = min((at for at, _ in oldest if at is not None), default=None)
        return InboxStatistics(self.depth, run_count, self.taken, since)


SHOWN = 20
"""Maximum number of invocations and messages of one actor that statistics name."""

_NO_WAITERS: list[Wakeup] = []
"""Shared empty list for actors that had no slot waiter yet; it stays empty."""


@frozen
class ActorStatistics:
    """What an actor is doing right now."""

    step: str
    """Name of the step."""
    depth: int
    """Number of messages in the inbox."""
    busy: int
    """Number of invocations at work."""
    returning: int
    """Invocations that wait to have their slot back."""
    runs: int
    """Number of runs that have waiting messages."""
    oldest: float
    """Seconds that the oldest message has waited; 0 when none has to wait."""
    pipe: str = ""
    """Name of the pipe it belongs to."""
    fingerprint: str = ""
    """The version of that pipe: its hash."""
    slots: int | None = None
    """Invocations that may be at work at once; None is no limit."""
    holders: tuple[tuple[str, float], ...] = ()
    """Invocations at work: run and seconds, the longest first, at most ``SHOWN``."""
    queue: tuple[tuple[str, float], ...] = ()
    """Next messages: run and seconds waited, in order, at most ``SHOWN``."""


@define(eq=False, repr=False)
class Actor:
    """One step at work."""

    node: Node
    """The compiled step, with the function that the actor calls."""
    dispatcher: Dispatcher
    """Processes the actor's messages."""
    runs: Mapping[str, RunState]
    """The run states of the runs that may write to it, by id."""
    inbox: Inbox = attrs.field(factory=Inbox)
    """Messages that wait for the actor."""
    is_queued: bool = attrs.field(default=False, init=False)
    """Whether the actor is in the dispatcher's queue."""
    busy: int = attrs.field(default=0, init=False)
    """Number of slots in use: invocations at work."""
    _slot_waiters: list[Wakeup] = attrs.field(default=_NO_WAITERS, init=False)

    def put(self, message: Message) -> None:
        """Hand over a message; never blocks."""
        # perf: ``Inbox.put``, ``_has_slot`` and ``_enqueue`` without their calls, as most
        # messages find an empty inbox and a free slot (bench: chain).
        inbox, limit = self.inbox, self.node.concurrency
        has_slot = not limit or self.busy < limit
        if has_slot and not inbox.depth:
            inbox.depth, inbox.single = 1, (None, message)
        else:
            inbox.put(message, self.dispatcher.now())
        if has_slot and not self.is_queued:
            self.is_queued = True
            self.dispatcher.enqueue(self)

    def take(self) -> Message | None:
        """Take the next message and a slot; requeue the actor if more messages wait."""
        inbox, limit = self.inbox, self.node.concurrency
        self.is_queued = False
        if limit and self.busy >= limit:
            return None
        single = inbox.single
        if single is not None:  # perf: ``Inbox.take`` without its call (bench: chain)
            inbox.single, inbox.depth = None, 0
            inbox.taken += 1
            self.busy += 1
            return single[1]
        message = inbox.take()
        if message is not None:
            self.busy += 1
            if inbox.depth and (not limit or self.busy < limit):
                self.is_queued = True
                self.dispatcher.requeue(self)
        return message

    def release_slot(self) -> None:
        """Release a slot, to the first invocation that waits to have its slot back."""
        self.busy -= 1
        if self._slot_waiters and self._has_slot:
            self.busy += 1
            self._slot_waiters.pop(0).notify()
        elif self.inbox.depth and not self.is_queued:
            self._enqueue()

    async def reacquire_slot(self) -> None:
        """Wait for a slot; waiting invocations come before messages in the inbox."""
        if self._has_slot:
            self.busy += 1
            return
        wakeup = Wakeup()
        if self._slot_waiters is _NO_WAITERS:
            self._slot_waiters = []
        self._slot_waiters.append(wakeup)
        try:
            await wakeup.wait()
        except BaseException:
            if wakeup in self._slot_waiters:
                self._slot_waiters.remove(wakeup)
                self.busy += 1  # the end of the invocation releases a slot in any case
            raise

    @property
    def _has_slot(self) -> bool:
        limit = self.node.concurrency
        return not limit or self.busy < limit

    def statistics(self) -> ActorStatistics:
        """Return the current figures of the actor."""
        inbox, now = self.inbox.statistics(), self.dispatcher.now()
        return ActorStatistics(
            step=self.node.name,
            depth=inbox.depth,
            busy=self.busy,
            returning=len(self._slot_waiters),
            runs=inbox.runs,
            oldest=0.0 if inbox.since is None else now - inbox.since,
            slots=self.node.concurrency or None,
            queue=tuple(
                (run_id, 0.0 if since is None else now - since)
                for run_id, since in self.inbox.first(SHOWN)
            ),
        )

    def _enqueue(self) -> None:
        if self._has_slot:
            self.is_queued = True
            self.dispatcher.enqueue(self)
