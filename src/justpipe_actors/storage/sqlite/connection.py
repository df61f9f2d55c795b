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
from ..queries import is_owner_gone
from .schema import migrate, show_as_current_schema


T = TypeVar("T")

LOCK_TIMEOUT = 5.0
"""Seconds to wait for others who have the file locked."""

READ_ATTEMPTS = 5
"""How often a reader looks again at a file that changes under its eyes."""


@attrs.define(eq=False)
class WriterConnection:
    """The connection of a writer."""

    connection: sqlite3.Connection
    """Open, in autocommit mode."""
    pid: int = attrs.field(factory=os.getpid)
    """Who opened it; no other may use it."""
    is_closed: bool = False
    """Whether it was closed, as the interpreter's end does with all."""

    @property
    def is_usable(self) -> bool:
        """Whether this process can go on with it."""
        return not self.is_closed and self.pid == os.getpid()


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
        self._writer_connection: WriterConnection | None = None
        if not read_only:
            with self._lock:
                self._get_writer()

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Answer a question about the file; a missing one is empty.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        if not self.read_only:
            with self._lock:
                return query(self._get_writer())
        for _ in range(READ_ATTEMPTS - 1):
            before = self._file_identity()
            is_unused = before is not None and not self._wal_path().exists()
            try:
                answer = self._query_read_only(query, immutable=is_unused)
            except sqlite3.DatabaseError:
                if self._file_identity() == before:
                    raise
                continue
            if not is_unused or (
                self._file_identity() == before and not self._wal_path().exists()
            ):
                return answer
        return self._query_read_only(query, immutable=False)

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """Write inside a transaction; within another one it is part of that.

        Raises:
            sqlite3.Error: it cannot be written; nothing of the block is kept.
        """
        with self._lock:
            connection = self._get_writer()
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
            self._get_writer().execute("VACUUM")

    def close(self) -> None:
        """Close the writer's connection; it opens again when it is needed."""
        with self._lock:
            writer_connection, self._writer_connection = self._writer_connection, None
            if writer_connection is not None:
                _close(writer_connection)

    def _get_writer(self) -> sqlite3.Connection:
        if self.read_only:
            msg = f"{self.path} was opened read only"
            raise sqlite3.OperationalError(msg)
        if self._writer_connection is None or not self._writer_connection.is_usable:
            self._writer_connection = self._open_writer()
            weakref.finalize(self, _close, self._writer_connection)
        return self._writer_connection.connection

    def _open_writer(self) -> WriterConnection:
        make_private_folder(self.path.parent)
        make_private_file(self.path)
        connection = sqlite3.connect(
            self.path,
            timeout=LOCK_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            # A crash of the process loses nothing; a power cut may lose the last moments.
            connection.execute("PRAGMA synchronous = NORMAL")
            migrate(connection, str(self.path))
            register_functions(connection)
        except BaseException:
            connection.close()
            raise
        return WriterConnection(connection)

    def _query_read_only(
        self, query: Callable[[sqlite3.Connection], T], *, immutable: bool
    ) -> T:
        uri = ":memory:"
        if self.path.exists():
            mode = "mode=ro&immutable=1" if immutable else "mode=ro"
            uri = f"{self.path.absolute().as_uri()}?{mode}"
        with closing(
            sqlite3.connect(uri, timeout=LOCK_TIMEOUT, isolation_level=None, uri=True)
        ) as connection:
            show_as_current_schema(connection)
            register_functions(connection)
            return query(connection)

    def _file_identity(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _wal_path(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")


def is_lock_error(error: Exception) -> bool:
    """Tell whether to wait: somebody else has the file locked, and nothing is broken."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def register_functions(connection: sqlite3.Connection) -> None:
    """Teach a connection what the queries need."""
    connection.create_function("folded", 1, _casefold, deterministic=True)
    connection.create_function("is_owner_gone", 2, _is_gone)


def _is_gone(owner: str | None, last_seen: float | None) -> bool:
    seen = None if last_seen is None else datetime.fromtimestamp(last_seen, UTC)
    return is_owner_gone(owner, seen, datetime.now(UTC))


def _casefold(text: str | None) -> str:
    return (text or "").casefold()


def _close(writer_connection: WriterConnection) -> None:
    # A child that closes its parent's connection would drop the parent's locks.
    if writer_connection.pid == os.getpid():
        writer_connection.is_closed = True
        writer_connection.connection.close()
