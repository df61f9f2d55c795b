"""One step at work: its inbox, and how many activations it may have at once.

An actor has no task of its own; the receivers of its host's crew perform what is in its
inbox.  It stands in the crew's line whenever it has a message and a slot for it.

An activation that cannot go on because its run's consumer is behind gives its slot back
while it waits (``Activation.wait_room``), so a stalled run holds up nobody but itself.  It gets the
next slot that becomes free, before any message does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from .._plan.nodes import Node
from .bell import Bell
from .inbox import Inbox
from .messages import Message
from .parts import Receivers


_NOBODY: list[Bell] = []
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
    crew: Receivers
    """Who performs its messages."""
    runs: Mapping[str, Any]
    """The ledgers of the runs that may write to it, by id."""
    inbox: Inbox = attrs.field(factory=Inbox)
    """What it has to do."""
    is_called: bool = attrs.field(default=False, init=False)
    """Whether it stands in the crew's line."""
    busy: int = attrs.field(default=0, init=False)
    """Slots in use."""
    _returning: list[Bell] = attrs.field(default=_NOBODY, init=False)

    def put(self, message: Message) -> None:
        """Hand over a message; never blocks."""
        inbox = self.inbox
        waits = inbox.depth > 0 or not self._has_slot
        inbox.put(message, self.crew.now() if waits else None)
        if not self.is_called:
            self._call()

    def take(self) -> Message | None:
        """Take the next message and a slot for it, and stand in line for the rest."""
        limit = self.node.concurrency
        self.is_called = False
        if limit and self.busy >= limit:
            return None
        message = self.inbox.take()
        if message is not None:
            self.busy += 1
            if self.inbox.depth and (not limit or self.busy < limit):
                self.is_called = True
                self.crew.requeue(self)
        return message

    def give_slot(self) -> None:
        """Give a slot back; whoever waits for one goes on."""
        self.busy -= 1
        if self._returning and self._has_slot:
            self.busy += 1
            self._returning.pop(0).ring()
        elif self.inbox.depth and not self.is_called:
            self._call()

    async def regain_slot(self) -> None:
        """Have a slot again, before any message does."""
        if self._has_slot:
            self.busy += 1
            return
        bell = Bell()
        if self._returning is _NOBODY:
            self._returning = []
        self._returning.append(bell)
        try:
            await bell.wait()
        except BaseException:
            if bell in self._returning:
                self._returning.remove(bell)
                self.busy += 1  # given back with the activation, as any other
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
            oldest=0.0 if inbox.since is None else self.crew.now() - inbox.since,
        )

    def _call(self) -> None:
        if self._has_slot:
            self.is_called = True
            self.crew.call(self)
