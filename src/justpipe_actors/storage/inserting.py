"""How runs and events get into the SQLite store, many rows by one statement.

``executemany`` gives the interpreter lock away for every row, and a thread that wants it
back from a busy event loop waits milliseconds each time.  One statement for many rows
gives it away once.  Its lengths are powers of two, so that few statements are compiled.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain

from ..records import EventRow, RunRecord, TokenRow
from .queries import unannounced
from .rows import EventLine, single_rows
from .sqlrows import RUN_COLUMNS, SqlRow, last_of, packed, packed_line, run_values


MOST = 128
"""Rows of one statement, a power of two."""

_PUT_RUN = (
    f"INSERT INTO runs ({', '.join(RUN_COLUMNS)}) "
    f"VALUES ({', '.join('?' * len(RUN_COLUMNS))}) ON CONFLICT (run_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in RUN_COLUMNS[1:])
    + " WHERE status IN ('running', 'abandoned')"
)


def put_run(connection: sqlite3.Connection, run: RunRecord) -> bool:
    """Add a run, or update it unless it has ended; tell whether anything was done."""
    return connection.execute(_PUT_RUN, run_values(run)).rowcount == 1


def key_of(connection: sqlite3.Connection, run_id: str, began: float) -> int:
    """Return the key of a run; begin it when it is unknown."""
    sql = "SELECT id FROM runs WHERE run_id = ?"
    found = connection.execute(sql, (run_id,)).fetchone()
    if found is None:
        put_run(connection, unannounced(run_id, began))
        found = connection.execute(sql, (run_id,)).fetchone()
    return int(found[0])


def insert_rows(
    connection: sqlite3.Connection,
    key: int,
    run_id: str,
    rows: Sequence[EventRow | TokenRow],
) -> None:
    """Add events; those that are there already are ignored."""
    if not _is_ascending(rows, _last(connection, key)):
        singles = (one for row in rows for one in single_rows(row))
        rows = [one for one in singles if not _is_stored(connection, key, one.seq)]
        rows = list({one.seq: one for one in rows}.values())
    _insert(connection, packed(key, run_id, rows))


def insert_lines(
    connection: sqlite3.Connection, key: int, lines: Iterable[EventLine]
) -> None:
    """Add events that came as text; one without a number of its own goes last."""
    for line in lines:
        seq = line.seq or _last(connection, key) + 1
        if not _is_stored(connection, key, seq):
            _insert(connection, [packed_line(key, seq, line)])


def _is_ascending(rows: Sequence[EventRow | TokenRow], last: int) -> bool:
    for row in rows:
        if row.seq <= last:
            return False
        last = last_of(row)
    return True


def _last(connection: sqlite3.Connection, key: int) -> int:
    """Return the greatest number a run has stored."""
    return _end(connection, key, "")


def _is_stored(connection: sqlite3.Connection, key: int, seq: int) -> bool:
    return _end(connection, key, f"AND seq <= {seq}") >= seq


def _end(connection: sqlite3.Connection, key: int, condition: str) -> int:
    """Return the last number of the last row, tokens that share it included."""
    found = connection.execute(
        "SELECT seq + CASE typeof(timestamp) WHEN 'blob' "
        "THEN length(timestamp) / 8 - 1 ELSE 0 END FROM events "
        f"WHERE run = ? {condition} ORDER BY seq DESC LIMIT 1",
        (key,),
    ).fetchone()
    return int(found[0]) if found else 0


def _insert(connection: sqlite3.Connection, rows: Iterable[SqlRow]) -> None:
    rows = list(rows)
    for first, size in _portions(len(rows)):
        portion = rows[first : first + size]
        connection.execute(_statement(size), list(chain.from_iterable(portion)))


def _portions(count: int) -> Iterator[tuple[int, int]]:
    """Divide so many rows into powers of two, the largest first."""
    first, size = 0, MOST
    while first < count:
        while size > count - first:
            size //= 2
        yield first, size
        first += size


@cache
def _statement(size: int) -> str:
    return f"INSERT INTO events VALUES {', '.join(['(?, ?, ?, ?, ?, ?, ?)'] * size)}"
