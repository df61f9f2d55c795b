"""Connections to one SQLite file: one long-lived for writing, short-lived for reading.

The writer keeps its connection open, because closing the last connection to a file
costs twenty times as much as a transaction.  One thread at a time uses the connection.
It is closed with the store or at interpreter exit, and a forked child does not use it.

A reader opens the file for one query only, and must not leave files behind.  Opening a
WAL database creates the files ``-wal`` and ``-shm``, even in read-only mode, if no
other connection has the database open.  So the reader opens a file without a ``-wal``
file as immutable, and repeats the query if the file has changed meanwhile.
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

from ..._util.sqlite_files import make_private_file, make_private_folder, transaction
from ..queries import is_owner_gone
from .schema import migrate, show_as_current_schema


T = TypeVar("T")

LOCK_TIMEOUT = 5.0
"""Seconds to wait for the lock of another connection."""

READ_ATTEMPTS = 5
"""Number of attempts to read a file that changes during the query."""


@attrs.define(eq=False)
class WriterConnection:
    """The connection of a writer."""

    connection: sqlite3.Connection
    """Open, in autocommit mode."""
    pid: int = attrs.field(factory=os.getpid)
    """Id of the process that opened the connection; only it may use the connection."""
    is_closed: bool = False
    """True once closed; interpreter exit closes all connections."""

    @property
    def is_usable(self) -> bool:
        """Whether this process can still use the connection."""
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
        """Open a connection for one query; a missing file counts as an empty store.

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
            with transaction(connection):
                yield connection

    def shrink(self) -> None:
        """Rewrite the file without free pages, unless another connection locks it."""
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
            # A process crash loses no data; a power failure may lose recent commits.
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
    """Tell whether an error means that another connection has locked the file."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def register_functions(connection: sqlite3.Connection) -> None:
    """Register the SQL functions that the queries need on a connection."""
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
