"""The time that hooks and observers get once the end of a run was requested.

A task watches the end meanwhile: it notices that the run's owner is cancelled, and logs
what is still at work after the grace period.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf

import anyio
import attrs

from .._util.lazy_classes import define
from .._util.sync import REPORT_INTERVAL, OneShotEvent


GRACE_SECONDS = 30.0
"""Seconds that hooks and observers get once the end of the run was requested."""

_logger = logging.getLogger("justpipe_actors")


def log_held_up(run_id: str, holders: str) -> None:
    """Warn that the end of a run is delayed, and name what it waits for."""
    _logger.warning(
        "Run %s was told to end but is held up by: %s",
        run_id,
        holders,
        extra={"run": run_id},
    )


@define(eq=False, repr=False)
class GracePeriod:
    """The time that is left to the hook or the observers at the end of a run."""

    run_id: str
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    _started: OneShotEvent = attrs.field(factory=OneShotEvent, init=False)
    _deadline: float = attrs.field(default=inf, init=False)
    _limit: anyio.CancelScope | None = attrs.field(default=None, init=False)
    _holder: str = attrs.field(default="", init=False)
    _watch_ended: OneShotEvent | None = attrs.field(default=None, init=False)
    _report_scope: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True), init=False
    )

    def start(self) -> None:
        """Start the grace period, unless it has started."""
        if self._deadline == inf:
            self._started.set()
            self._deadline = self.now() + GRACE_SECONDS
            if self._limit is not None:
                self._limit.deadline = self._deadline

    def restart(self) -> None:
        """Start the grace period again for the next call, if there is a limit."""
        if self._deadline < inf:
            self._deadline = self.now() + GRACE_SECONDS

    def limit(self, holder: str) -> anyio.CancelScope:
        """Return the scope for the next call; it is cancelled when time is up.

        Args:
            holder: what is called, for the warning that the run is held up.
        """
        self._holder = holder
        self._limit = anyio.CancelScope(deadline=self._deadline)
        return self._limit

    def start_watch(
        self, start: Callable[..., object], on_cancelled: Callable[[], None]
    ) -> None:
        """Start a task that watches the end of the run, unless one was started.

        Args:
            start: starts a task in reach of the owner's cancellation.
            on_cancelled: called when the owner is cancelled.
        """
        if self._watch_ended is None:
            ended = self._watch_ended = OneShotEvent()
            start(self._watch, on_cancelled, ended)

    async def _watch(
        self, on_cancelled: Callable[[], None], ended: OneShotEvent
    ) -> None:
        """Wait for a cancellation of the owner; log what outlives the grace period."""
        try:
            await self._wait_started(on_cancelled)
            with self._report_scope:  # ``end_watch`` cancels it
                while True:
                    await self._report_late()
        finally:
            ended.set()

    async def _wait_started(self, on_cancelled: Callable[[], None]) -> None:
        try:
            await self._started.wait()
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - handed on as a wish
            on_cancelled()

    async def _report_late(self) -> None:
        late = self._deadline + REPORT_INTERVAL
        await anyio.sleep(max(REPORT_INTERVAL, late - self.now()))
        if self.now() >= self._deadline + REPORT_INTERVAL:
            log_held_up(self.run_id, self._holder)

    async def end_watch(self) -> None:
        """Stop the watching task and wait until it has ended; the caller must shield.

        A task group that is left by a cancellation while it has tasks makes anyio count
        one of its own cancellations as the consumer's.
        """
        if self._watch_ended is not None:
            self._report_scope.cancel()
            self._started.set()
            await self._watch_ended.wait()
