"""The table of log records in the SQLite store.

The table is created with the first record, so a file without log records is as before,
and the number of the schema stays: older versions ignore the table, and delete the
records of a run with the run.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from ...logs import STORED_ENTRIES, LogEntry


_TABLE = """
CREATE TABLE IF NOT EXISTS logs (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    timestamp REAL NOT NULL,
    level INTEGER NOT NULL,
    logger TEXT NOT NULL,
    text TEXT NOT NULL,
    step TEXT,
    invocation_id TEXT,
    attempt INTEGER NOT NULL,
    traceback TEXT,
    PRIMARY KEY (run, number)
) WITHOUT ROWID
"""

_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'logs'"

_READ = """
SELECT l.timestamp, l.level, l.logger, l.text, l.step, l.invocation_id, l.attempt,
    l.traceback, l.number
FROM runs r JOIN logs l ON l.run = r.id
WHERE r.run_id = :run_id AND l.number > :after
ORDER BY l.number
LIMIT :limit
"""


def insert_logs(
    connection: sqlite3.Connection, key: int, entries: Sequence[LogEntry]
) -> None:
    """Add log records to a run, and drop its oldest ones if there are too many."""
    connection.execute(_TABLE)
    last = _last_number(connection, key)
    rows = [(key, last + n, *_cells(entry)) for n, entry in enumerate(entries, 1)]
    connection.executemany(
        f"INSERT INTO logs VALUES ({', '.join('?' * 10)})", rows[-STORED_ENTRIES:]
    )
    connection.execute(
        "DELETE FROM logs WHERE run = ? AND number <= ?",
        (key, last + len(entries) - STORED_ENTRIES),
    )


def read_logs(
    connection: sqlite3.Connection, run_id: str, after: int, limit: int | None
) -> list[LogEntry]:
    """Return log records by ascending number."""
    if connection.execute(_HAS_TABLE).fetchone() is None:
        return []
    values = {"run_id": run_id, "after": after, "limit": -1 if limit is None else limit}
    return [LogEntry(*row) for row in connection.execute(_READ, values)]


def _cells(entry: LogEntry) -> tuple[Any, ...]:
    return (
        entry.timestamp,
        entry.level,
        entry.logger,
        entry.text,
        entry.step,
        entry.invocation_id,
        entry.attempt,
        entry.traceback,
    )


def _last_number(connection: sqlite3.Connection, key: int) -> int:
    found = connection.execute("SELECT max(number) FROM logs WHERE run = ?", (key,))
    return int(found.fetchone()[0] or 0)
