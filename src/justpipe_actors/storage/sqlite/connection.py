"""One SQLite file: who may open it, how long, and what a reader leaves behind: nothing.

A writer keeps its connection, because closing the last one of a file costs twenty times
what a transaction does.  It is used by one thread at a time, closed with the store or at
the interpreter's end, and not used any more in a forked child.

A reader opens the file for one question only.  Opening a WAL database, even read only,
leaves two files beside it if nobody has it open; so a file without them is read as
immutable, and read again when it turns out that it was not.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import attrs

from ..paths import make_private_file, make_private_folder
from ..queries import is_gone
from .schema import make_readable, prepare


T = TypeVar("T")

PATIENCE = 5.0
"""Seconds to wait for others who have the file locked."""

ATTEMPTS = 5
"""How often a reader looks again at a file that changes under its eyes."""


@attrs.define(eq=False)
class Writing:
    """The connection of a writer."""

    connection: sqlite3.Connection
    """Open, in autocommit mode."""
    process: int = attrs.field(factory=os.getpid)
    """Who opened it; no other may use it."""
    is_closed: bool = False
    """Whether it was closed, as the interpreter's end does with all."""

    @property
    def is_usable(self) -> bool:
        """Whether this process can go on with it."""
        return not self.is_closed and self.process == os.getpid()


class Database:
    """A file with runs.

    Args:
        path: the file.
        read_only: create and change nothing, not even the schema.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._lock = threading.RLock()
        self._writing: Writing | None = None
        if not read_only:
            with self._lock:
                self._writer()

    def read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Answer a question about the file; a missing one is empty.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        if not self.read_only:
            with self._lock:
                return question(self._writer())
        for _ in range(ATTEMPTS - 1):
            before = self._look()
            is_quiet = before is not None and not self._beside().exists()
            try:
                answer = self._ask(question, quiet=is_quiet)
            except sqlite3.DatabaseError:
                if self._look() == before:
                    raise
                continue
            if not is_quiet or (self._look() == before and not self._beside().exists()):
                return answer
        return self._ask(question, quiet=False)

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """Write inside a transaction; within another one it is part of that.

        Raises:
            sqlite3.Error: it cannot be written; nothing of the block is kept.
        """
        with self._lock:
            connection = self._writer()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite may have rolled back by itself, when the disk is full.
                connection.rollback()
                raise

    def shrink(self) -> None:
        """Rewrite the file without its holes, unless somebody has it locked."""
        with self._lock, suppress(sqlite3.OperationalError):
            self._writer().execute("VACUUM")

    def close(self) -> None:
        """Close the writer's connection; it opens again when it is needed."""
        with self._lock:
            writing, self._writing = self._writing, None
            if writing is not None:
                _close(writing)

    def _writer(self) -> sqlite3.Connection:
        if self.read_only:
            msg = f"{self.path} was opened read only"
            raise sqlite3.OperationalError(msg)
        if self._writing is None or not self._writing.is_usable:
            self._writing = self._open_writer()
            weakref.finalize(self, _close, self._writing)
        return self._writing.connection

    def _open_writer(self) -> Writing:
        make_private_folder(self.path.parent)
        make_private_file(self.path)
        connection = sqlite3.connect(
            self.path,
            timeout=PATIENCE,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            # A crash of the process loses nothing; a power cut may lose the last moments.
            connection.execute("PRAGMA synchronous = NORMAL")
            prepare(connection, str(self.path))
            add_functions(connection)
        except BaseException:
            connection.close()
            raise
        return Writing(connection)

    def _ask(self, question: Callable[[sqlite3.Connection], T], *, quiet: bool) -> T:
        where = ":memory:"
        if self.path.exists():
            mode = "mode=ro&immutable=1" if quiet else "mode=ro"
            where = f"{self.path.absolute().as_uri()}?{mode}"
        with closing(
            sqlite3.connect(where, timeout=PATIENCE, isolation_level=None, uri=True)
        ) as connection:
            make_readable(connection)
            add_functions(connection)
            return question(connection)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _beside(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")


def may_heal(error: Exception) -> bool:
    """Tell whether to wait: somebody else has the file locked, and nothing is broken."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def add_functions(connection: sqlite3.Connection) -> None:
    """Teach a connection what the queries need."""
    connection.create_function("folded", 1, _folded, deterministic=True)
    connection.create_function("is_gone", 2, _is_gone)


def _is_gone(owner: str | None, last_seen: float | None) -> bool:
    seen = None if last_seen is None else datetime.fromtimestamp(last_seen, UTC)
    return is_gone(owner, seen, datetime.now(UTC))


def _folded(text: str | None) -> str:
    return (text or "").casefold()


def _close(writing: Writing) -> None:
    # A child that closes its parent's connection would drop the parent's locks.
    if writing.process == os.getpid():
        writing.is_closed = True
        writing.connection.close()
