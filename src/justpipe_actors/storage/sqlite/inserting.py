"""Insert runs and events into the SQLite store.

A chunk is one row.  perf: one statement inserts many chunks, because ``executemany``
releases the GIL for every row, and reacquiring it beside a busy event loop takes
milliseconds each time.

A sequence number is stored once.  Nearly always all new numbers are greater than the
stored ones; otherwise the chunk is split, and only the new events are inserted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain

from ...records import EventChunk, RunRecord
from ..chunk_format import (
    EventLine,
    PayloadLookup,
    decode_times,
    event_texts,
    parse_event_text,
)
from ..queries import implicit_run
from .reading import RUN_COLUMNS, row_of_run, storable_text


MAX_CHUNKS_PER_STATEMENT = 32
"""Chunks of one statement, at most."""

_PUT_RUN = (
    f"INSERT INTO runs ({', '.join(RUN_COLUMNS)}) "
    f"VALUES ({', '.join('?' * len(RUN_COLUMNS))}) ON CONFLICT (run_id) DO UPDATE SET "
    + ", ".join(
        # A resumed durable run keeps its start time, the time of its submission.
        "start_time = min(start_time, excluded.start_time)"
        if name == "start_time"
        else f"{name} = excluded.{name}"
        for name in RUN_COLUMNS[1:]
    )
    + " WHERE status IN ('running', 'waiting', 'stuck', 'abandoned')"
)


def put_run(connection: sqlite3.Connection, run: RunRecord) -> bool:
    """Add a run, or update it unless it has ended; tell whether anything was done."""
    return connection.execute(_PUT_RUN, row_of_run(run)).rowcount == 1


def ensure_run(
    connection: sqlite3.Connection, run_id: str, first_timestamp: Callable[[], float]
) -> int:
    """Return the key of a run; begin it when it is unknown."""
    sql = "SELECT id FROM runs WHERE run_id = ?"
    found = connection.execute(sql, (run_id,)).fetchone()
    if found is None:
        put_run(connection, implicit_run(run_id, first_timestamp()))
        found = connection.execute(sql, (run_id,)).fetchone()
    return int(found[0])


def first_timestamp(chunk: EventChunk) -> float:
    """Return when a chunk's first event happened, in seconds since the epoch."""
    return decode_times(chunk.times)[0]


def insert_chunks(
    connection: sqlite3.Connection,
    key: int,
    chunks: Sequence[EventChunk],
    lines: Callable[[EventChunk], Iterable[EventLine]],
) -> None:
    """Add events; those that are there already are ignored.

    Args:
        connection: in a transaction.
        key: the run's.
        chunks: the events, in any order.
        lines: takes a chunk apart that overlaps what is there.
    """
    if _is_ascending(chunks, _last_seq(connection, key)):
        for start in range(0, len(chunks), MAX_CHUNKS_PER_STATEMENT):
            batch = chunks[start : start + MAX_CHUNKS_PER_STATEMENT]
            values = list(chain.from_iterable((key, *chunk) for chunk in batch))
            connection.execute(_insert_statement(len(batch)), values)
    else:
        for chunk in chunks:
            insert_lines(connection, key, lines(chunk))


def insert_lines(
    connection: sqlite3.Connection, key: int, lines: Iterable[EventLine]
) -> None:
    """Add events that are given as text; events without a number are appended."""
    sql = "INSERT INTO events VALUES (?, ?, ?, ?, NULL, ?, NULL)"
    for line in lines:
        seq = line.seq or _last_seq(connection, key) + 1
        if not _is_stored(connection, key, seq):
            kind = storable_text(line.type) or ""
            connection.execute(sql, (key, seq, kind, line.timestamp, line.text))


def chunk_lines(
    run_id: str, chunk: EventChunk, find_payload: PayloadLookup
) -> list[EventLine]:
    """Take a chunk apart into events as texts."""
    return [parse_event_text(text) for text in event_texts(run_id, chunk, find_payload)]


def _is_ascending(chunks: Sequence[EventChunk], last: int) -> bool:
    for chunk in chunks:
        if chunk.first <= last:
            return False
        last = chunk.last
    return True


def _last_seq(connection: sqlite3.Connection, key: int) -> int:
    """Return the highest stored number of a run."""
    return _last_seq_up_to(connection, key, 2**62)


def _is_stored(connection: sqlite3.Connection, key: int, seq: int) -> bool:
    return _last_seq_up_to(connection, key, seq) >= seq


def _last_seq_up_to(connection: sqlite3.Connection, key: int, seq: int) -> int:
    """Return the last number of the chunk that begins at a number or before it."""
    found = connection.execute(_LAST_SEQ_UP_TO, {"run": key, "seq": seq}).fetchone()
    return int(found[0])


_LAST_SEQ_UP_TO = """
SELECT max(
    coalesce((
        SELECT last FROM chunks
        WHERE run = :run AND first <= :seq ORDER BY first DESC LIMIT 1
    ), 0),
    coalesce((
        SELECT seq + CASE typeof(timestamp) WHEN 'blob'
            THEN length(timestamp) / 8 - 1 ELSE 0 END
        FROM events WHERE run = :run AND seq <= :seq ORDER BY seq DESC LIMIT 1
    ), 0)
)
"""


@cache
def _insert_statement(size: int) -> str:
    row = "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
    return f"INSERT INTO chunks VALUES {', '.join([row] * size)}"
