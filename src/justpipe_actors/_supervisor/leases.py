"""A supervisor as a worker of a journal: signs of life, runs to take up, and signals.

A thread waits for changes of the journal, at most ``TICK`` seconds, and has the writer's
thread take a *turn*: give a sign of life, declare silent workers dead, claim runs for
which there is a place, and read what the worker's own runs are told.  What the turn found
is handed over in the event loop.  The event loop has no timer for it: the turns go on
while it is busy, and a virtual clock does not hurry them.

A worker that cannot give a sign of life for a whole lease must assume that others have
taken its runs, and lets go of them by itself; the fence of the journal alone keeps what
it still writes out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import anyio
import attrs

from .._util.process_identity import this_process
from ..abc import Claim, Journal, Signal
from .journal_writer import JournalWriter


TICK = 1.0
"""Seconds between two turns when nothing changes."""

PAUSE = 0.05
"""Seconds between two turns, at least."""

SWEEP = 60.0
"""Seconds between two sweeps of runs that ended long ago."""

_logger = logging.getLogger("justpipe_actors.journal")


class WorkHandler(Protocol):
    """What a turn's findings are handed to, in the event loop."""

    def claimed(self, claims: Sequence[Claim]) -> None:
        """Take these runs up: their leases are this worker's."""

    def signalled(self, signals: Sequence[Signal]) -> None:
        """Pass signals to the runs of this worker; one may come twice, by its number."""

    def turned(self) -> None:
        """Hear that a turn is over: others may have written something."""

    def lost(self) -> None:
        """Let go of all runs: this worker counts as dead, and goes on as a new one."""


@attrs.define(eq=False, repr=False)
class LeaseKeeper:
    """Keeps a worker alive in its journal, and finds work for it."""

    journal: Journal
    """The journal."""
    writer: JournalWriter
    """Whose thread takes the turns."""
    handler: WorkHandler
    """Takes what they find."""
    pipes: Callable[[], Sequence[str]]
    """Returns the names of the pipes whose runs may be claimed; from any thread."""
    places: Callable[[], int | None]
    """Returns how many runs may be claimed now, None for any number; from any thread."""
    only: str | None = None
    """The one run that may be claimed, when it is not all."""
    worker: int = attrs.field(default=0, init=False)
    """The worker's number in the journal; a new one after it was declared dead."""
    _thread: threading.Thread | None = attrs.field(default=None, init=False)
    _is_closing: threading.Event = attrs.field(factory=threading.Event, init=False)
    _ended: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _turned: threading.Event = attrs.field(factory=threading.Event, init=False)
    _beaten_at: float = attrs.field(default=0.0, init=False)
    _swept_at: float = attrs.field(default=0.0, init=False)
    _last_signal: int = attrs.field(default=0, init=False)
    _problem: str | None = attrs.field(default=None, init=False)

    # -- in the event loop

    async def start(self) -> None:
        """Open the journal, become one of its workers, and begin to take turns.

        Raises:
            Exception: the journal cannot be opened.
        """
        await self.writer.call(self._join)
        self._thread = threading.Thread(
            target=self._watch, name="justpipe_actors leases", daemon=True
        )
        self._thread.start()

    def hurry(self) -> None:
        """Take a turn soon: there is a place, or this supervisor has written a signal."""
        self.journal.wake()

    async def aclose(self) -> None:
        """Take no more turns; what was claimed stays this worker's until ``leave``."""
        self._is_closing.set()
        self.journal.wake()
        if self._thread is not None:
            with anyio.CancelScope(shield=True):
                await self._ended.wait()

    async def leave(self) -> None:
        """Stop being a worker; runs that it still has are ready for others."""
        with anyio.move_on_after(self.journal.lease, shield=True):
            await self.writer.call(self._leave)

    # -- in the watching thread

    def _watch(self) -> None:
        try:
            while not self._is_closing.is_set():
                self._turned.clear()
                self.writer.post(self._turn)
                while not self._turned.wait(TICK) and not self._is_closing.is_set():
                    pass
                self._is_closing.wait(PAUSE)
                if not self._is_closing.is_set():
                    self.journal.wait_change(min(TICK, self.journal.lease / 3))
        finally:
            self.writer.call_soon(self._ended.set)

    # -- in the writer's thread

    def _join(self) -> None:
        self.journal.open()
        self.worker = self.journal.add_worker(this_process())
        self._beaten_at = time.monotonic()

    def _leave(self) -> None:
        try:
            self.journal.remove_worker(self.worker)
        except Exception as error:  # noqa: BLE001 - others find out by the lease
            _logger.warning("The journal still lists this worker: %s", error)

    def _turn(self) -> None:
        try:
            self._beat()
            self.journal.bury_workers()
            self._find_work()
            self._sweep()
            self.writer.call_soon(self.handler.turned)
            self._problem = None
        except Exception as error:  # noqa: BLE001 - whatever a journal raises
            self._failed(error)
        finally:
            self._turned.set()

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten_at < self.journal.lease / 3:
            return
        if not self.journal.beat(self.worker):
            self._replace()
        self._beaten_at = now

    def _replace(self) -> None:
        """Go on as a new worker: the old one was declared dead."""
        _logger.warning("This worker was declared dead, its runs go on elsewhere")
        self.worker = self.journal.add_worker(this_process())
        self.writer.call_soon(self.handler.lost)

    def _find_work(self) -> None:
        places = self.places()
        if (places is None or places > 0) and not self._is_closing.is_set():
            pipes = self.pipes()
            claims = (
                self.journal.claim(self.worker, pipes, places, run_id=self.only)
                if pipes
                else []
            )
            if claims:
                self.writer.call_soon(partial(self.handler.claimed, claims))
        signals = [
            one
            for one in self.journal.signals(self.worker)
            if one.id > self._last_signal
        ]
        if signals:
            self._last_signal = signals[-1].id
            self.writer.call_soon(partial(self.handler.signalled, signals))

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._swept_at >= SWEEP:
            self._swept_at = now
            self.journal.sweep()

    def _failed(self, error: Exception) -> None:
        problem = f"{type(error).__name__}: {error}"
        if problem != self._problem:
            _logger.warning("A worker's turn has failed, the next may not: %s", problem)
        self._problem = problem
        silent = time.monotonic() - self._beaten_at
        if silent >= self.journal.lease and self.worker:
            self._beaten_at = time.monotonic()
            self.writer.call_soon(self.handler.lost)
