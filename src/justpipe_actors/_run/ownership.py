"""Who owns a run that begins here without an ``async with`` of its own.

It is the ambient supervisor when one is open: a context variable first, then a variable
of the loop, because request handlers often do not inherit the context of the
application's lifespan.  Else it is the loop itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol

import anyio.lowlevel

from .._backends import Loop
from .._engine.actor_system import ActorSystem
from .run import Run


class Owner(Protocol):
    """Who owns the runs that begin in it, as one of them sees it: a supervisor."""

    @property
    def system(self) -> ActorSystem:
        """Where their actors live."""
        ...

    def admit_nowait(self, run_id: str) -> Callable[[], None] | None:
        """Take a place if there is one; None means to wait for one.

        Raises:
            RunRejected: no new runs are taken.
        """
        ...

    @property
    def loop(self) -> Loop:
        """The loop it lives in."""
        ...

    async def admit(self, run_id: str) -> Callable[[], None]:
        """Wait for a place; the returned function gives it back.

        Raises:
            RunRejected: no new runs are taken.
        """
        ...

    def begin(self, run: Run, leave: Callable[[], None]) -> None:
        """Let a run begin, and own it until its last moment; its place is given back
        then, or now when it cannot begin."""


_ambient: ContextVar[Owner | None] = ContextVar("justpipe_actors_owner", default=None)
_open: anyio.lowlevel.RunVar[tuple[Owner, ...]] = anyio.lowlevel.RunVar(
    "justpipe_actors_owners", ()
)

_everywhere: list[Owner] = []
"""The owners that are open in any loop of this process."""


def ambient_owner() -> Owner | None:
    """Return the supervisor that is open here, if one is.

    A context outlives what it was copied in, and may be used in another loop: its owner
    counts only while it is open in this one.
    """
    if not _everywhere:
        return None  # most programs have no supervisor, and a run's variable is dear
    owners = _open.get()
    found = _ambient.get()
    if found in owners:
        return found
    return owners[-1] if owners else None


def open_ambient(owner: Owner) -> Callable[[], None]:
    """Make an owner the ambient one; the returned function undoes it."""
    reset = _ambient.set(owner)
    _open.set((*_open.get(), owner))
    _everywhere.append(owner)

    def close() -> None:
        _everywhere.remove(owner)
        _open.set(tuple(one for one in _open.get() if one is not owner))
        _ambient.reset(reset)

    return close
