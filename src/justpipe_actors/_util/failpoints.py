"""Failpoints: named places in the engine where a test can run code.

There is one wherever the engine waits or hands something over.  In production
``active`` is None, and reading it is all that a failpoint costs.  ``justpipe_actors.testing``
puts something there that lets other tasks go first, lets virtual time pass, or fails::

    if failpoints.active is not None:
        await failpoints.active.reach(Seam.TAKE, run_state.run_id, node.name)

It is one variable of the module and not one of the context, because reading a context
variable costs ten times as much; so one thread at a time may explore.

A run in which a failpoint raises must still end with one terminal status, no token
held and no task left.  ``tests/properties`` checks this for each failpoint.
"""

from __future__ import annotations

from enum import Enum


class Seam(Enum):
    """Places where a test can delay the engine or make it fail."""

    # ``reach``: the engine may wait here.
    WAKE = "wake"
    """A dispatcher task was woken and has not taken a message yet; of no run."""
    TAKE = "take"
    """An actor has taken a message and not begun with it."""
    CALL = "call"
    """A step's function is about to be called."""
    RESUME = "resume"
    """A step's wait has ended, and its code is about to go on."""
    EMIT = "emit"
    """A streaming step hands over an item."""
    HANDLE = "handle"
    """An error handler is about to be called."""
    SETTLE = "settle"
    """A step's result is known and not committed yet."""
    PULL = "pull"
    """A map is about to take its next item."""
    WINDOW = "window"
    """A map waits for one of its workers, or for all."""
    TIMER = "timer"
    """A barrier's timeout has passed and is not reported yet."""
    CHILD = "child"
    """A sub-pipeline is about to begin."""
    QUIET = "quiet"
    """A run has started its first steps and waits until no message is left."""
    HOOK = "hook"
    """A startup or shutdown hook is about to be called."""
    WIND_UP = "wind up"
    """A run's steps are done, and its end begins."""
    LISTEN = "listen"
    """An observer is about to be called."""
    READ = "read"
    """The consumer asks for the next event."""

    # ``reach_nowait``: the engine must not wait here.
    PUT = "put"
    """A message is about to be put into an inbox."""
    SPAWN = "spawn"
    """An actor system is about to start a task; of no run."""

    # ``reach_nowait``, for durable runs: a process may die here.
    COMMIT = "commit"
    """A journal's tables have all rows of a batch, uncommitted; of no run."""
    COMMITTED = "committed"
    """Batches are stored, and the event loop is not notified yet; of no run."""
    ACK = "ack"
    """What waited for stored batches is about to be delivered; of no run."""


JOURNAL_SEAMS = frozenset({Seam.COMMIT, Seam.COMMITTED, Seam.ACK})
"""The failpoints that only durable runs pass."""


class FailpointHandler:
    """Code that a test runs at the failpoints; by default it does nothing."""

    async def reach(self, seam: Seam, run_id: str, part: str) -> None:
        """Run the test's code at a failpoint where the engine may wait.

        By default this is the same code as where the engine must not wait.

        A handler that waits shields the wait: a failpoint must not be cancelled where
        production cannot be.

        Args:
            seam: the failpoint.
            run_id: the run it happens in; empty when it is no run's.
            part: the step, hook or observer.
        """
        self.reach_nowait(seam, run_id, part)

    def reach_nowait(self, seam: Seam, run_id: str, part: str) -> None:
        """Run the test's code at a failpoint where the engine must not wait."""


active: FailpointHandler | None = None
"""The handler in use; only ``justpipe_actors.testing`` sets it."""
