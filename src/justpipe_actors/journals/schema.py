"""The tables of the SQLite journal.

::

    runs     one row per run, until it is swept
    commits  the streams: append only, (run, n) is the fence
    items    the items of maps with a sized source; gone is the commit in which the map
             ended, and the row stays as long as that commit, for forks
    asks     open questions; timers of runs that wait have none
    signals  answers and cancellations that no batch has consumed
    workers  supervisors that are alive; runs.worker is the lease
    swept    ids of runs that are gone, so that a submit of one begins nothing

``commits`` is a plain rowid table: ``WITHOUT ROWID`` keeps whole rows in the tree's nodes
and costs an overflow page per row.

``user_version`` counts the schema, ``application_id`` tells a journal from other files.
"""

from __future__ import annotations

import sqlite3

from ..errors import StoreError, StoreVersionError


VERSION = 1
"""The schema that this version writes."""

APPLICATION = 0x6A_70_61_6A
"""The application id: ``jpaj``."""

_TABLES = """
CREATE TABLE workers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    seen REAL NOT NULL
);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL UNIQUE,
    pipe TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL,
    input TEXT NOT NULL,
    created REAL NOT NULL,
    worker INTEGER REFERENCES workers (id) ON DELETE SET NULL,
    incarnation INTEGER NOT NULL DEFAULT 0,
    wake_at REAL,
    outcome TEXT,
    problem TEXT,
    forked_from TEXT,
    forked_at INTEGER,
    resumed_by TEXT,
    ended REAL
);
CREATE INDEX runs_open ON runs (status, wake_at) WHERE ended IS NULL;
CREATE INDEX runs_ended ON runs (ended) WHERE ended IS NOT NULL;
CREATE INDEX runs_worker ON runs (worker) WHERE worker IS NOT NULL;
CREATE TABLE commits (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at REAL NOT NULL,
    delta TEXT NOT NULL,
    state TEXT,
    PRIMARY KEY (run, n)
);
CREATE TABLE items (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    map INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    items TEXT NOT NULL,
    gone INTEGER,
    PRIMARY KEY (run, map, chunk)
);
CREATE TABLE asks (
    id TEXT PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    step TEXT NOT NULL,
    note TEXT NOT NULL,
    form TEXT,
    asked REAL NOT NULL,
    due REAL,
    problem TEXT,
    is_answered INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX asks_run ON asks (run);
CREATE TABLE signals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    ask TEXT,
    body TEXT,
    sender TEXT,
    at REAL NOT NULL
);
CREATE INDEX signals_run ON signals (run);
CREATE TABLE swept (
    run_id TEXT PRIMARY KEY,
    pipe TEXT NOT NULL,
    status TEXT NOT NULL,
    ended REAL NOT NULL
);
"""

_MIGRATIONS: dict[int, str] = {}
"""SQL that migrates a file to the next version, by the older version."""


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Bring a file to this version's schema, in one transaction.

    Raises:
        StoreVersionError: a newer version has written it.
        StoreError: it is a database of another kind.
        sqlite3.Error: it is no database, or cannot be written.
    """
    if _found(connection, path) == VERSION:
        return
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been quicker since we looked.
        found = _found(connection, path)
        if found is None:
            _execute(connection, _TABLES)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
        for older in range(found or VERSION, VERSION):
            _execute(connection, _MIGRATIONS[older])
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _found(connection: sqlite3.Connection, path: str) -> int | None:
    """Return the schema's version of a file; None when it is empty."""
    application = _pragma(connection, "application_id")
    if application != APPLICATION:
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables[0]:
            return None
        msg = f"{path} is a database, but no journal. Give the journal another path."
        raise StoreError(msg)
    version = _pragma(connection, "user_version")
    if version > VERSION:
        raise StoreVersionError(path, version, VERSION)
    return version


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _execute(connection: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        connection.execute(statement)
