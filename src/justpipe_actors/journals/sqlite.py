"""Durable runs in one SQLite file, for the processes of one host.

One connection, used by one thread at a time, in WAL mode: a commit is one append to the
log, and readers (the command line, other supervisors) do not hold it up.  Network file
systems do not keep SQLite's locks; the file must be on a disk of this host.

SQLite has no notification of writes by other processes, so ``wait_change`` polls
``PRAGMA data_version`` five times a second on a connection of its own.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import attrs

from .._util.environment import expand_home
from .._util.lazy_classes import define
from .._util.sqlite_files import make_private_file, make_private_folder, transaction
from ..abc import CommitMode, Journal
from ..errors import JournalUnusableError
from .schema import prepare
from .settings import check_flag
from .sql_journal import Database, SQLJournal


BUSY = 1.0
"""Seconds to wait inside SQLite for another process that writes."""

LOOK = 0.2
"""Seconds between two polls for writes of other processes."""


class SQLiteJournal(SQLJournal):
    """Keeps durable runs in one SQLite file.

    Args:
        path: the file; created when it is missing, for this user alone.
        mode: ``sync``: a step's successors begin when its commit is stored; ``group``: at
            once, and commits follow within 10 ms.
        fsync: whether a commit survives a power cut; without, it survives the death of
            the process only.
        keep: how long ended runs are kept.
        attempts: deaths in a row without a commit after which a run is ``stuck``.
        lease: seconds without a heartbeat after which a worker counts as dead.
        types: classes of values that may be stored where no annotation names them.

    Raises:
        TypeError: a setting is of another type.
        ValueError: a setting makes no sense.
    """

    def __init__(
        self,
        path: str | Path,
        mode: CommitMode = "sync",
        *,
        fsync: bool = True,
        keep: timedelta = timedelta(days=7),
        attempts: int = 3,
        lease: float = 10.0,
        types: Iterable[type] = (),
    ) -> None:
        check_flag("fsync", fsync)
        self.path: Path = expand_home(path)
        self.fsync = fsync
        super().__init__(
            File(self.path, fsync=fsync),
            mode,
            keep=keep,
            attempts=attempts,
            lease=lease,
            types=types,
        )


def is_busy(error: Exception) -> bool:
    """Return whether another process held the file, so that a later try may work."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return "locked" in str(error) or "busy" in str(error)


@define(eq=False, repr=False)
class File(Database):
    """A SQLite file, used by one thread at a time."""

    path: Path
    """Path of the database file."""
    fsync: bool
    """Whether each commit waits for the disk."""
    _lock: threading.RLock = attrs.field(factory=threading.RLock, init=False)
    _connection: sqlite3.Connection | None = attrs.field(default=None, init=False)
    _identity: tuple[int, int] | None = attrs.field(default=None, init=False)
    _process: int = attrs.field(factory=os.getpid, init=False)
    _woken: threading.Event = attrs.field(factory=threading.Event, init=False)
    _watching: sqlite3.Connection | None = attrs.field(default=None, init=False)
    _seen_version: int | None = attrs.field(default=None, init=False)

    @property
    def location(self) -> str:
        """The absolute path."""
        return str(self.path.absolute())

    def now(self) -> float:
        """Return the host's wall clock."""
        return time.time()

    def open(self) -> None:
        """Open the file, and create it when it is missing."""
        with self._lock:
            self._opened()

    def close(self) -> None:
        """Close the connections."""
        self.wake()
        with self._lock:
            connection, self._connection = self._connection, None
            watching, self._watching = self._watching, None
            for one in (connection, watching):
                if one is not None and self._process == os.getpid():
                    one.close()

    @contextmanager
    def read(self) -> Generator[sqlite3.Connection]:
        """Use the connection exclusively."""
        with self._lock:
            yield self._opened()

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """Use the connection inside a transaction."""
        with self._lock:
            opened = self._opened()
            if _identity(self.path) != self._identity:
                msg = (
                    f"{self.path} was removed or replaced while it was open. Put the same "
                    "file back, or restart the program to use the file that is there then."
                )
                raise OSError(msg)
            with transaction(opened) as connection:
                yield connection

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None or self._process != os.getpid():
            # A connection of before a fork is left alone: closing it drops the parent's locks.
            self._connection = self._connect()
            self._identity = _identity(self.path)
            self._watching = None
            self._process = os.getpid()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        make_private_folder(self.path.parent)
        make_private_file(self.path)
        try:
            connection = self._bare_connection()
        except sqlite3.Error as error:
            raise JournalUnusableError(self.location, str(error)) from error
        try:
            prepare(connection, self.location)
            connection.execute("PRAGMA foreign_keys = ON")
            level = "FULL" if self.fsync else "NORMAL"
            connection.execute(f"PRAGMA synchronous = {level}")
        except sqlite3.Error as error:
            connection.close()
            if is_busy(error):
                raise
            raise JournalUnusableError(self.location, str(error)) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _bare_connection(self) -> sqlite3.Connection:
        # SQLite would make an empty file in place of one that was moved away.
        return sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY,
            isolation_level=None,
            check_same_thread=False,
        )

    # -- changes by others

    def wait_change(self, seconds: float) -> bool:
        """Poll for writes of other connections, for at most ``seconds``."""
        ends_at = time.monotonic() + seconds
        while not self._has_changed():
            left = ends_at - time.monotonic()
            if left <= 0 or self._woken.wait(min(left, LOOK)):
                self._woken.clear()
                return False
        return True

    def wake(self) -> None:
        """Let ``wait_change`` return now."""
        self._woken.set()

    def _has_changed(self) -> bool:
        try:
            with self._lock:
                self._opened()
                self._watching = self._watching or self._bare_connection()
                row = self._watching.execute("PRAGMA data_version").fetchone()
        except (sqlite3.Error, OSError):
            return False  # the next write reports what is wrong with the file
        before, self._seen_version = self._seen_version, row[0]
        return before is not None and before != row[0]


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of the file at this path; None if there is none.

    SQLite goes on writing into a file that was removed, and nothing would be kept.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def open_journal(where: str | Path | Journal | object) -> Journal:
    """Return the journal that ``Supervisor(journal=...)`` was given.

    A path, with ``~`` for the home directory, means a ``SQLiteJournal``.

    Args:
        where: a path, or a journal.

    Raises:
        ValueError: it is an address of a kind that no journal of this version takes.
        TypeError: it is neither a path nor a journal.

    Examples:
        >>> from justpipe_actors.journals import MemoryJournal, open_journal
        >>> journal = MemoryJournal()
        >>> open_journal(journal) is journal
        True
    """
    if isinstance(where, str | Path):
        scheme, separator, _rest = str(where).partition("://")
        if separator:
            msg = f"No journal takes addresses of the kind {scheme}://; give a path."
            raise ValueError(msg)
        return SQLiteJournal(where)
    if not isinstance(where, Journal):
        msg = f"journal= takes a path or a Journal, not {type(where).__name__}."
        raise TypeError(msg)
    return where
