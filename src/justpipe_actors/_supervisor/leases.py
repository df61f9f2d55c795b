"""A supervisor as a worker of a journal: heartbeats, claims and signals.

A thread waits for changes of the journal, at most ``TICK`` seconds, and makes the
writer's thread take a *turn*: send a heartbeat, declare silent workers dead, claim runs
for the free places, and read the signals for the worker's own runs.  What a turn has found
is handled in the event loop.  The thread replaces a timer of the event loop, so the
turns continue while the loop is blocked, and a virtual clock does not accelerate them.

A worker that sends no heartbeat for a whole lease must assume that other workers have
claimed its runs, and releases them.  The fence of the journal rejects its late writes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import anyio
import attrs

from .._util.lazy_classes import define
from .._util.process_identity import this_process
from ..abc import Claim, Journal, Signal
from .journal_writer import JournalWriter


TICK = 1.0
"""Maximum seconds between two turns."""

PAUSE = 0.05
"""Minimum seconds between two turns."""

JUMP = 1.0
"""Seconds by which the wall clock and the monotonic clock differ after a jump."""

SWEEP = 60.0
"""Seconds between two sweeps of runs that ended long ago."""

_logger = logging.getLogger("justpipe_actors.journal")


@define(eq=False)
class Turn:
    """The result of one turn, in the order in which it must be handled."""

    has_clock_jumped: bool = False
    """Whether all waits must be computed anew from their due times."""
    is_lost: bool = False
    """Whether this worker was declared dead, and continues as a new one without runs."""
    claims: Sequence[Claim] = ()
    """Runs that this worker has leased, to be taken up."""
    signals: Sequence[Signal] = ()
    """Signals to this worker's runs; a signal may be repeated, with its number."""
    is_complete: bool = False
    """Whether nothing has failed: other workers may have written to the journal."""


@define(eq=False, repr=False)
class LeaseKeeper:
    """Sends heartbeats for a worker, and claims runs for it."""

    journal: Journal
    writer: JournalWriter
    """Takes the turns in its thread."""
    handle: Callable[[Turn], None]
    """Handles a turn, in the event loop."""
    pipes: Callable[[], Sequence[str]]
    """Returns the names of the pipes with claimable runs; thread-safe."""
    places: Callable[[], int | None]
    """Returns the number of runs to claim now, None for no limit; thread-safe."""
    only: str | None = None
    """Id of the only run that may be claimed; None allows all."""
    worker: int = attrs.field(default=0, init=False)
    """The worker's number in the journal; changes after it was declared dead."""
    _thread: threading.Thread | None = attrs.field(default=None, init=False)
    _is_closing: threading.Event = attrs.field(factory=threading.Event, init=False)
    _ended: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _turned: threading.Event = attrs.field(factory=threading.Event, init=False)
    _heartbeat_at: float = attrs.field(default=0.0, init=False)
    _offset: float | None = attrs.field(default=None, init=False)
    _bury_from: float = attrs.field(default=0.0, init=False)
    _swept_at: float = attrs.field(default=0.0, init=False)
    _last_signal: int = attrs.field(default=0, init=False)
    _problem: str | None = attrs.field(default=None, init=False)

    # -- in the event loop

    async def start(self) -> None:
        """Open the journal, register as a worker, and start taking turns.

        Raises:
            Exception: the journal cannot be opened.
        """
        await self.writer.call(self._join)
        self._thread = threading.Thread(
            target=self._watch, name="justpipe_actors leases", daemon=True
        )
        self._thread.start()

    def hurry(self) -> None:
        """Take a turn soon, after a place became free or a signal was written here."""
        self.journal.wake()

    async def aclose(self) -> None:
        """Stop taking turns; this worker keeps its leases until ``leave``."""
        self._is_closing.set()
        self.journal.wake()
        if self._thread is not None:
            with anyio.CancelScope(shield=True):
                await self._ended.wait()

    async def leave(self) -> None:
        """Unregister the worker; other workers may claim its remaining runs."""
        if not self.worker:
            return  # the journal was not opened
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
        self._heartbeat_at = time.monotonic()

    def _leave(self) -> None:
        try:
            self.journal.remove_worker(self.worker)
        except Exception as error:  # noqa: BLE001 - the lease expires anyway
            _logger.warning(
                "This worker is still listed in the journal, until its lease expires: %s",
                error,
            )

    def _turn(self) -> None:
        turn = Turn()
        try:
            self._watch_clock(turn)
            self._beat(turn)
            if time.monotonic() >= self._bury_from:
                self.journal.bury_workers()
            self._find_work(turn)
            self._sweep()
            turn.is_complete = True
            self._problem = None
        except Exception as error:  # noqa: BLE001 - whatever a journal raises
            self._failed(error, turn)
        finally:
            self.writer.call_soon(partial(self.handle, turn))
            self._turned.set()

    def _watch_clock(self, turn: Turn) -> None:
        """Detect a jump of the journal's clock, for which no worker may count as dead.

        The host may have slept, or its clock was set.  Each worker sends a heartbeat in
        its next turn, and none is declared dead before they had time to.
        """
        now = time.monotonic()
        offset = self.journal.now() - now
        jump = 0.0 if self._offset is None else offset - self._offset
        self._offset = offset
        if abs(jump) >= JUMP:
            _logger.warning("The clock has jumped by %+.1f seconds", jump)
            self._heartbeat_at = -self.journal.lease
            self._bury_from = now + self.journal.lease
            turn.has_clock_jumped = True

    def _beat(self, turn: Turn) -> None:
        now = time.monotonic()
        if now - self._heartbeat_at < self.journal.lease / 3:
            return
        if not self.journal.beat(self.worker):
            self._replace(turn)
        self._heartbeat_at = now

    def _replace(self, turn: Turn) -> None:
        """Register as a new worker after the old one was declared dead."""
        _logger.warning("This worker was declared dead, its runs go on elsewhere")
        self.worker = self.journal.add_worker(this_process())
        turn.is_lost = True

    def _find_work(self, turn: Turn) -> None:
        places = self.places()
        if (places is None or places > 0) and not self._is_closing.is_set():
            pipes = self.pipes()
            if pipes:
                turn.claims = self.journal.claim(
                    self.worker, pipes, places, run_id=self.only
                )
        turn.signals = [
            one
            for one in self.journal.signals(self.worker)
            if one.id > self._last_signal
        ]
        if turn.signals:
            self._last_signal = turn.signals[-1].id

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._swept_at >= SWEEP:
            self._swept_at = now
            self.journal.sweep()

    def _failed(self, error: Exception, turn: Turn) -> None:
        problem = f"{type(error).__name__}: {error}"
        if problem != self._problem:
            _logger.warning("A worker's turn has failed, the next may not: %s", problem)
        self._problem = problem
        silent = time.monotonic() - self._heartbeat_at
        if silent >= self.journal.lease and self.worker:
            self._heartbeat_at = time.monotonic()
            turn.is_lost = True
