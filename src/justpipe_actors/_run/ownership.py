"""Find the owner of a run that was started without an ``async with`` of its own.

The owner is the ambient supervisor if one is open: a context variable is read first,
then a variable of the loop, because request handlers often do not inherit the context
of the application's lifespan.  Else the owner is the loop itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Protocol

import anyio.lowlevel

from .._backends import Loop
from .._engine.actor_system import ActorSystem
from .run import Run


class RunOwner(Protocol):
    """The part of a supervisor that the runs it owns use."""

    @property
    def system(self) -> ActorSystem:
        """The actor system of the runs."""
        ...

    def admit_nowait(self, run_id: str) -> Callable[[], None] | None:
        """Admit a run if there is a place; return None if the run has to wait for one.

        Raises:
            RunRejected: no new runs are taken.
        """
        ...

    @property
    def loop(self) -> Loop:
        """The event loop that it was opened in."""
        ...

    async def admit(self, run_id: str) -> Callable[[], None]:
        """Wait for a place for a run; the returned function releases it.

        Raises:
            RunRejected: no new runs are taken.
        """
        ...

    def begin(self, run: Run, release_place: Callable[[], None]) -> None:
        """Start a run and own it until its end.

        Args:
            run: the run.
            release_place: called when the run has ended, or now if it cannot begin.
        """


_context_owner: ContextVar[RunOwner | None] = ContextVar(
    "justpipe_actors_owner", default=None
)
_loop_owners: anyio.lowlevel.RunVar[tuple[RunOwner, ...]] = anyio.lowlevel.RunVar(
    "justpipe_actors_owners", ()
)

_all_owners: list[RunOwner] = []
"""The owners that are open in any loop of this process."""


def ambient_owner() -> RunOwner | None:
    """Return the supervisor that is open here, if one is.

    A context may outlive its owner, and may be used in another loop, so the owner
    counts only while it is open in the running loop.
    """
    if not _all_owners:
        return None  # perf: a loop's variable is slow, and rarely needed
    owners = _loop_owners.get()
    owner = _context_owner.get()
    if owner in owners:
        return owner
    return owners[-1] if owners else None


def open_ambient(owner: RunOwner) -> Callable[[], None]:
    """Make an owner the ambient one; the returned function undoes it."""
    token = _context_owner.set(owner)
    _loop_owners.set((*_loop_owners.get(), owner))
    _all_owners.append(owner)

    def close() -> None:
        if owner not in _all_owners:
            return  # the event loop's end closed it already
        _all_owners.remove(owner)
        _loop_owners.set(
            tuple(other for other in _loop_owners.get() if other is not owner)
        )
        with suppress(ValueError):  # left in another context: a closed owner is ignored
            _context_owner.reset(token)

    return close
