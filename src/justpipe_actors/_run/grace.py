"""How long the end of a run may take: as long as it likes, until somebody wants it over.

Hooks and observers get all the time they need while nobody asks.  From the moment the
run is cancelled or closed, or its owner is cancelled, ``GRACE`` seconds are left; then
whoever is at work is cancelled too.  Whoever ignores even that is named again and again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf

import anyio
import attrs

from .._actors.bell import Latch
from ..outcomes import PipelineTerminalStatus


GRACE = 30.0
"""Seconds that hooks and observers get once somebody wants the run over."""

PATIENCE = 10.0
"""Seconds between two reports of who holds up a run that was told to end."""

WANTED_OVER = (
    PipelineTerminalStatus.CLIENT_CLOSED,
    PipelineTerminalStatus.CANCELLED,
)
"""Endings that somebody asked for: from then on there is a limit to cleaning up."""

_logger = logging.getLogger("justpipe_actors")


@attrs.define(eq=False, repr=False)
class Grace:
    """The time that is left to whoever is at work at the end of a run."""

    run_id: str
    """The run."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    _asked: Latch = attrs.field(factory=Latch, init=False)
    _deadline: float = attrs.field(default=inf, init=False)
    _limit: anyio.CancelScope | None = attrs.field(default=None, init=False)
    _who: str = attrs.field(default="", init=False)
    _watching: Latch | None = attrs.field(default=None, init=False)
    _reports: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True), init=False
    )

    def ask(self) -> None:
        """Hear that the run is to be over: the grace begins, unless it has."""
        if self._deadline == inf:
            self._asked.set()
            self._deadline = self.now() + GRACE
            if self._limit is not None:
                self._limit.deadline = self._deadline

    def renew(self) -> None:
        """Give those who come next the whole grace, if there is a limit at all."""
        if self._deadline < inf:
            self._deadline = self.now() + GRACE

    def limit(self, who: str) -> anyio.CancelScope:
        """Return the scope for who is at work next: it is cancelled when time is up."""
        self._who = who
        self._limit = anyio.CancelScope(deadline=self._deadline)
        return self._limit

    def start_watch(
        self, start: Callable[..., object], on_cancelled: Callable[[], None]
    ) -> None:
        """Begin to watch, in a task of its own, unless somebody does.

        Args:
            start: starts a task in reach of the owner's cancellation.
            on_cancelled: told when the owner is cancelled; it asks.
        """
        if self._watching is None:
            over = self._watching = Latch()
            start(self._watch, on_cancelled, over)

    async def _watch(self, on_cancelled: Callable[[], None], over: Latch) -> None:
        """Stay in reach of the owner's cancellation, and name who outlives the grace."""
        try:
            await self._wait_asked(on_cancelled)
            with self._reports:  # noqa: ASYNC912 - it waits for time
                while True:
                    await self._report_late()
        finally:
            over.set()

    async def _wait_asked(self, on_cancelled: Callable[[], None]) -> None:
        try:
            await self._asked.wait()
        except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - handed on as a wish
            on_cancelled()

    async def _report_late(self) -> None:
        late = self._deadline + PATIENCE
        await anyio.sleep(max(PATIENCE, late - self.now()))
        if self.now() >= self._deadline + PATIENCE:
            _logger.warning(
                "Run %s was told to end but is held up by: %s",
                self.run_id,
                self._who,
                extra={"run": self.run_id},
            )

    async def end_watch(self) -> None:
        """Hear that all are done, and wait until the watch is gone; the caller shields it.

        A task group that is left by a cancellation while it has tasks makes anyio count
        one of its own cancellations as the consumer's.
        """
        if self._watching is not None:
            self._reports.cancel()
            self._asked.set()
            await self._watching.wait()
