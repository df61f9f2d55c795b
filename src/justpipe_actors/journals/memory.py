"""Durable runs in memory, for tests: they survive their supervisor, not the process.

The tables are those of the SQLite journal, in a database without a file, so both
behave the same.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta

import attrs

from .._util.lazy_classes import define
from .._util.sqlite_files import transaction
from ..abc import CommitMode
from .schema import prepare
from .sql_journal import Database, SQLJournal


class MemoryJournal(SQLJournal):
    """Keeps durable runs in memory; several supervisors of one process may share it.

    Args:
        mode: ``sync`` or ``group``, as for ``SQLiteJournal``.
        keep: how long runs that ended are kept.
        attempts: deaths in a row without a commit after which a run is ``stuck``.
        lease: seconds without a heartbeat after which a worker counts as dead.
        types: classes of values that may be stored where no annotation names them.
        verify: read every state that is stored, and fail the run when it does not equal
            what it was.
        clock: returns seconds since the epoch; a test may pass its own.

    Raises:
        ValueError: a setting makes no sense.
    """

    def __init__(
        self,
        mode: CommitMode = "sync",
        *,
        keep: timedelta = timedelta(days=7),
        attempts: int = 3,
        lease: float = 10.0,
        types: Iterable[type] = (),
        verify: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.verify = verify
        super().__init__(
            Memory(clock),
            mode,
            keep=keep,
            attempts=attempts,
            lease=lease,
            types=types,
        )


@define(eq=False, repr=False)
class Memory(Database):
    """A database without a file, used by one thread at a time."""

    clock: Callable[[], float]
    """Returns the time in seconds since the epoch."""
    _lock: threading.RLock = attrs.field(factory=threading.RLock, init=False)
    _connection: sqlite3.Connection | None = attrs.field(default=None, init=False)
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    _changes: int = attrs.field(default=0, init=False)
    _seen: int = attrs.field(default=0, init=False)
    _is_woken: bool = attrs.field(default=False, init=False)

    @property
    def location(self) -> str:
        """Text for display."""
        return ":memory:"

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return self.clock()

    def open(self) -> None:
        """Create the tables, unless they are there."""
        with self._lock:
            self._opened()

    def close(self) -> None:
        """Wake the thread that waits; the runs are kept for the next supervisor."""
        self.wake()

    @contextmanager
    def read(self) -> Generator[sqlite3.Connection]:
        """Use the connection exclusively."""
        with self._lock:
            yield self._opened()

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """Use the connection inside a transaction."""
        with self._lock, transaction(self._opened()) as connection:
            yield connection
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(
                ":memory:", isolation_level=None, check_same_thread=False
            )
            weakref.finalize(self, self._connection.close)
            prepare(self._connection, self.location)
            self._connection.execute("PRAGMA foreign_keys = ON")
        return self._connection

    def wait_change(self, seconds: float) -> bool:
        """Wait until something is written, for at most ``seconds``."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_woken or self._changes != self._seen, seconds
            )
            has_changed = self._changes != self._seen
            self._seen, self._is_woken = self._changes, False
            return has_changed

    def wake(self) -> None:
        """Let ``wait_change`` return now."""
        with self._changed:
            self._is_woken = True
            self._changed.notify_all()
