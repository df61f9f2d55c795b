"""Who may come in: places for runs, given first come first served.

A place that becomes free goes straight to whoever waits longest, so there is a free
place only when nobody waits.  Who gives up waiting takes no place, and who was just
given one hands it on.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import anyio
import attrs

from ..errors import RunRejected


DRAINING = RunRejected(
    "the supervisor is draining and takes no new runs",
    "Start it again once the service is back, or send it to another instance.",
)
STARTING = RunRejected(
    "the supervisor is still starting its services",
    "Await submit() to wait until it is open.",
)
CLOSED = RunRejected(
    "the supervisor is closed",
    "Start runs inside its 'async with' block.",
)


DoorState = Literal["starting", "open", "draining", "closed"]


@attrs.define(eq=False, repr=False)
class _Caller:
    """Somebody who asks to be let in."""

    answered: anyio.Event = attrs.field(factory=anyio.Event)
    refusal: RunRejected | None = None


@attrs.frozen
class DoorStatistics:
    """Who is in and who waits."""

    inside: int
    """Places taken."""
    waiting: int
    """Who stands in line."""
    limit: int | None
    """Places there are; None is no limit."""


@attrs.define(eq=False, repr=False)
class Door:
    """The places of one supervisor."""

    limit: int | None = None
    """Places there are; None is no limit."""
    is_held: bool = False
    """Whether whoever comes has to wait until it is opened."""
    _inside: int = attrs.field(default=0, init=False)
    _line: deque[_Caller] = attrs.field(factory=deque, init=False)
    _refusal: RunRejected | None = attrs.field(default=None, init=False)

    @property
    def is_full(self) -> bool:
        """Whether the next one has to wait."""
        return self.is_held or (self.limit is not None and self._inside >= self.limit)

    @property
    def state(self) -> DoorState:
        """Whether anybody is let in, and if not, why."""
        if self._refusal is None:
            return "starting" if self.is_held else "open"
        return "draining" if self._refusal is DRAINING else "closed"

    def enter_nowait(self) -> None:
        """Take a place now.

        Raises:
            RunRejected: there is none, or the door is closed.
        """
        if self._refusal is not None:
            raise _copy(self._refusal)
        if self.is_held:
            raise _copy(STARTING)
        if self.is_full:
            reason = f"{self._inside} of {self.limit} runs are at work"
            remedy = "Await submit() to wait for a place, or raise max_runs."
            raise RunRejected(reason, remedy)
        self._inside += 1

    async def enter(self) -> None:
        """Wait for a place and take it.

        Raises:
            RunRejected: the door is closed, or closes meanwhile.
        """
        caller = _Caller()
        if self._refusal is None and self.is_full:
            self._line.append(caller)
        else:
            self.enter_nowait()
            caller.answered.set()
        try:
            await caller.answered.wait()
        except BaseException:
            self._give_up(caller)
            raise
        if caller.refusal is not None:
            raise caller.refusal

    def leave(self) -> None:
        """Give a place back; whoever waits longest has it now."""
        if self._line:
            self._line.popleft().answered.set()
        else:
            self._inside -= 1

    def open(self) -> None:
        """Let in who stands in line, as far as there are places."""
        self.is_held = False
        while self._line and not self.is_full:
            self._inside += 1
            self._line.popleft().answered.set()

    def close(self, refusal: RunRejected) -> None:
        """Let nobody in any more; who stands in line is turned away."""
        self._refusal = refusal
        while self._line:
            caller = self._line.popleft()
            caller.refusal = _copy(refusal)
            caller.answered.set()

    def statistics(self) -> DoorStatistics:
        """Return who is in and who waits."""
        return DoorStatistics(self._inside, len(self._line), self.limit)

    def _give_up(self, caller: _Caller) -> None:
        if not caller.answered.is_set():
            self._line.remove(caller)
        elif caller.refusal is None:
            self.leave()


def _copy(refusal: RunRejected) -> RunRejected:
    """Return a fresh one: an exception that is raised twice collects tracebacks."""
    return RunRejected(refusal.reason, refusal.remedy)
