"""Who hears what a run says, and what it is told about the run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import attrs

from ..events import Event


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
