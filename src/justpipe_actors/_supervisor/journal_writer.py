"""The only thread of a supervisor that calls its journal.

One transaction stores all batches that wait when it begins, so the more runs commit at
the same time, the fewer transactions each of them costs.  One callback in the event loop
reports all batches of a transaction.

A failed write (full disk, locked or read-only file, unreachable server) is retried until
it succeeds.  Meanwhile runs in ``sync`` mode do not advance, because their events and
messages are delivered only after they are stored.  ``problem`` has the reason, and one
log record reports it.  A run never continues without being stored.  A supervisor that
closes gives up at the end of its grace: the journal keeps such runs at their last commit.

All other calls to the journal run in the same thread through ``call``, which raises their
errors at the caller, except that it waits while another process holds the journal.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
import attrs

from .._engine.journal_port import BatchDraft, BatchEnd, OnBatchEnd
from .._util import failpoints
from .._util.failpoints import Seam
from .._util.lazy_classes import define
from ..abc import Batch, Journal, MapItems, NewAsk
from ..errors import JournalUnusableError
from ..journals.sqlite import is_busy


FIRST_RETRY = 0.1
"""Seconds before the first retry of a failed write."""

LAST_RETRY = 5.0
"""Maximum seconds between two attempts of a write."""

_logger = logging.getLogger("justpipe_actors.journal")

T = TypeVar("T")

CallSoon = Callable[[Callable[[], None]], None]
"""Schedules a function in the event loop; may be called from any thread."""


@define(eq=False, repr=False)
class JournalWriter:
    """Stores batches and calls the journal in its own thread."""

    journal: Journal
    call_soon: CallSoon
    """Schedules a function in the event loop."""
    problem: str | None = attrs.field(default=None, init=False)
    """Why writes fail at present; None if they succeed."""
    failing_since: float | None = attrs.field(default=None, init=False)
    """Monotonic time of the first failed write in a row; None if writes succeed."""
    _drafts: deque[tuple[BatchDraft, OnBatchEnd]] = attrs.field(
        factory=deque, init=False
    )
    _jobs: deque[Callable[[], None]] = attrs.field(factory=deque, init=False)
    _wakeup: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)
    _ended: anyio.Event | None = attrs.field(default=None, init=False)
    _has_given_up: bool = attrs.field(default=False, init=False)
    _is_writing: bool = attrs.field(default=False, init=False)
    _retry_at: float = attrs.field(default=0.0, init=False)
    _delay: float = attrs.field(default=FIRST_RETRY, init=False)

    # -- in the event loop

    def start(self) -> None:
        """Start the thread."""
        self._ended = anyio.Event()
        # A daemon thread, so that the program can exit while the disk does not respond.
        self._thread = threading.Thread(
            target=self._work, name="justpipe_actors journal", daemon=True
        )
        self._thread.start()

    def put(self, draft: BatchDraft, on_end: OnBatchEnd) -> None:
        """Queue a batch for storing; never block.

        A run has at most one batch in the queue.

        Args:
            draft: the batch.
            on_end: called in the event loop when it is stored or refused; not called
                while storing fails.
        """
        with self._wakeup:
            self._drafts.append((draft, on_end))
            self._wakeup.notify()

    @property
    def is_open(self) -> bool:
        """Whether the thread takes calls."""
        return self._thread is not None

    async def call(self, func: Callable[..., T], *args: Any) -> T:
        """Call a method of the journal in the thread and return its result.

        While another process holds the journal, it is tried again.

        Raises:
            JournalUnusableError: the journal's file or disk has a fault.
            Exception: any other exception that the method raises.
        """
        done = anyio.Event()
        outcome: list[Callable[[], T]] = []

        def job() -> None:
            outcome.append(_result_of(self.when_free, (func, *args)))
            self.call_soon(done.set)

        self.post(job)
        await done.wait()
        try:
            return outcome[0]()
        except (sqlite3.Error, OSError) as error:
            raise JournalUnusableError(self.journal.location, str(error)) from error

    async def aclose(self, seconds: float) -> bool:
        """Store the queued batches within ``seconds`` seconds, and end the thread.

        Returns:
            False if a batch was not stored in time.
        """
        ended = self._ended
        if ended is None:
            return True
        with self._wakeup:
            self._thread = None
            self._wakeup.notify()
        with anyio.move_on_after(seconds, shield=True):
            await ended.wait()
            return not self._drafts
        with self._wakeup:
            self._drafts.clear()
            self._wakeup.notify()
        return False

    def give_up(self) -> bool:
        """Try each write only once from now on, and refuse the batches of a failed one.

        Returns:
            Whether a batch waits for a write.
        """
        with self._wakeup:
            self._has_given_up = True
            self._retry_at = 0.0
            self._wakeup.notify()
            return self._is_writing or bool(self._drafts)

    def statistics(self) -> int:
        """Return the number of queued batches."""
        return len(self._drafts)

    # -- from any thread

    def post(self, job: Callable[[], None]) -> None:
        """Call a function in the thread; it must not raise."""
        with self._wakeup:
            self._jobs.append(job)
            self._wakeup.notify()

    # -- in the writer's thread

    def when_free(self, func: Callable[..., T], *args: Any) -> T:
        """Call a method of the journal; try again while another process holds it.

        Nothing else can be stored meanwhile, so the thread may wait.
        """
        try:
            return func(*args)
        except Exception as error:
            if not self._shall_wait(error):
                raise
        while True:
            with self._wakeup:
                self._wakeup.wait(FIRST_RETRY)
            try:
                result = func(*args)
            except Exception as error:
                if not self._shall_wait(error):
                    raise
            else:
                self._succeeded()
                return result

    def _shall_wait(self, error: Exception) -> bool:
        if not is_busy(error) or self._thread is None or self._has_given_up:
            return False
        self._failed(error)
        return True

    def _work(self) -> None:
        try:
            while self._wait():
                while self._jobs:
                    self._jobs.popleft()()
                if self._drafts and time.monotonic() >= self._retry_at:
                    self._is_writing = True
                    self._store()
                    self._is_writing = False
        finally:
            self._close()
            ended = self._ended
            assert ended is not None
            self.call_soon(ended.set)

    def _close(self) -> None:
        """Close the journal; whatever uses it later opens it again."""
        try:
            self.journal.close()
        except Exception as error:  # noqa: BLE001 - all that it has to store is stored
            _logger.warning(
                "The journal %s was not closed: %s", self.journal.location, error
            )

    def _wait(self) -> bool:
        """Sleep until there is work; False if the writer is closed and has none left."""
        with self._wakeup:
            while not self._jobs:
                if self._drafts:
                    left = self._retry_at - time.monotonic()
                    if left <= 0:
                        return True
                    self._wakeup.wait(left)
                elif self._thread is None:
                    return False
                else:
                    self._wakeup.wait()
            return True

    def _store(self) -> None:
        """Store the queued batches in one transaction, at most one for each run."""
        taken = self._take()
        batches: list[Batch] = []
        callbacks: list[tuple[int, OnBatchEnd]] = []
        for draft, on_end in taken:
            try:
                batches.append(encode_draft(draft))
            except Exception:
                _logger.exception("Row %s of run %s is no JSON", draft.n, draft.run)
                self.call_soon(partial(on_end, BatchEnd.REFUSED))
                continue
            callbacks.append((draft.run, on_end))
        try:
            lost = self.journal.append(batches)
            if failpoints.active is not None:
                failpoints.active.reach_nowait(Seam.COMMITTED, "", "journal")
        except Exception as error:  # noqa: BLE001 - whatever a journal raises
            self._failed(error)
            self._keep(taken)
            return
        self._succeeded()
        self.call_soon(
            partial(
                _call_all,
                [
                    (on_end, BatchEnd.REFUSED if run in lost else BatchEnd.STORED)
                    for run, on_end in callbacks
                ],
            )
        )

    def _keep(self, taken: list[tuple[BatchDraft, OnBatchEnd]]) -> None:
        """Queue batches again that could not be stored, unless the writer has given up."""
        with self._wakeup:
            if not self._has_given_up:
                self._drafts.extendleft(reversed(taken))
                return
            self._retry_at = 0.0
        _logger.error(
            "The journal %s could not be written until the supervisor closed; it has the "
            "last commits of its runs, and the next process goes on from there: %s",
            self.journal.location,
            self.problem,
        )
        refused = [(on_end, BatchEnd.REFUSED) for _draft, on_end in taken]
        self.call_soon(partial(_call_all, refused))

    def _take(self) -> list[tuple[BatchDraft, OnBatchEnd]]:
        with self._wakeup:
            if len(self._drafts) == 1:
                return [self._drafts.popleft()]
            taken = {
                draft.run: (draft, on_end) for draft, on_end in reversed(self._drafts)
            }
            rest = [one for one in self._drafts if taken[one[0].run][0] is not one[0]]
            self._drafts.clear()
            self._drafts.extend(rest)
        return list(reversed(taken.values()))

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        self._retry_at = now + self._delay
        self._delay = min(self._delay * 2, LAST_RETRY)
        problem = f"{type(error).__name__}: {error}"
        if self.problem is None:
            self.failing_since = now
        if problem != self.problem:
            _logger.warning(
                "The journal %s cannot be written, its runs stand still: %s",
                self.journal.location,
                problem,
            )
        self.problem = problem

    def _succeeded(self) -> None:
        if self.problem is not None:
            _logger.warning("The journal %s is written again", self.journal.location)
        self.problem = self.failing_since = None
        self._delay = FIRST_RETRY


def _call_all(ended: list[tuple[OnBatchEnd, BatchEnd]]) -> None:
    if failpoints.active is not None:
        failpoints.active.reach_nowait(Seam.ACK, "", "journal")
    for on_end, end in ended:
        on_end(end)


def _result_of(func: Callable[..., T], args: tuple[Any, ...]) -> Callable[[], T]:
    """Call a function; return a function that returns its result or raises its error."""
    try:
        result = func(*args)
    except BaseException as caught:  # noqa: BLE001 - raised again where it was asked for
        error = caught

        def fail() -> T:
            raise error  # noqa: ASYNC104 - in the place of the result

        return fail
    return lambda: result


def encode_draft(draft: BatchDraft) -> Batch:
    """Return a batch as JSON text; absent parts are None.

    Raises:
        TypeError: the batch has values that are not JSON values.
    """
    return Batch(
        run=draft.run,
        n=draft.n,
        kind=draft.kind,
        delta=_text(draft.delta),
        state=None if draft.state is None else draft.state.text(),
        items=tuple(
            MapItems(m, chunk, _text(values)) for m, chunk, values in draft.items
        ),
        maps_gone=draft.maps_gone,
        asks=tuple(map(_encodable_ask, draft.asks)),
        asks_gone=tuple(map(_encodable, draft.asks_gone)),
        consumed=draft.consumed,
        status=draft.status,
        wake_at=draft.wake_at,
        outcome=None if draft.outcome is None else draft.outcome(),
        problem=None if draft.problem is None else _encodable(draft.problem),
    )


def _encodable_ask(ask: NewAsk) -> NewAsk:
    return attrs.evolve(
        ask,
        id=_encodable(ask.id),
        note=_encodable(ask.note),
        problem=None if ask.problem is None else _encodable(ask.problem),
    )


def _encodable(text: str) -> str:
    """Return a text in which lone surrogates, which no database takes, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


_text = json.JSONEncoder(separators=(",", ":")).encode
"""Returns JSON text; perf: ``json.dumps`` makes an encoder for each call."""
