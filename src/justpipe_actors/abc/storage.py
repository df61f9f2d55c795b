"""What remembers runs, and what writes one down while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, runtime_checkable

from ..events import Event, EventType
from ..outcomes import PipelineEndData
from ..records import (
    EventChunk,
    RunQuery,
    RunRecord,
    RunStatus,
    RunSummary,
    StoredEvent,
)
from .middleware import Wake


class PauseProducers(Protocol):
    """Makes a run's producers ask their recorder for room, or not any more."""

    def __call__(self, *, paused: bool) -> None:
        """Say which."""


class RunRecorder(Protocol):
    """Writes one run down while it runs; nothing it does may fail the run."""

    pause_producers: PauseProducers
    """Told whenever ``is_full`` changes; the run sets it."""
    is_hooked: bool
    """Whether users' hooks may have rewritten events; the run says so."""
    on_abort: Callable[[BaseException], None]
    """Told of an interrupt that a user's hook raises, so that it ends the run; as above."""

    @property
    def is_full(self) -> bool:
        """Whether producers have to wait."""
        ...

    def begin(self, wake: Wake) -> None:
        """Hear that the run begins, and how to call into its event loop."""

    def put(self, event: Event) -> None:
        """Take an event, as it is at this moment; quick, for the loop waits."""

    def put_token(self, event: Event, payload: object) -> None:
        """Take an event of a kin of tokens, the like of which come in thousands."""

    async def wait_writable(self) -> None:
        """Wait until producers need not wait any more; not for ever."""

    async def let_go(self) -> None:
        """Hear that a durable run goes on elsewhere, or later, and store what waits."""
        ...

    async def finish(self, end: PipelineEndData) -> None:
        """Hear how the run ended, FINISH having been put; not for ever, either."""


@runtime_checkable
class StorageBackend(Protocol):
    """Remembers the runs of one pipe, and their events.

    Every method is synchronous, may be called from any thread, and is complete when it
    returns.  Moments are timezone-aware UTC when they are read; naive ones that are
    written count as local time.  An item that cannot be read is left out with a warning
    and never keeps the others from being read.
    """

    # -- writing

    def transaction(self) -> AbstractContextManager[object]:
        """Keep what this thread writes inside the block together, or none of it."""
        ...

    def begin_run(self, run: RunRecord) -> None:
        """Remember a run that is running; again does nothing, save for its record."""
        ...

    def append_events(self, run_id: str, events: Sequence[str]) -> None:
        """Add events, each the JSON text of one, before or after the run has ended.

        A ``seq`` that is stored already is ignored.  An unknown run is begun.

        Raises:
            ValueError: one of them is no JSON object; nothing is added.
        """
        ...

    def save_run(self, run: RunRecord, events: Sequence[str] = ()) -> None:
        """Remember how a run ended, and the rest of its events, or nothing of it.

        Raises:
            ValueError: one of the events is no JSON object.
            Exception: the backend may refuse a run that has ended before.
        """
        ...

    def touch_runs(self, run_ids: Sequence[str], at: datetime) -> None:
        """Note that whoever runs these runs is alive."""
        ...

    def mark_abandoned(self) -> int:
        """Write down which running runs nobody runs any more; return how many.

        Reading never needs it: such a run is shown as abandoned anyway.
        """
        ...

    def save_definition(self, fingerprint: str, description: str) -> None:
        """Remember what a fingerprint stands for, as JSON text of ``describe()``."""
        ...

    # -- reading

    def get_run(self, run_id: str) -> RunRecord | None:
        """Return the run of exactly this id."""
        ...

    def list_runs(
        self, status: RunStatus | None = None, limit: int = 100, offset: int = 0
    ) -> list[RunRecord]:
        """Return runs of one status, or all; the newest start first."""
        ...

    def query_runs(
        self, query: RunQuery, limit: int | None = None, offset: int = 0
    ) -> list[RunRecord]:
        """Return the runs a query means, the newest start first; None is no limit."""
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
        """Return how many events of each type a run has."""
        ...

    def find_runs_by_prefix(
        self, run_id_prefix: str, limit: int = 10
    ) -> list[RunRecord]:
        """Return runs whose id begins with a text, case and all; the newest first.

        A text that is empty or has other characters than letters, digits and ``_-.:``
        begins no run's id.
        """
        ...

    def get_definition(self, fingerprint: str) -> str | None:
        """Return what ``save_definition`` was given."""
        ...

    # -- removing

    def delete_run(self, run_id: str) -> bool:
        """Forget a run and its events; False when there is none."""
        ...

    def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Forget these runs and their events, all in one; return how many there were."""
        ...


@runtime_checkable
class ChunkStore(Protocol):
    """What a backend has besides, if it can keep events without their full text.

    A backend without it is given every event by ``append_events``, which costs several
    times as much.
    """

    def append_chunks(self, run_id: str, chunks: Sequence[EventChunk]) -> None:
        """Add events that were taken apart; else like ``append_events``.

        An event whose payload repeats an earlier one may follow in another call.
        """
        ...


@runtime_checkable
class HeaderStore(Protocol):
    """What a backend has besides, if it can read events without their payloads.

    A state that grows with its run makes the payloads of a run many times as long as
    what happened in it.
    """

    def get_event_headers(
        self, run_id: str, *, after: int = 0, limit: int | None = None
    ) -> list[Event]:
        """Return a run's events by ascending ``seq``, without payload and meta.

        Events of types that this version does not know are left out.
        """
        ...
