"""The receivers of one host: who takes messages out of inboxes and performs them.

An actor is an inbox and a right to so many activations at once; it has no task of its
own.  The tasks are *receivers*, they belong to the host, and any of them serves any
actor.  Four rules are the whole of it:

*   An actor with a message and a free slot stands in the line of those who *called*.
*   A receiver takes one message of the actor at the head, and the actor goes to the end
    of the line if it has more.  Actors take turns, and in an inbox so do runs.
*   Whoever leaves somebody standing in the line summons one more receiver, and not a
    second one before the first has come.  So a burst of a thousand messages whose
    functions never wait is served by one task and not by a thousand.
*   A receiver whose time is up leaves the line to the one who comes, and waits.  So a
    line that never ends is served by two tasks in turn; if both went on, each slice would
    add one more, and every other task would wait for all of them.

A receiver that commits an invocation is about to be free and will look at the line
itself, so what it puts meanwhile summons nobody (``held``).  That is why a chain of
steps that do not wait runs in one task from end to end, at the price of a function call
per step and not of a task.

Each receiver has a cancel scope, and it is *lent* to the activation it performs.  A
scope that was cancelled is never lent again.  So an activation can be interrupted alone,
and a scope is opened once per receiver and not once per activation.

Rejected: a task group per actor and receivers of its own (a task spawned for the first
message of every step cost more than all the rest), and a scope per activation (3 to 7
microseconds each, for a cancellation that almost never comes).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any

import anyio
import attrs
from anyio.lowlevel import checkpoint
from trio.lowlevel import enable_ki_protection

from .._util import failpoints as seams
from .._util.failpoints import Seam
from .._util.sync import Bell, NewSignal
from . import routing as flow
from .execution import judge_expiry, perform
from .messages import Message, Start
from .run_state import Ledger


if TYPE_CHECKING:
    from .actor import Actor


_logger = logging.getLogger("justpipe_actors")

SPARE = 64
"""Receivers that wait for something to do; more than these go home."""

SLICE = 0.001
"""Seconds a receiver works before it lets others run, if nothing made it wait."""

TURNS = 256
"""Messages, or jobs, after which it does so whatever the clock says: it may stand still."""

Spawn = Callable[[Callable[..., Coroutine[Any, Any, object]]], None]

Job = Callable[[], Awaitable[object]]


@attrs.frozen
class CrewStatistics:
    """What the receivers of a host are doing right now."""

    working: int
    """Receivers with something to do."""
    idle: int
    """Receivers waiting."""
    called: int
    """Actors in the line."""
    restarts: int
    """Receivers that were killed or broke while they performed nothing, and replaced."""


@attrs.define(eq=False, repr=False)
class Crew:
    """The receivers of one host."""

    spawn: Spawn
    """Starts a task of the host."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    outlive_kill: Callable[[], bool]
    """Whether the current task was killed natively and can go on; asking forgets it."""
    new_signal: NewSignal = anyio.Event
    """Makes what a receiver waits for."""
    held: bool = attrs.field(default=False, init=False)
    """Whether a receiver is about to be free: then nobody is summoned."""
    _called: deque[Actor] = attrs.field(factory=deque, init=False)
    _jobs: deque[Job] = attrs.field(factory=deque, init=False)
    _idle: deque[Bell] = attrs.field(factory=deque, init=False)
    _coming: bool = attrs.field(default=False, init=False)
    _is_dismissed: bool = attrs.field(default=False, init=False)
    _working: int = attrs.field(default=0, init=False)
    _restarts: int = attrs.field(default=0, init=False)

    def statistics(self) -> CrewStatistics:
        """Return what they are doing."""
        return CrewStatistics(
            self._working, len(self._idle), len(self._called), self._restarts
        )

    def call(self, actor: Actor) -> None:
        """Put an actor in the line: it has a message, and a slot for it."""
        self._called.append(actor)
        if not self.held and not self._coming:
            self._summon()

    def requeue(self, actor: Actor) -> None:
        """Put an actor at the end of the line again: it has more."""
        self._called.append(actor)

    def employ(self, job: Job) -> None:
        """Let a receiver do something else than serve actors, to its end."""
        self._jobs.append(job)
        try:
            if not self._coming:
                self._summon()
        except BaseException:
            self._jobs.remove(job)
            raise

    def dismiss(self) -> None:
        """Send home whoever has nothing to do, now and from now on."""
        self._is_dismissed = True
        while self._idle:
            self._idle.pop().ring()

    def _summon(self) -> None:
        self._coming = True  # first: there are loops where a task begins at once
        if self._idle:
            self._idle.pop().ring()
            return
        try:
            self.spawn(self._receive)
        except BaseException:
            self._coming = False
            raise

    def _summon_for_rest(self) -> None:
        """Have somebody look at what is left, now that this receiver will not."""
        self.held = False
        if (self._called or self._jobs) and not self._coming:
            self._summon()

    @enable_ki_protection
    async def _receive(self) -> None:
        """Be a receiver, until there are receivers to spare."""
        self._coming = False
        self._working += 1
        try:
            await self._serve_for_ever()
        except Exception:
            self._summon_for_rest()
            self._restarts += 1
            _logger.exception(
                "A receiver broke between two messages; another one goes on"
            )
        except BaseException:  # noqa: ASYNC103 - raised unless outlived
            self._summon_for_rest()  # somebody must take what is left
            if anyio.current_effective_deadline() == -inf or not self.outlive_kill():
                raise
            # It held no message: what it was performing was reported where it broke.
            self._restarts += 1
        finally:
            self._working -= 1

    async def _serve_for_ever(self) -> None:
        turns, since = 0, self.now()
        while True:  # noqa: ASYNC913 - it waits when there is nothing to do
            if self._coming or not (self._jobs or self._called):
                if self._is_dismissed or len(self._idle) >= SPARE:
                    return
                await self._wait_call()
                turns, since = 0, self.now()
            elif not self._jobs:
                await self.serve()
            elif turns >= TURNS or self.now() - since >= SLICE:
                self._summon_for_rest()
            else:
                turns += 1
                await self._next_job()

    def _next_job(self) -> Awaitable[object]:
        """Return what is no message and is next, and have somebody look at the rest."""
        job = self._jobs.popleft()
        try:
            self._summon_for_rest()
        except BaseException:
            self._jobs.appendleft(job)
            raise
        return job()

    async def _wait_call(self) -> None:
        bell = Bell(self.new_signal)
        self._idle.append(bell)
        self._working -= 1
        try:
            await bell.wait()
            if seams.active is not None:
                await seams.active.reach(Seam.WAKE, "", "receiver")
        except BaseException:
            if bell in self._idle:
                self._idle.remove(bell)
            else:
                self._coming = False
            raise
        finally:
            self._working += 1
        self._coming = False

    async def serve(  # noqa: C901 - the loop everything happens in
        self, only: str | None = None
    ) -> None:
        """Perform what is in the line, in this task.

        Args:
            only: stop as soon as the next message belongs to another run than this.
        """
        called, now = self._called, self.now
        while called:
            turns, since = 0, now()
            with anyio.CancelScope() as scope:  # noqa: ASYNC912 - empties a line
                while called:
                    actor = called[0]
                    if only is not None and actor.inbox.next_run != only:
                        self._summon_for_rest()
                        return
                    called.popleft()
                    if (message := actor.take()) is None:
                        continue
                    ledger = actor.runs[message.run_id]
                    if called and not self._coming:
                        self._summon_or_crash(ledger)
                    try:
                        await _perform(ledger, actor, message, scope)
                    except BaseException:
                        actor.give_slot()
                        self._summon_for_rest()
                        raise
                    self.held = True
                    actor.give_slot()
                    self.held = False
                    if ledger.interrupted and scope.cancel_called:
                        break
                    turns += 1
                    if turns >= TURNS or now() - since >= SLICE:
                        self._summon_for_rest()
                        if only is None:
                            return  # whoever comes takes over
                        await checkpoint()
                        turns, since = 0, now()

    def _summon_or_crash(self, ledger: Ledger) -> None:
        try:
            self._summon()
        except Exception as error:  # noqa: BLE001 - a defect of the engine ends this run only
            ledger.crash(error)


def _perform(
    ledger: Ledger, actor: Actor, message: Message, scope: anyio.CancelScope
) -> Awaitable[None]:
    """Return what is to be done about a message."""
    if ledger.interrupted:
        return _abandon(ledger, message)
    if isinstance(message, Start):
        return perform(ledger, actor, message, scope)
    return judge_expiry(ledger, actor, message, scope)


async def _abandon(ledger: Ledger, message: Message) -> None:
    """Give back what a message of an interrupted run holds."""
    flow.abandon(ledger, message)
