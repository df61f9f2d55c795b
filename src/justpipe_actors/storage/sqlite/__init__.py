"""A store in an SQLite file; every query is an SQL statement.

Threads and processes may share the file.  Connections are in ``connection.py``, tables
and their versions in ``schema.py``, statements in ``inserting.py`` and ``reading.py``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from ...events import EventType
from ...logs import LogEntry
from ...records import (
    EventChunk,
    EventHeader,
    RunQuery,
    RunRecord,
    RunStatus,
    RunSummary,
    StoredEvent,
)
from ..chunk_format import parse_event_text
from ..queries import ABANDONED_MESSAGE, is_prefix
from .connection import Database
from .inserting import (
    chunk_lines,
    ensure_run,
    first_timestamp,
    insert_chunks,
    insert_lines,
    put_run,
)
from .log_table import insert_logs, read_logs
from .reading import (
    COUNTS,
    LABEL,
    RUN_COLUMNS,
    RUNS,
    Condition,
    EventFilter,
    condition_of,
    read_events,
    read_headers,
    read_payload,
    read_rows,
    run_from_row,
    summary_from_rows,
)


ANY_RUN: Condition = ("1", {})


class SQLiteBackend:
    """Stores the runs of one pipe in a file; threads and processes may share it.

    Args:
        db_path: the file; it and its folders are created, for the user alone.
        read_only: create and change nothing; a file that is missing is an empty store.

    Raises:
        sqlite3.DatabaseError: the file is no database.
        OSError: the file or its folders cannot be created.
        StoreVersionError: a newer version has written it.
    """

    def __init__(self, db_path: str | Path, *, read_only: bool = False) -> None:
        self.path: Path = Path(db_path)
        self._database = Database(self.path, read_only=read_only)

    def close(self) -> None:
        """Close the file; the store opens it again on the next use."""
        self._database.close()

    def __repr__(self) -> str:
        return f"<SQLiteBackend {str(self.path)!r}>"

    # -- writing

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Commit all writes of the block together, or none of them."""
        with self._database.write():
            yield

    def begin_run(self, run: RunRecord) -> None:
        """Store the record of a run that has begun."""
        with self._database.write() as connection:
            put_run(connection, run)

    def append_events(self, run_id: str, events: Sequence[str]) -> None:
        """Add events; events that are already stored are ignored."""
        with self._database.write() as connection:
            _check_json(connection, events)
            lines = [parse_event_text(text) for text in events]
            if lines:
                key = ensure_run(connection, run_id, lambda: lines[0].timestamp)
                insert_lines(connection, key, lines)

    def append_chunks(self, run_id: str, chunks: Sequence[EventChunk]) -> None:
        """Add events that were taken apart."""
        if not chunks:
            return
        with self._database.write() as connection:
            key = ensure_run(connection, run_id, lambda: first_timestamp(chunks[0]))
            find_payload = partial(read_payload, connection, run_id)
            insert_chunks(
                connection,
                key,
                chunks,
                lambda chunk: chunk_lines(run_id, chunk, find_payload),
            )

    def append_logs(self, run_id: str, entries: Sequence[LogEntry]) -> None:
        """Add log records of a run."""
        if entries:
            with self._database.write() as connection:
                key = ensure_run(connection, run_id, lambda: entries[0].timestamp)
                insert_logs(connection, key, entries)

    def save_run(self, run: RunRecord, events: Sequence[str] = ()) -> None:
        """Remember how a run ended, and the rest of its events.

        Raises:
            sqlite3.IntegrityError: the run has ended before.
        """
        with self._database.write() as connection:
            _check_json(connection, events)
            if not put_run(connection, run):
                msg = f"Run {run.run_id} has ended before and is stored already"
                raise sqlite3.IntegrityError(msg)
            if events:
                key = ensure_run(connection, run.run_id, lambda: 0)
                insert_lines(
                    connection, key, [parse_event_text(text) for text in events]
                )

    def touch_runs(self, run_ids: Sequence[str], at: datetime) -> None:
        """Record a heartbeat of the process that owns these runs."""
        sql = "UPDATE runs SET last_seen = ? WHERE run_id = ? AND status = 'running'"
        with self._database.write() as connection:
            connection.executemany(sql, [(at.timestamp(), name) for name in run_ids])

    def mark_abandoned(self) -> int:
        """Mark the running runs with a dead owner as abandoned, except durable ones."""
        sql = (
            "UPDATE runs SET status = 'abandoned', "
            "error_message = coalesce(error_message, ?) "
            "WHERE journal IS NULL "
            "AND CASE status WHEN 'running' THEN is_owner_gone(owner, last_seen) END"
        )
        with self._database.write() as connection:
            return connection.execute(sql, (ABANDONED_MESSAGE,)).rowcount

    def save_definition(self, fingerprint: str, description: str) -> None:
        """Store the definition that belongs to a fingerprint."""
        sql = "INSERT OR REPLACE INTO definitions VALUES (?, ?)"
        with self._database.write() as connection:
            connection.execute(sql, (fingerprint, description))

    # -- reading

    def get_run(self, run_id: str) -> RunRecord | None:
        """Return the run of exactly this id."""
        found = self._runs(("run_id = :run_id", {"run_id": run_id}))
        return found[0] if found else None

    def list_runs(
        self, status: RunStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[RunRecord]:
        """Return runs of one status, or all; the newest start first."""
        if status is None:
            return self._runs(ANY_RUN, limit, offset)
        condition = ("status = :status", {"status": status.value})
        return self._runs(condition, limit, offset)

    def query_runs(
        self, query: RunQuery, limit: int | None = None, offset: int = 0
    ) -> list[RunRecord]:
        """Return the runs that match a query, the newest start first."""
        return self._runs(condition_of(query), limit, offset)

    def find_runs_by_prefix(
        self, run_id_prefix: str, limit: int = 10
    ) -> list[RunRecord]:
        """Return the runs with an id that begins with a prefix, the newest first."""
        if not is_prefix(run_id_prefix):
            return []
        upper_bound = run_id_prefix[:-1] + chr(ord(run_id_prefix[-1]) + 1)
        condition = "run_id >= :run_id_prefix AND run_id < :beyond"
        return self._runs(
            (condition, {"run_id_prefix": run_id_prefix, "beyond": upper_bound}), limit
        )

    def summarize_runs(self, query: RunQuery) -> RunSummary:
        """Return counts and durations of the runs that match a query."""
        condition, values = condition_of(query)
        sql = (
            f"SELECT {LABEL}, count(*), count(duration_s), total(duration_s), "
            f"min(duration_s), max(duration_s), max(start_time) "
            f"FROM {RUNS} WHERE {condition} GROUP BY 1"
        )
        return summary_from_rows(self._rows(sql, values))

    def get_events(
        self,
        run_id: str,
        event_type: EventType | None = None,
        *,
        after: int = 0,
        limit: int | None = None,
    ) -> list[StoredEvent]:
        """Return a run's events by ascending ``seq``."""
        event_filter = EventFilter(
            run_id,
            None if event_type is None else event_type.value,
            after,
            limit if limit is not None and limit >= 0 else None,
        )
        return self._database.read(
            lambda connection: read_events(connection, event_filter)
        )

    def get_event(self, run_id: str, seq: int) -> StoredEvent | None:
        """Return one event; reads the chunk that it is in."""
        found = self.get_events(run_id, after=seq - 1, limit=1)
        return found[0] if found and found[0].seq == seq else None

    def get_event_headers(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[EventHeader]:
        """Return a run's events by ascending ``seq``, without payload and notes."""
        at_most = limit if limit is not None and limit >= 0 else None
        event_filter = EventFilter(run_id, None, after, at_most)
        return self._database.read(
            lambda connection: read_headers(connection, event_filter)
        )

    def get_logs(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[LogEntry]:
        """Return a run's log records by ascending number."""
        at_most = limit if limit is not None and limit >= 0 else None
        return self._database.read(
            lambda connection: read_logs(connection, run_id, after, at_most)
        )

    def count_events(self, run_id: str) -> dict[str, int]:
        """Return how many events of each type a run has."""
        counts: dict[str, int] = {}
        for event_type, count in self._rows(COUNTS, {"run_id": run_id}):
            counts[event_type] = counts.get(event_type, 0) + count
        return counts

    def get_definition(self, fingerprint: str) -> str | None:
        """Return the definition that ``save_definition`` stored."""
        sql = "SELECT description FROM definitions WHERE fingerprint = :fingerprint"
        found = self._rows(sql, {"fingerprint": fingerprint})
        return found[0][0] if found else None

    def _runs(
        self, wanted: Condition, limit: int | None = None, offset: int = 0
    ) -> list[RunRecord]:
        condition, values = wanted
        sql = (
            f"SELECT {', '.join(RUN_COLUMNS)} FROM {RUNS} WHERE {condition} "
            "ORDER BY start_time DESC, id DESC LIMIT :limit OFFSET :offset"
        )
        limits = {"limit": -1 if limit is None else limit, "offset": max(offset, 0)}
        return read_rows(self._rows(sql, {**values, **limits}), run_from_row)

    def _rows(self, sql: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
        all_values = {"abandoned": ABANDONED_MESSAGE, **values}
        return self._database.read(lambda c: c.execute(sql, all_values).fetchall())

    # -- removing

    def delete_run(self, run_id: str) -> bool:
        """Forget a run and its events."""
        return self.delete_runs([run_id]) == 1

    def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Forget these runs and their events, in one transaction."""
        sql = "DELETE FROM runs WHERE run_id = ?"
        with self._database.write() as connection:
            return sum(connection.execute(sql, (name,)).rowcount for name in run_ids)

    def shrink(self) -> None:
        """Shrink the file by the space of deleted runs, unless the file is in use."""
        self._database.shrink()


def _check_json(connection: sqlite3.Connection, texts: Sequence[str]) -> None:
    """Let SQLite reject invalid JSON: code written for justpipe expects its error."""
    for text in texts:
        connection.execute("SELECT json(?)", (text,))
