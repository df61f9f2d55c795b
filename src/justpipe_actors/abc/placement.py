"""Where synchronous functions may run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable


T = TypeVar("T")


@runtime_checkable
class Placement(Protocol):
    """Where synchronous step functions run."""

    name: str
    """What ``@pipe.step(placement=...)`` calls it."""

    async def run_sync(self, call: Callable[[], T], /) -> T:
        """Run a call to its end and return its result or raise its exception.

        The call already carries the run's context variables.
        When the awaiting task is cancelled the placement either waits for the call or
        makes sure that its result can no longer be seen.
        """
        ...
