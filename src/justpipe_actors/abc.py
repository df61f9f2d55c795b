"""The sockets: what a part must look like to be plugged in.

Contracts are documented here once; implementations add only what differs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

import attrs

from .events import Event, EventType
from .outcomes import PipelineEndData
from .records import (
    EventRow,
    RunQuery,
    RunRecord,
    RunStatus,
    RunSummary,
    StoredEvent,
    TokenRow,
)
from .shape import StepContext


T = TypeVar("T")

Middleware = Callable[[Callable[..., Any], StepContext], Callable[..., Any] | None]
"""Wraps a step's function; the result is called with keyword arguments only."""

EventHook = Callable[[Event], Event]
"""Rewrites an event before observers and the consumer see it."""

Redact = Callable[[Event], Event]
"""Rewrites an event before it is stored; what is seen stays as it is."""

Wake = Callable[[Callable[[], None]], None]
"""Calls a function in a run's event loop, from any thread; nothing once it is gone."""


@runtime_checkable
class Placement(Protocol):
    """Where synchronous step functions run."""

    name: str
    """What ``@pipe.step(placement=...)`` calls it."""

    async def run_sync(self, call: Callable[[], T], /) -> T:
        """Run a call to its end and return its result or raise its exception.

        The call already carries the run's context variables.
        When the awaiting task is cancelled the placement either waits for the call or
        makes sure that its result can no longer be seen.
        """
        ...


@attrs.frozen
class WaitingJoin:
    """A join that has heard of one parent at least, and waits for the others."""

    step: str
    """The join."""
    wave: int
    """The pass through the graph it waits in; laps of a loop differ."""
    parents: tuple[str, ...]
    """Whom it waits for in all."""
    missing: tuple[str, ...]
    """Those that have not reported."""


def no_joins() -> tuple[WaitingJoin, ...]:
    """Know of no join: the default of ``ObserverMeta.waiting``."""
    return ()


@dataclass(frozen=True, slots=True)
class ObserverMeta:
    """Which run an observer is told about."""

    pipe_name: str
    """Name of the pipe."""
    run_id: str | None = None
    """``Event.run_id`` of the run."""
    started_at: float | None = None
    """Wall clock at the start of the run, in seconds since the epoch."""
    waiting: Callable[[], tuple[WaitingJoin, ...]] = field(
        default=no_joins, repr=False, compare=False
    )
    """Ask for the joins that wait right now; only joins with a timeout say so in events."""


@runtime_checkable
class ObserverProtocol(Protocol):
    """Hears everything a run says; structural, no base class needed.

    Each observer has an ordered, bounded queue of its own in every run.
    An exception it raises is logged and changes nothing.
    """

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Hear that a run begins, before its startup hooks."""

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Hear one event, FINISH and forwarded child events included."""

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """Hear that a run ended, whatever its status unless FAILED."""

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """Hear that a run ended FAILED, with the exception behind it."""


class WitnessProtocol(Protocol):
    """What an observer may have besides: to see an event when it is published.

    ``on_event`` is heard later, when the state may have gone on.  Whoever needs the
    state as the event found it looks here.
    """

    def witness(self, state: Any, meta: ObserverMeta, event: Event) -> None:
        """See one event, before the step that caused it is followed by another.

        It runs on the event loop between two steps, so it must be quick.  At STEP_START
        it runs in the context variables of the invocation: what it sets there, the
        step's function and its error handlers see, and nobody else.
        """


class WakefulProtocol(Protocol):
    """What an observer may have besides: to hear that nothing happens.

    The task that hands over the events keeps the time, so no timer of an observer
    outlives its run, and ``on_wake`` never runs beside another hook of the same run.
    """

    def wake_after(self, meta: ObserverMeta) -> float | None:
        """Say after how many seconds of silence to be woken; None is never.

        Asked again before each wait.
        """
        ...

    async def on_wake(self, state: Any, context: Any, meta: ObserverMeta) -> None:
        """Hear that this time has passed without another event."""


class RunRecorder(Protocol):
    """Writes one run down while it runs; nothing it does may fail the run."""

    @property
    def is_full(self) -> bool:
        """Whether producers have to wait."""
        ...

    def begin(self, wake: Wake) -> None:
        """Hear that the run begins, and how to call into its event loop."""

    def put(self, event: Event) -> None:
        """Take an event, as it is at this moment; quick, for the loop waits."""

    async def wait_room(self) -> None:
        """Wait until producers need not wait any more; not for ever."""

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

    def find_runs_by_prefix(self, prefix: str, limit: int = 10) -> list[RunRecord]:
        """Return runs whose id begins with a text, case and all; the newest first.

        A text that is empty or has other characters than letters, digits, ``_`` and
        ``-`` begins no run's id.
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
class RowStore(Protocol):
    """What a backend has besides, if it can keep an event without its full text."""

    def append_rows(self, run_id: str, rows: Sequence[EventRow | TokenRow]) -> None:
        """Add events that were taken apart; else like ``append_events``."""
        ...


class Observer:
    """Base class with silent hooks, for observers that want only some of them."""

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Hear that a run begins."""

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Hear one event."""

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """Hear that a run ended."""

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """Hear that a run ended FAILED."""


OBSERVER_HOOKS = (
    "on_pipeline_start",
    "on_event",
    "on_pipeline_end",
    "on_pipeline_error",
)
"""The four hooks, in the order they are called."""


def validate_observer(observer: object) -> None:
    """Check that an object can observe runs.

    Raises:
        TypeError: a hook is missing, or is not an ``async def``.
    """
    missing = [
        hook for hook in OBSERVER_HOOKS if not callable(getattr(observer, hook, None))
    ]
    if missing:
        msg = f"{type(observer).__name__} is missing required hooks: {', '.join(missing)}."
        raise TypeError(msg)
    for hook in OBSERVER_HOOKS:
        if not inspect.iscoroutinefunction(getattr(observer, hook)):
            msg = f"{type(observer).__name__}.{hook} must be declared with async def."
            raise TypeError(msg)
