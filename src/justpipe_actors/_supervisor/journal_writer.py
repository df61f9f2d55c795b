"""The one thread of a supervisor that talks to its journal.

Batches that wait when a transaction begins are stored in it together, so the more runs
commit at once, the fewer transactions each costs.  When one is stored, the event loop is
told by one callback for all of its batches.

A write that fails (the disk is full, the file is locked or read-only, the server is away)
is tried again until it works.  Meanwhile runs in ``sync`` mode stand still, because
nothing they say is delivered before it is stored; ``problem`` says why, and the log once.
They never go on without being stored.

Everything else that a supervisor asks of its journal goes through the same thread, as
``call``.  An error of that is raised at the caller.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
import attrs

from .._engine.journal_port import BatchDraft
from ..abc import Batch, Journal, MapItems


FIRST_RETRY = 0.1
"""Seconds before a write that failed is tried again."""

LAST_RETRY = 5.0
"""Seconds between two tries, at most."""

_logger = logging.getLogger("justpipe_actors.journal")

T = TypeVar("T")

CallSoon = Callable[[Callable[[], None]], None]
"""Calls a function in the event loop, from any thread."""

OnStored = Callable[[bool], None]
"""Told in the event loop: True when a batch is stored, False when its lease was lost."""


@attrs.define(eq=False, repr=False)
class JournalWriter:
    """Stores batches, and asks the journal questions, in a thread of its own."""

    journal: Journal
    """Where they are stored."""
    call_soon: CallSoon
    """Calls a function in the event loop."""
    problem: str | None = attrs.field(default=None, init=False)
    """Why nothing can be stored right now; None when it can."""
    failing_since: float | None = attrs.field(default=None, init=False)
    """When the first try of what cannot be stored was, on the monotonic clock."""
    _drafts: deque[tuple[BatchDraft, OnStored]] = attrs.field(factory=deque, init=False)
    _jobs: deque[Callable[[], None]] = attrs.field(factory=deque, init=False)
    _wakeup: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _thread: threading.Thread | None = attrs.field(default=None, init=False)
    _ended: anyio.Event | None = attrs.field(default=None, init=False)
    _retry_at: float = attrs.field(default=0.0, init=False)
    _delay: float = attrs.field(default=FIRST_RETRY, init=False)

    # -- in the event loop

    def start(self) -> None:
        """Start the thread."""
        self._ended = anyio.Event()
        # A daemon: a disk that never answers must not keep the program from ending.
        self._thread = threading.Thread(
            target=self._work, name="justpipe_actors journal", daemon=True
        )
        self._thread.start()

    def put(self, draft: BatchDraft, on_stored: OnStored) -> None:
        """Store a batch soon; never blocks.

        A run has at most one batch on its way.

        Args:
            draft: what to store.
            on_stored: called in the event loop when it is stored (True), or when the
                lease of its run was lost and nothing of it was stored (False). Not
                called while storing fails.
        """
        with self._wakeup:
            self._drafts.append((draft, on_stored))
            self._wakeup.notify()

    async def call(self, func: Callable[..., T], *args: Any) -> T:
        """Call a method of the journal in the thread and return what it returns.

        Raises:
            Exception: what the method raises.
        """
        done = anyio.Event()
        outcome: list[Callable[[], T]] = []

        def job() -> None:
            outcome.append(_result_of(func, args))
            self.call_soon(done.set)

        self.post(job)
        await done.wait()
        return outcome[0]()

    async def aclose(self, patience: float) -> bool:
        """Store what waits, for at most so many seconds, and end the thread.

        Returns:
            False when something could not be stored in time.
        """
        ended = self._ended
        if ended is None:
            return True
        with self._wakeup:
            self._thread = None
            self._wakeup.notify()
        with anyio.move_on_after(patience, shield=True):
            await ended.wait()
            return not self._drafts
        with self._wakeup:
            self._drafts.clear()
            self._wakeup.notify()
        return False

    def statistics(self) -> int:
        """Return how many batches wait."""
        return len(self._drafts)

    # -- from any thread

    def post(self, job: Callable[[], None]) -> None:
        """Call a function in the thread; it must not raise."""
        with self._wakeup:
            self._jobs.append(job)
            self._wakeup.notify()

    # -- in the thread

    def _work(self) -> None:
        try:
            while self._wait():
                while self._jobs:
                    self._jobs.popleft()()
                if self._drafts and time.monotonic() >= self._retry_at:
                    self._store()
        finally:
            ended = self._ended
            assert ended is not None
            self.call_soon(ended.set)

    def _wait(self) -> bool:
        """Sleep until there is something to do; False when there is not and will not be."""
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
        """Store all that waits in one transaction, one batch of each run at most."""
        taken = self._take()
        batches: list[Batch] = []
        told: list[tuple[int, OnStored]] = []
        for draft, on_stored in taken:
            try:
                batches.append(encode_draft(draft))
            except Exception:
                _logger.exception("Row %s of run %s is no JSON", draft.n, draft.run)
                self.call_soon(partial(on_stored, False))  # noqa: FBT003 - a callback's
                continue
            told.append((draft.run, on_stored))
        try:
            lost = self.journal.append(batches)
        except Exception as error:  # noqa: BLE001 - whatever a journal raises
            with self._wakeup:
                self._drafts.extendleft(reversed(taken))
            self._failed(error)
            return
        self._succeeded()
        self.call_soon(
            partial(_tell, [(on_stored, run not in lost) for run, on_stored in told])
        )

    def _take(self) -> list[tuple[BatchDraft, OnStored]]:
        with self._wakeup:
            taken = {draft.run: (draft, told) for draft, told in reversed(self._drafts)}
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


def _tell(stored: list[tuple[OnStored, bool]]) -> None:
    for on_stored, is_stored in stored:
        on_stored(is_stored)


def _result_of(func: Callable[..., T], args: tuple[Any, ...]) -> Callable[[], T]:
    """Call a function; return what returns its result, or raises its error."""
    try:
        result = func(*args)
    except BaseException as caught:  # noqa: BLE001 - raised again where it was asked for
        error = caught

        def fail() -> T:
            raise error  # noqa: ASYNC104 - in the place of the result

        return fail
    return lambda: result


def encode_draft(draft: BatchDraft) -> Batch:
    """Return a batch as text; None in its place where there is nothing.

    Raises:
        TypeError: it has values that are no JSON.
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
        asks=draft.asks,
        asks_gone=draft.asks_gone,
        consumed=draft.consumed,
        status=draft.status,
        wake_at=draft.wake_at,
        outcome=None if draft.outcome is None else _text(draft.outcome),
        problem=draft.problem,
    )


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
