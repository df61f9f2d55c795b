"""A store in memory: for tests, and for programs that look at their own runs.

It has the same contract as the SQLite store and passes the same checks.  One lock guards
everything; a transaction that fails undoes its changes in reverse order.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

import attrs

from ..events import EventType
from ..logs import STORED_ENTRIES, LogEntry
from ..records import (
    EventHeader,
    OpenStatus,
    RunQuery,
    RunRecord,
    RunStatus,
    RunSummary,
    StoredEvent,
)
from .chunk_format import EventLine, parse_event_text, stored_event
from .headers import parse_header
from .queries import (
    as_abandoned,
    implicit_run,
    in_utc,
    is_ended,
    is_prefix,
    matches_query,
    paginate,
    resolve_status,
    summarize,
)


@attrs.frozen
class StoredRun:
    """A run and its events."""

    run: RunRecord
    lines: dict[int, EventLine] = attrs.field(factory=dict)
    """Its events by number."""
    logs: list[LogEntry] = attrs.field(factory=list)
    """Its log records by ascending number."""


class InMemoryBackend:
    """Stores runs in memory for the lifetime of this object."""

    def __init__(self) -> None:
        self._runs: dict[str, StoredRun] = {}
        self._definitions: dict[str, str] = {}
        self._lock = threading.RLock()
        self._undo: list[Callable[[], object]] | None = None

    # -- writing

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Commit all writes of the block together, or none of them."""
        with self._lock:
            if self._undo is not None:
                yield
                return
            undo: list[Callable[[], object]] = []
            self._undo = undo
            try:
                yield
            except BaseException:
                while undo:
                    undo.pop()()
                raise
            finally:
                self._undo = None

    def begin_run(self, run: RunRecord) -> None:
        """Store the record of a run that has begun."""
        with self.transaction():
            stored = self._runs.get(run.run_id)
            if stored is None:
                self._put(run)
            elif not is_ended(stored.run.status):
                start = min(stored.run.start_time, run.start_time)
                self._put(replace(run, start_time=start))

    def append_events(self, run_id: str, events: Sequence[str]) -> None:
        """Add events; events that are already stored are ignored."""
        lines = [parse_event_text(text) for text in events]
        with self.transaction():
            if run_id not in self._runs and lines:
                self._put(implicit_run(run_id, lines[0].timestamp))
            for line in lines:
                self._add(self._runs[run_id].lines, line)

    def append_logs(self, run_id: str, entries: Sequence[LogEntry]) -> None:
        """Add log records of a run."""
        if not entries:
            return
        with self.transaction():
            if run_id not in self._runs:
                self._put(implicit_run(run_id, entries[0].timestamp))
            logs = self._runs[run_id].logs
            before = logs[:]
            last = logs[-1].number if logs else 0
            logs += [
                attrs.evolve(entry, number=last + n)
                for n, entry in enumerate(entries, 1)
            ]
            del logs[:-STORED_ENTRIES]
            self._add_undo(lambda: logs.__setitem__(slice(None), before))

    def save_run(self, run: RunRecord, events: Sequence[str] = ()) -> None:
        """Remember how a run ended; a run that has ended before is replaced."""
        lines = [parse_event_text(text) for text in events]
        with self.transaction():
            self._put(run)
            for line in lines:
                self._add(self._runs[run.run_id].lines, line)

    def touch_runs(self, run_ids: Sequence[str], at: datetime) -> None:
        """Record a heartbeat of the process that owns these runs."""
        with self.transaction():
            for run_id in run_ids:
                stored = self._runs.get(run_id)
                if stored is not None and stored.run.status is OpenStatus.RUNNING:
                    self._put(replace(stored.run, last_seen=at))

    def mark_abandoned(self) -> int:
        """Mark the running runs with a dead owner as abandoned, except durable ones."""
        now = datetime.now(UTC)
        with self.transaction():
            running = [
                stored.run
                for stored in self._runs.values()
                if stored.run.status is OpenStatus.RUNNING
                and stored.run.journal is None
            ]
            removed = [run for run in running if resolve_status(run, now) is not run]
            for run in removed:
                self._put(as_abandoned(run))
            return len(removed)

    def save_definition(self, fingerprint: str, description: str) -> None:
        """Store the definition that belongs to a fingerprint."""
        with self._lock:
            self._definitions[fingerprint] = description

    def _put(self, run: RunRecord) -> None:
        before = self._runs.get(run.run_id)
        after = StoredRun(
            in_utc(run), before.lines if before else {}, before.logs if before else []
        )
        self._runs[run.run_id] = after
        self._add_undo(lambda: self._restore(run.run_id, before))

    def _restore(self, run_id: str, before: StoredRun | None) -> None:
        if before is None:
            del self._runs[run_id]
        else:
            self._runs[run_id] = before

    def _add(self, lines: dict[int, EventLine], line: EventLine) -> None:
        seq = line.seq or max(lines, default=0) + 1
        if seq not in lines:
            lines[seq] = line
            self._add_undo(lambda: lines.pop(seq))

    def _add_undo(self, undo: Callable[[], object]) -> None:
        if self._undo is not None:
            self._undo.append(undo)

    # -- reading

    def get_run(self, run_id: str) -> RunRecord | None:
        """Return the run of exactly this id."""
        with self._lock:
            stored = self._runs.get(run_id)
            return resolve_status(stored.run, datetime.now(UTC)) if stored else None

    def list_runs(
        self, status: RunStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[RunRecord]:
        """Return runs of one status, or all; the newest start first."""
        runs = [run for run in self._newest() if status in (None, run.status)]
        return paginate(runs, limit, offset)

    def query_runs(
        self, query: RunQuery, limit: int | None = None, offset: int = 0
    ) -> list[RunRecord]:
        """Return the runs that match a query, the newest start first."""
        matching = [run for run in self._newest() if matches_query(run, query)]
        return paginate(matching, limit, offset)

    def summarize_runs(self, query: RunQuery) -> RunSummary:
        """Return counts and durations of the runs that match a query."""
        return summarize(self.query_runs(query))

    def find_runs_by_prefix(
        self, run_id_prefix: str, limit: int = 10
    ) -> list[RunRecord]:
        """Return the runs with an id that begins with a prefix, the newest first."""
        if not is_prefix(run_id_prefix):
            return []
        found = [run for run in self._newest() if run.run_id.startswith(run_id_prefix)]
        return paginate(found, limit)

    def get_events(
        self,
        run_id: str,
        event_type: EventType | None = None,
        *,
        after: int = 0,
        limit: int | None = None,
    ) -> list[StoredEvent]:
        """Return a run's events by ascending ``seq``."""
        events = [
            stored_event(seq, line.type, line.timestamp, line.stage, line.text)
            for seq, line in self._lines(run_id)
            if seq > after and event_type in (None, *_event_types(line.type))
        ]
        return paginate(events, limit)

    def get_event(self, run_id: str, seq: int) -> StoredEvent | None:
        """Return one event."""
        with self._lock:
            stored = self._runs.get(run_id)
            line = stored.lines.get(seq) if stored else None
        if line is None:
            return None
        return stored_event(seq, line.type, line.timestamp, line.stage, line.text)

    def get_event_headers(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[EventHeader]:
        """Return a run's events by ascending ``seq``, without payload and notes."""
        parsed = map(parse_header, self.get_events(run_id, after=after))
        known = (one for one in parsed if one is not None)
        return list(islice(known, None if limit is None or limit < 0 else limit))

    def get_logs(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[LogEntry]:
        """Return a run's log records by ascending number."""
        with self._lock:
            stored = self._runs.get(run_id)
            entries = list(stored.logs) if stored else []
        return paginate([entry for entry in entries if entry.number > after], limit)

    def count_events(self, run_id: str) -> dict[str, int]:
        """Return how many events of each type a run has."""
        return dict(Counter(line.type for _, line in self._lines(run_id)))

    def get_definition(self, fingerprint: str) -> str | None:
        """Return the definition that ``save_definition`` stored."""
        return self._definitions.get(fingerprint)

    def _newest(self) -> list[RunRecord]:
        now = datetime.now(UTC)
        with self._lock:
            latest_first = list(reversed(self._runs.values()))
        runs = [resolve_status(stored.run, now) for stored in latest_first]
        return sorted(runs, key=lambda run: run.start_time, reverse=True)

    def _lines(self, run_id: str) -> list[tuple[int, EventLine]]:
        with self._lock:
            stored = self._runs.get(run_id)
            return sorted(stored.lines.items()) if stored else []

    # -- removing

    def delete_run(self, run_id: str) -> bool:
        """Forget a run and its events."""
        return self.delete_runs([run_id]) == 1

    def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Forget these runs and their events."""
        with self.transaction():
            removed = [
                (name, self._runs.pop(name)) for name in run_ids if name in self._runs
            ]
            self._add_undo(lambda: self._runs.update(removed))
            return len(removed)


def _event_types(type_name: str) -> tuple[EventType, ...]:
    return (EventType(type_name),) if type_name in EventType._value2member_map_ else ()
