"""Protocols of stores, of the recorder of a run, and of readers of stored events.

A store is synchronous and is called in threads, because database drivers are.  A recorder
is called in the event loop and must not block it; it passes the events on to the thread
that writes the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, runtime_checkable

from ..events import Event, EventType
from ..logs import LogEntry
from ..outcomes import PipelineEndData
from ..records import (
    EventChunk,
    EventHeader,
    RunQuery,
    RunRecord,
    RunStatus,
    RunSummary,
    StoredEvent,
)


Wake = Callable[[Callable[[], None]], None]
"""Calls a function in a run's event loop, from any thread; no effect after its end."""


class RunRecorder(Protocol):
    """Stores one run while it runs; its errors must not fail the run."""

    pause_producers: Callable[[], None]
    """Called when ``is_full`` becomes true; the run sets it."""
    resume_producers: Callable[[], None]
    """Called when ``is_full`` becomes false; the run sets it."""
    is_hooked: bool
    """True if users' hooks may have rewritten events; the run sets it."""
    on_abort: Callable[[BaseException], None]
    """Called with an interrupt from a user's hook, to end the run; the run sets it."""

    journal: str | None
    """Location of the journal of a durable run; the run sets it."""

    @property
    def is_full(self) -> bool:
        """Whether producers have to wait."""
        ...

    def begin(self, wake: Wake) -> None:
        """Start recording; ``wake`` calls a function in the run's event loop."""

    def put(self, event: Event) -> None:
        """Take a copy of an event as it is now; must not block the loop."""

    def put_token(self, event: Event, payload: object) -> None:
        """Take one of many similar TOKEN events; a faster path than ``put``.

        Args:
            event: the event.
            payload: its payload, as it is to be stored.
        """

    async def wait_writable(self) -> None:
        """Wait until producers may go on; bounded in time."""

    async def release(self) -> None:
        """Store the queued events: the durable run goes on later, or in another process."""
        ...

    async def finish(self, end: PipelineEndData) -> None:
        """Store the end of the run; FINISH was put before; bounded in time."""


@runtime_checkable
class StorageBackend(Protocol):
    """Stores the runs of one pipe, and their events.

    Every method is synchronous, may be called from any thread, and is complete when it
    returns.  Times are timezone-aware UTC when they are read; naive ones that are
    written count as local time.  An item that cannot be read is left out with a warning
    and never keeps the others from being read.
    """

    # -- writing

    def transaction(self) -> AbstractContextManager[object]:
        """Store all writes of this thread inside the block, or none of them.

        Returns:
            The block to enter.
        """
        ...

    def begin_run(self, run: RunRecord) -> None:
        """Store a running run; a second call only updates its record."""
        ...

    def append_events(self, run_id: str, events: Sequence[str]) -> None:
        """Add events, each the JSON text of one, before or after the run has ended.

        A ``seq`` that is stored already is ignored.  An unknown run is begun.

        Args:
            run_id: the run.
            events: the texts, in order.

        Raises:
            ValueError: one of them is no JSON object; nothing is added.
        """
        ...

    def save_run(self, run: RunRecord, events: Sequence[str] = ()) -> None:
        """Store how a run ended and the rest of its events, all or nothing.

        Raises:
            ValueError: one of the events is no JSON object.
            Exception: the backend may refuse a run that has ended before.
        """
        ...

    def touch_runs(self, run_ids: Sequence[str], at: datetime) -> None:
        """Note that the process of these runs is alive; sets their ``last_seen``.

        Args:
            run_ids: the runs.
            at: the time, with a time zone.
        """
        ...

    def mark_abandoned(self) -> int:
        """Mark running runs of dead processes as abandoned; return their number.

        Not those with a journal, which the next process takes up.
        Reading does not depend on it: such a run is shown as abandoned in any case.
        """
        ...

    def save_definition(self, fingerprint: str, description: str) -> None:
        """Store the definition of a fingerprint, as JSON text of ``describe()``.

        Args:
            fingerprint: the definition's fingerprint.
            description: the text.
        """
        ...

    # -- reading

    def get_run(self, run_id: str) -> RunRecord | None:
        """Return the run of exactly this id.

        Args:
            run_id: the run.
        """
        ...

    def list_runs(
        self, status: RunStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[RunRecord]:
        """Return runs of one status, or all; the newest start first.

        Args:
            status: the status; None is any.
            limit: most runs.
            offset: number of runs to leave out, from the newest on.
        """
        ...

    def query_runs(
        self, query: RunQuery, limit: int | None = None, offset: int = 0
    ) -> list[RunRecord]:
        """Return the runs a query means, the newest start first; None is no limit.

        Args:
            query: the conditions.
            limit: most runs; None is all.
            offset: number of runs to leave out, from the newest on.
        """
        ...

    def summarize_runs(self, query: RunQuery) -> RunSummary:
        """Return counts and durations of the runs a query means."""
        ...

    def get_events(
        self,
        run_id: str,
        event_type: EventType | None = None,
        *,
        after: int = 0,
        limit: int | None = None,
    ) -> list[StoredEvent]:
        """Return a run's events by ascending ``seq``; none for an unknown run.

        Args:
            run_id: the run.
            event_type: only these.
            after: only those with a greater ``seq``, to go on from there.
            limit: at most so many.
        """
        ...

    def count_events(self, run_id: str) -> dict[str, int]:
        """Return how many events of each type a run has.

        Args:
            run_id: the run.
        """
        ...

    def find_runs_by_prefix(
        self, run_id_prefix: str, limit: int = 10
    ) -> list[RunRecord]:
        """Return runs by the beginning of their id, case-sensitively, the newest first.

        A text that is empty or has other characters than letters, digits and ``_-.:``
        begins no run's id.

        Args:
            run_id_prefix: the beginning.
            limit: most runs.
        """
        ...

    def get_definition(self, fingerprint: str) -> str | None:
        """Return the description that ``save_definition`` got.

        Args:
            fingerprint: the definition's fingerprint.
        """
        ...

    # -- removing

    def delete_run(self, run_id: str) -> bool:
        """Delete a run and its events; False if there is no such run.

        Args:
            run_id: the run.

        Returns:
            Whether there was such a run.
        """
        ...

    def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Delete these runs and their events in one transaction; return how many.

        Args:
            run_ids: the runs; unknown ones are left out.
        """
        ...


@runtime_checkable
class ChunkStore(Protocol):
    """Optional part of a backend that can store events without their full text.

    A backend without it is given every event by ``append_events``, which costs several
    times as much.
    """

    def append_chunks(self, run_id: str, chunks: Sequence[EventChunk]) -> None:
        """Add events from chunks; otherwise like ``append_events``.

        An event may repeat the payload of an event of an earlier call.

        Args:
            run_id: the run.
            chunks: the events, in order.
        """
        ...


@runtime_checkable
class HeaderStore(Protocol):
    """Optional part of a backend that can read events without their payloads, or alone.

    A state that grows with its run makes the payloads of a run many times as long as
    what happened in it.
    """

    def get_event_headers(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[EventHeader]:
        """Return a run's events by ascending ``seq``, without payload and notes.

        Events of types that this version does not know are left out.

        Args:
            run_id: the run.
            after: only events with a greater ``seq``.
            limit: most events; None is all.
        """
        ...

    def get_event(self, run_id: str, seq: int) -> StoredEvent | None:
        """Return one event with its payload, without reading the run's others.

        None if the run has no event of this number.

        Args:
            run_id: the run.
            seq: the event's number.
        """
        ...


@runtime_checkable
class LogStore(Protocol):
    """Optional part of a backend that can store the log records of runs.

    A backend without it stores runs without their log records.
    """

    def append_logs(self, run_id: str, entries: Sequence[LogEntry]) -> None:
        """Add log records of a run, which get the next numbers of the run.

        The backend may drop the oldest ones of a run that has many.
        An unknown run is begun.

        Args:
            run_id: the run.
            entries: the records, in order.
        """
        ...

    def get_logs(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[LogEntry]:
        """Return a run's log records by ascending number; none for an unknown run.

        Args:
            run_id: the run.
            after: only those with a greater number, to go on from there.
            limit: at most so many.
        """
        ...


class RunHistory(Protocol):
    """The stored events of one run.

    Both methods are synchronous, may take some time, and are called in worker threads.
    """

    def is_open(self) -> bool:
        """Tell whether more events may come, because a process works on the run.

        Events that are read after it returned False are complete.
        """
        ...

    def read(self, after: int, limit: int) -> Sequence[Event]:
        """Return the next events by ascending number; none when no more are stored.

        Args:
            after: only those with a greater number.
            limit: at most so many.
        """
        ...


FindHistory = Callable[[str], RunHistory | None]
"""Returns the stored events of exactly one run by its id; None when it has none.

It searches stores of pipes, or one database of many.
"""
