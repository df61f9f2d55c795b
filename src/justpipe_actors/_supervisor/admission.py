"""Admission: how many runs of one supervisor are at work at the same time.

A run takes a place before it begins and gives it back when it has ended.  Runs that find
no free place wait in the order in which they came.  Admission is closed for good when
the supervisor drains or is closed; runs that wait then are rejected.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Literal

import anyio
import attrs

from .._util.lazy_classes import define, frozen
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
AdmissionState = Literal["starting", "open", "draining", "closed"]


@define(eq=False, repr=False)
class _Waiter:
    """One run that waits for a place."""

    decided: anyio.Event = attrs.field(factory=anyio.Event)
    refusal: RunRejected | None = None


@define(eq=False, repr=False)
class PlaceRequest:
    """The request of a run that gave its place back and needs one again."""

    granted: Callable[[], None]
    """Called when it has a place."""


@frozen
class AdmissionStatistics:
    """Numbers of admitted and of waiting runs."""

    inside: int
    """Places taken."""
    waiting: int
    """Runs that wait for a place."""
    limit: int | None
    """Maximum number of places; None is no limit."""


@define(eq=False, repr=False)
class AdmissionLimiter:
    """The places of one supervisor."""

    limit: int | None = None
    """Maximum number of places; None is no limit."""
    is_starting: bool = False
    """Whether all runs wait because the supervisor is still starting."""
    _active: int = attrs.field(default=0, init=False)
    _ignored: int = attrs.field(default=0, init=False)
    _waiters: deque[_Waiter | PlaceRequest] = attrs.field(factory=deque, init=False)
    _refusal: RunRejected | None = attrs.field(default=None, init=False)

    @property
    def is_full(self) -> bool:
        """Whether the next run must wait for a place."""
        return self.is_starting or (
            self.limit is not None and self._active >= self.limit
        )

    @property
    def state(self) -> AdmissionState:
        """The admission state: starting, open, draining or closed."""
        if self._refusal is None:
            return "starting" if self.is_starting else "open"
        return "draining" if self._refusal is DRAINING else "closed"

    def acquire_nowait(self) -> None:
        """Take a place now.

        Raises:
            RunRejected: no place is free, or no new runs are admitted.
        """
        if self._refusal is not None:
            raise _copy(self._refusal)
        if self.is_starting:
            raise _copy(STARTING)
        if self.is_full:
            reason = f"{self._active} of {self.limit} runs are at work"
            remedy = "Await submit() to wait for a place, or raise max_runs."
            raise RunRejected(reason, remedy)
        self._active += 1

    @property
    def free_places(self) -> int | None:
        """Number of runs that may start now; None is no limit."""
        if self._refusal is not None or self.is_starting:
            return 0
        if self.limit is None:
            return None
        return max(self.limit - self._active - len(self._waiters), 0)

    def take_place(self) -> bool:
        """Take a place if one is free; tell whether it was taken.

        Raises:
            RunRejected: no new runs are taken.
        """
        if self._refusal is not None:
            raise _copy(self._refusal)
        if self.is_full:
            return False
        self._active += 1
        return True

    def ignore_release(self) -> None:
        """Ignore the next release: that run has given its place back before its end."""
        self._ignored += 1

    async def acquire(self) -> None:
        """Wait for a place and take it.

        Raises:
            RunRejected: no new runs are admitted, or admission closed during the wait.
        """
        waiter = _Waiter()
        if self._refusal is None and self.is_full:
            self._waiters.append(waiter)
        else:
            self.acquire_nowait()
            waiter.decided.set()
        try:
            await waiter.decided.wait()
        except BaseException:
            self._abandon(waiter)
            raise
        if waiter.refusal is not None:
            raise waiter.refusal

    def release(self) -> None:
        """Give a place back; the run that has waited longest gets it."""
        if self._ignored:
            self._ignored -= 1
        elif self._waiters:
            _grant(self._waiters.popleft())
        else:
            self._active -= 1

    def request_again(self, granted: Callable[[], None]) -> Callable[[], None] | None:
        """Take a place for a run that gave its own back, now or in its turn.

        Returns:
            What withdraws the request; None if the place was granted at once.
        """
        request = PlaceRequest(granted)
        if self._refusal is None and self.is_full:
            self._waiters.append(request)
            return partial(self._waiters.remove, request)
        self._active += 1
        granted()
        return None

    def open(self) -> None:
        """Open admission: waiting runs get the free places in order."""
        self.is_starting = False
        while self._waiters and not self.is_full:
            self._active += 1
            _grant(self._waiters.popleft())

    def close(self, refusal: RunRejected) -> None:
        """Close admission; waiting runs are rejected with ``refusal``.

        Runs that gave their place back have begun before, and get one.
        """
        self._refusal = refusal
        while self._waiters:
            waiter = self._waiters.popleft()
            if isinstance(waiter, PlaceRequest):
                self._active += 1
                waiter.granted()
                continue
            waiter.refusal = _copy(refusal)
            waiter.decided.set()

    def statistics(self) -> AdmissionStatistics:
        """Return the numbers of admitted and of waiting runs."""
        return AdmissionStatistics(self._active, len(self._waiters), self.limit)

    def _abandon(self, waiter: _Waiter) -> None:
        if not waiter.decided.is_set():
            self._waiters.remove(waiter)
        elif waiter.refusal is None:
            self.release()


def _grant(waiter: _Waiter | PlaceRequest) -> None:
    if isinstance(waiter, PlaceRequest):
        waiter.granted()
    else:
        waiter.decided.set()


def _copy(refusal: RunRejected) -> RunRejected:
    """Return a copy: an exception that is raised twice accumulates tracebacks."""
    return RunRejected(refusal.reason, refusal.remedy)
