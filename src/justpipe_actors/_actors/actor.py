"""The loop all actors share: take a message, perform it, say what became of it.

::

    message taken from the inbox -> STEP_START -> call -> outcome
      -> verdict: handler? unhandled? -> STEP_END / STEP_ERROR -> outputs -> token back

An actor is an inbox and the *receivers* that serve it.  A receiver is a task; it takes a
message, performs it to the end and takes the next one.  Receivers are started on demand,
one at a time: whoever takes a message and leaves others behind calls the next receiver,
so a burst of a thousand messages whose functions never wait is served by a few tasks and
not by a thousand.
"""

from __future__ import annotations

from collections import deque
from math import inf

import anyio
import attrs
from anyio.lowlevel import checkpoint
from trio.lowlevel import enable_ki_protection

from .. import seams
from .._plan.nodes import Node, Plan
from ..seams import Seam
from .flow import abandon
from .inbox import Inbox
from .ledger import Ledger
from .messages import Message, Start
from .parts import Stage
from .performing import judge_expiry, perform
from .unknown import unknown_step


SPARE_RECEIVERS = 16
"""Receivers an actor keeps waiting when there is nothing to do."""

TURNS = 8
"""Messages a receiver performs before it lets others run, if none of them waited."""


@attrs.frozen
class ActorStatistics:
    """What an actor is doing right now."""

    step: str
    """Its step."""
    depth: int
    """Messages in its inbox."""
    busy: int
    """Receivers performing."""
    idle: int
    """Receivers waiting."""
    restarts: int
    """Receivers that were killed while they waited, and replaced."""


@attrs.define(eq=False)
class Actor:
    """One step at work."""

    node: Node
    """Its step."""
    host: Stage
    """Where it lives."""
    inbox: Inbox = attrs.field(factory=Inbox)
    """What it has to do."""
    spare: int = SPARE_RECEIVERS
    """Receivers it keeps waiting when there is nothing to do."""
    _busy: int = attrs.field(default=0, init=False)
    _restarts: int = attrs.field(default=0, init=False)
    _coming: bool = attrs.field(default=False, init=False)
    _idle: deque[anyio.Event] = attrs.field(factory=deque, init=False)

    def put(self, message: Message) -> None:
        """Hand over a message; never blocks."""
        self.inbox.put(message)
        self._call_receiver()

    def statistics(self) -> ActorStatistics:
        """Return what it is doing."""
        return ActorStatistics(
            self.node.name,
            len(self.inbox),
            self._busy,
            len(self._idle),
            self._restarts,
        )

    def _call_receiver(self) -> None:
        limit = self.node.concurrency
        if self._coming or not self.inbox or (limit and self._busy >= limit):
            return
        if self._idle:
            self._idle.pop().set()
        else:
            self.host.spawn(self._receive)
        self._coming = True

    def _call_another(self, ledger: Ledger) -> None:
        try:
            self._call_receiver()
        except Exception as error:  # noqa: BLE001 - a defect of the engine ends this run only
            ledger.crash(error)

    @enable_ki_protection
    async def _receive(self) -> None:
        self._coming = False
        try:
            await self._serve_all()
        except BaseException:  # noqa: ASYNC103 - raised unless outlived
            self._call_receiver()  # somebody must take what is left
            if (
                anyio.current_effective_deadline() == -inf
                or not self.host.outlive_kill()
            ):
                raise
            # It held no message: what it was performing was reported where it broke.
            self._restarts += 1

    async def _serve_all(self) -> None:
        turns = 0
        while True:
            message = self._take()
            if message is None:
                if len(self._idle) >= self.spare:
                    return
                await self._wait_turn()
                turns = 0
                continue
            await self._serve(message)
            turns += 1
            if turns >= TURNS and self.inbox:
                turns = 0
                await checkpoint()

    def _take(self) -> Message | None:
        limit = self.node.concurrency
        if limit and self._busy >= limit:
            return None
        return self.inbox.take()

    async def _wait_turn(self) -> None:
        called = anyio.Event()
        self._idle.append(called)
        try:
            await called.wait()
            if seams.active is not None:
                await seams.active.reach(Seam.WAKE, "", self.node.name)
        except BaseException:
            if called.is_set():
                self._coming = False
                self._call_receiver()
            else:
                self._idle.remove(called)
            raise
        self._coming = False

    async def _serve(self, message: Message) -> None:
        self._busy += 1
        try:
            ledger = self.host.runs[message.run_id]
            self._call_another(ledger)
            if ledger.interrupted:
                abandon(ledger, message)
            elif isinstance(message, Start):
                await perform(ledger, self.node, message)
            else:
                await judge_expiry(ledger, self.node, message)
        finally:
            self._busy -= 1


def actor_for(host: Stage, plan: Plan, step: str) -> Actor:
    """Return a new actor for a step, even for one that does not exist."""
    node = plan.nodes.get(step)
    if node is None:
        # Names nobody defined may be as many as there are items: none may stay behind.
        return Actor(unknown_step(step, plan), host, spare=0)
    return Actor(node, host)
