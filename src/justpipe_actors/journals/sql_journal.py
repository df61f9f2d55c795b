"""Durable runs in SQL tables: every operation of a journal, over a database.

The journals of this package differ only in the database: its location, how it is
opened, and how a change by another process is detected.
"""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import cast

import attrs

from .._util import failpoints
from .._util.failpoints import Seam
from .._util.process_identity import is_process_alive
from ..abc import (
    Batch,
    Claim,
    Commit,
    CommitMode,
    JournaledRun,
    MapItems,
    NewRun,
    OpenAsk,
    RunFilter,
    RunRow,
    Signal,
    Submitted,
    WorkerRow,
)
from ..abc.journal_records import RunState
from .settings import check_settings, count_deaths
from .sql_reading import (
    RUN_COLUMNS,
    journaled_runs,
    open_asks,
    run_row,
    signals_where,
)
from .sql_writing import apply_batch, insert_commit, is_stored, mark_resumed


class Database(ABC):
    """The database with the tables."""

    __slots__ = ()

    @property
    @abstractmethod
    def location(self) -> str:
        """Path or address for display."""

    @abstractmethod
    def open(self) -> None:
        """Open it, with the tables of this version."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections; the database opens again when it is needed."""

    @abstractmethod
    def now(self) -> float:
        """Return the time of its clock, in seconds since the epoch."""

    @abstractmethod
    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """Use the connection exclusively."""

    @abstractmethod
    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """Use the connection inside a transaction, which is stored whole or not at all."""

    @abstractmethod
    def wait_change(self, seconds: float) -> bool:
        """Wait until others may have written; return False if they have not."""

    @abstractmethod
    def wake(self) -> None:
        """Make ``wait_change`` return now."""


class SQLJournal:
    """Keeps durable runs in the tables of a database; ``abc.Journal`` says what each method does.

    Raises:
        TypeError: a setting is of another type.
        ValueError: a setting is out of range.
    """

    def __init__(
        self,
        database: Database,
        mode: CommitMode,
        *,
        keep: timedelta,
        attempts: int,
        lease: float,
        types: Iterable[type],
    ) -> None:
        self.types: tuple[type, ...] = tuple(types)
        check_settings(mode, keep, attempts, lease, self.types)
        self._database = database
        self.mode: CommitMode = mode
        self.keep = keep
        self.attempts = attempts
        self.lease = lease

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r}, mode={self.mode!r})"

    @property
    def location(self) -> str:
        """Path or address for display."""
        return self._database.location

    def open(self) -> None:
        """Create missing tables and migrate an older schema to this version."""
        self._database.open()

    def close(self) -> None:
        """Close the connections; they open again when they are needed."""
        self._database.close()

    def now(self) -> float:
        """Return the time of the journal's clock, in seconds since the epoch."""
        return self._database.now()

    def wait_change(self, seconds: float) -> bool:
        """Block until others may have written, at most ``seconds`` seconds."""
        return self._database.wait_change(seconds)

    def wake(self) -> None:
        """Make ``wait_change`` return now."""
        self._database.wake()

    # -- workers

    def add_worker(self, name: str) -> int:
        """Register a worker; return its number."""
        with self._database.write() as connection:
            statement = "INSERT INTO workers (name, seen) VALUES (?, ?)"
            return int(connection.execute(statement, (name, self.now())).lastrowid or 0)

    def beat(self, worker: int) -> bool:
        """Store a heartbeat; False when the worker was declared dead before."""
        with self._database.write() as connection:
            statement = "UPDATE workers SET seen = ? WHERE id = ?"
            return connection.execute(statement, (self.now(), worker)).rowcount == 1

    def remove_worker(self, worker: int) -> None:
        """Remove a worker; its remaining runs become ``ready``."""
        with self._database.write() as connection:
            _remove_workers(connection, [worker])

    def bury_workers(self) -> int:
        """Remove workers without a heartbeat in time, or without a process."""
        silent = self.now() - self.lease
        dead = [
            one.id
            for one in self.workers()
            if one.seen < silent or is_process_alive(one.name) is False
        ]
        if dead:
            with self._database.write() as connection:
                _remove_workers(connection, dead)
        return len(dead)

    def workers(self) -> list[WorkerRow]:
        """Return the workers."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT id, name, seen FROM workers ORDER BY id")
            return [
                WorkerRow(id=number, name=name, seen=at) for number, name, at in rows
            ]

    # -- taking runs

    def submit(self, new: NewRun, worker: int | None = None) -> Submitted:
        """Store a run, unless there is one of that id; with a worker, also claim it."""
        with self._database.write() as connection:
            found = _find(connection, new.run_id)
            if found is not None:
                return Submitted(found, is_new=False)
            swept = connection.execute(
                "SELECT status, ended FROM swept WHERE run_id = ?", (new.run_id,)
            ).fetchone()
            if swept is not None:
                run = _swept_row(new, *swept)
                return Submitted(run, is_new=False, is_forgotten=True)
            run = self._insert(connection, new)
            if worker is None:
                return Submitted(run, is_new=True)
            claim = self._take(connection, run, worker)
            return Submitted(claim.run, is_new=True, claim=claim)

    def _insert(self, connection: sqlite3.Connection, new: NewRun) -> RunRow:
        created = self.now()
        inserted = connection.execute(
            "INSERT INTO runs (run_id, pipe, fingerprint, status, input, created, "
            "forked_from, forked_at) VALUES (?, ?, ?, 'ready', ?, ?, ?, ?)",
            (
                new.run_id,
                new.pipe,
                new.fingerprint,
                new.input,
                created,
                new.forked_from,
                new.forked_at,
            ),
        )
        run = RunRow(
            id=inserted.lastrowid or 0,
            run_id=new.run_id,
            pipe=new.pipe,
            fingerprint=new.fingerprint,
            status="ready",
            input=new.input,
            created=created,
            forked_from=new.forked_from,
            forked_at=new.forked_at,
        )
        if new.delta is not None:
            connection.execute(
                "INSERT INTO commits VALUES (?, 1, 'snapshot', ?, ?, ?)",
                (run.id, created, new.delta, new.state),
            )
        return run

    def _take(self, connection: sqlite3.Connection, run: RunRow, worker: int) -> Claim:
        earlier = connection.execute(
            "SELECT n, kind FROM commits WHERE run = ? ORDER BY n DESC LIMIT 100",
            (run.id,),
        ).fetchall()
        n = 1 + (earlier[0][0] if earlier else 0)
        connection.execute(
            "INSERT INTO commits VALUES (?, ?, 'takeover', ?, '{}', NULL)",
            (run.id, n, self.now()),
        )
        connection.execute(
            "UPDATE runs SET status = 'running', worker = ?, wake_at = NULL, "
            "problem = NULL, incarnation = incarnation + 1 WHERE id = ?",
            (worker, run.id),
        )
        taken = attrs.evolve(
            run,
            status="running",
            worker=worker,
            wake_at=None,
            problem=None,
            incarnation=run.incarnation + 1,
        )
        return Claim(taken, n, count_deaths(earlier))

    def claim(
        self,
        worker: int,
        pipes: Sequence[str],
        limit: int | None = None,
        *,
        run_id: str | None = None,
    ) -> list[Claim]:
        """Claim ready runs, the oldest first, in one transaction."""
        marks = ", ".join("?" * len(pipes))
        question = (
            f"SELECT {RUN_COLUMNS} FROM runs r WHERE ended IS NULL AND pipe IN ({marks}) "
            "AND (? IS NULL OR run_id = ?) AND (status = 'ready' OR (status = 'waiting' "
            "AND (wake_at <= ? OR id IN (SELECT run FROM signals))) OR (status = 'stuck' "
            "AND id IN (SELECT run FROM signals WHERE kind = 'cancel'))) "
            "ORDER BY created, id LIMIT ?"
        )
        most = -1 if limit is None else limit
        values = (*pipes, run_id, run_id, self.now(), most)
        with self._database.read() as connection:
            # Most turns find nothing, and must not take the write lock.
            if connection.execute(question, values).fetchone() is None:
                return []
        with self._database.write() as connection:
            rows = connection.execute(question, values).fetchall()
            return [self._take(connection, run_row(row), worker) for row in rows]

    def next_due(self, pipes: Sequence[str]) -> float | None:
        """Return when the next waiting run of these pipes is due."""
        marks = ", ".join("?" * len(pipes))
        with self._database.read() as connection:
            found = connection.execute(
                "SELECT min(wake_at) FROM runs WHERE ended IS NULL AND status = 'waiting' "
                f"AND pipe IN ({marks})",
                tuple(pipes),
            ).fetchone()[0]
        return None if found is None else float(found)

    # -- reading one run

    def find(self, run_id: str) -> RunRow | None:
        """Return the run of exactly this id."""
        with self._database.read() as connection:
            return _find(connection, run_id)

    def commits(self, run: int, upto: int | None = None) -> list[Commit]:
        """Return all rows of a run's stream that are kept, in order."""
        return self._commits(run, 0, upto)

    def load(self, run: int) -> list[Commit]:
        """Return the rows from the last snapshot on."""
        with self._database.read() as connection:
            first = connection.execute(
                "SELECT max(n) FROM commits WHERE run = ? AND kind = 'snapshot'", (run,)
            ).fetchone()[0]
            return self._commits(run, first or 0, None)

    def _commits(self, run: int, first: int, upto: int | None) -> list[Commit]:
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT n, kind, at, delta, state FROM commits "
                "WHERE run = ?1 AND n >= ?2 AND (?3 IS NULL OR n <= ?3) ORDER BY n",
                (run, first, upto),
            )
            return [Commit(*row) for row in rows]

    def items(self, run: int, map: int) -> list[MapItems]:  # noqa: A002 - the map step
        """Return the kept items of a map, in order."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT map, chunk, items FROM items WHERE run = ? AND map = ? ORDER BY chunk",
                (run, map),
            )
            return [MapItems(*row) for row in rows]

    # -- writing

    def append(self, batches: Sequence[Batch]) -> frozenset[int]:
        """Store batches in one transaction; return the runs that lost their lease."""
        lost: set[int] = set()
        with self._database.write() as connection:
            at = self.now()
            for batch in batches:
                if insert_commit(connection, batch, at):
                    apply_batch(connection, batch, at)
                elif not is_stored(connection, batch):
                    lost.add(batch.run)
            if failpoints.active is not None:
                failpoints.active.reach_nowait(Seam.COMMIT, "", "journal")
        return frozenset(lost)

    def fork(
        self, new: NewRun, items_of: int | None = None, *, resumes: str | None = None
    ) -> RunRow:
        """Store a copy of a run, which is ready."""
        with self._database.write() as connection:
            if _find(connection, new.run_id) is not None:
                msg = (
                    f"there is a run '{new.run_id}' already. Give the copy another id."
                )
                raise ValueError(msg)
            if resumes is not None and not mark_resumed(
                connection, resumes, new.run_id
            ):
                msg = f"run '{resumes}' was resumed meanwhile. Only one run goes on for it."
                raise ValueError(msg)
            run = self._insert(connection, new)
            if items_of is not None:
                connection.execute(
                    "INSERT INTO items SELECT ?, map, chunk, items, gone FROM items WHERE run = ?",
                    (run.id, items_of),
                )
            return run

    def redrive(self, run_id: str) -> bool:
        """Make a stuck run ready, and reset its count of deaths."""
        with self._database.write() as connection:
            run = _find(connection, run_id)
            if run is None or run.status != "stuck":
                return False
            connection.execute(
                "INSERT INTO commits SELECT ?1, coalesce(max(n), 0) + 1, 'redrive', ?2, "
                "'{}', NULL FROM commits WHERE run = ?1",
                (run.id, self.now()),
            )
            connection.execute(
                "UPDATE runs SET status = 'ready', problem = NULL WHERE id = ?",
                (run.id,),
            )
        return True

    # -- signals to runs

    def asks(self, run_id: str | None = None) -> list[OpenAsk]:
        """Return the open questions of one run or of all, the oldest first."""
        with self._database.read() as connection:
            return open_asks(connection, run_id, self.now())

    def answer(self, ask_id: str, body: str, by: str | None = None) -> bool:
        """Store an answer as a signal; False when the question is not open."""
        with self._database.write() as connection:
            is_open = connection.execute(
                "UPDATE asks SET is_answered = 1 WHERE id = ? AND form IS NOT NULL "
                "AND NOT is_answered AND (due IS NULL OR due > ?)",
                (ask_id, self.now()),
            ).rowcount
            if is_open:
                connection.execute(
                    "INSERT INTO signals (run, kind, ask, body, sender, at) "
                    "SELECT run, 'answer', id, ?, ?, ? FROM asks WHERE id = ?",
                    (body, by, self.now(), ask_id),
                )
            return is_open == 1

    def cancel(self, run_id: str, reason: str, by: str | None = None) -> bool:
        """Store a request to cancel a run; False when there is no such open run."""
        with self._database.write() as connection:
            return (
                connection.execute(
                    "INSERT INTO signals (run, kind, body, sender, at) "
                    "SELECT id, 'cancel', ?, ?, ? FROM runs "
                    "WHERE run_id = ? AND ended IS NULL",
                    (json.dumps(reason), by, self.now(), run_id),
                ).rowcount
                == 1
            )

    def signals(self, worker: int) -> list[Signal]:
        """Return the signals for the runs of a worker that no batch has consumed."""
        with self._database.read() as connection:
            return signals_where(connection, "r.worker", worker)

    def signals_of(self, run: int) -> list[Signal]:
        """Return the signals for one run that no batch has consumed."""
        with self._database.read() as connection:
            return signals_where(connection, "r.id", run)

    # -- listing and removing

    def runs(self, which: RunFilter) -> list[JournaledRun]:
        """Return the records of runs for display, the newest first."""
        with self._database.read() as connection:
            return journaled_runs(connection, which, self.now())

    def sweep(self, limit: int = 100) -> int:
        """Remove runs that ended longer ago than they are kept; return how many."""
        before = self.now() - self.keep.total_seconds()
        condition = (
            "ended < ? AND (status <> 'suspended' OR resumed_by IS NOT NULL) LIMIT ?"
        )
        with self._database.read() as connection:
            found = connection.execute(
                f"SELECT id FROM runs WHERE {condition}", (before, limit)
            ).fetchall()
        if not found:
            return 0
        with self._database.write() as connection:
            for row in found:
                connection.execute(
                    "INSERT OR REPLACE INTO swept "
                    "SELECT run_id, pipe, status, ended FROM runs WHERE id = ?",
                    row,
                )
                connection.execute("DELETE FROM runs WHERE id = ?", row)
        return len(found)

    def forget(self, before: float) -> int:
        """Remove ids of swept runs that ended before this time (epoch seconds)."""
        with self._database.write() as connection:
            statement = "DELETE FROM swept WHERE ended < ?"
            return connection.execute(statement, (before,)).rowcount


def _find(connection: sqlite3.Connection, run_id: str) -> RunRow | None:
    question = f"SELECT {RUN_COLUMNS} FROM runs WHERE run_id = ?"
    row = connection.execute(question, (run_id,)).fetchone()
    return None if row is None else run_row(row)


def _swept_row(new: NewRun, status: str, ended: float) -> RunRow:
    return RunRow(
        id=0,
        run_id=new.run_id,
        pipe=new.pipe,
        fingerprint=new.fingerprint,
        status=cast("RunState", status),
        input=new.input,
        created=ended,
        ended=ended,
    )


def _remove_workers(connection: sqlite3.Connection, workers: Sequence[int]) -> None:
    for worker in workers:
        connection.execute(
            "UPDATE runs SET status = 'ready', worker = NULL WHERE worker = ?",
            (worker,),
        )
        connection.execute("DELETE FROM workers WHERE id = ?", (worker,))
