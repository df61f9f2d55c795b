"""The sockets: what a part must look like to be plugged in.

Contracts are documented here once; implementations add only what differs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from .events import Event
from .shape import StepContext


T = TypeVar("T")

Middleware = Callable[[Callable[..., Any], StepContext], Callable[..., Any] | None]
"""Wraps a step's function; the result is called with keyword arguments only."""

EventHook = Callable[[Event], Event]
"""Rewrites an event before observers and the consumer see it."""


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


@dataclass(frozen=True, slots=True)
class ObserverMeta:
    """Which run an observer is told about."""

    pipe_name: str
    """Name of the pipe."""
    run_id: str | None = None
    """``Event.run_id`` of the run."""
    started_at: float | None = None
    """Wall clock at the start of the run, in seconds since the epoch."""


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
