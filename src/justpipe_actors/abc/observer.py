"""Protocols of observers, and the facts about a run that they receive.

Each observer is called in a task of its own, so a slow one delays no step; only
``witness`` is called by the engine itself.  The protocols are structural: an object with
the methods is an observer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import field
from typing import Any, Protocol, runtime_checkable

from .._util.lazy_classes import dataclass, frozen
from ..events import Event


@frozen
class WaitingJoin:
    """A join that at least one parent has reached, and that waits for the others."""

    step: str
    """Name of the step."""
    wave: int
    """The pass through the graph it waits in; laps of a loop differ."""
    parents: tuple[str, ...]
    """All parents that the join waits for."""
    missing: tuple[str, ...]
    """Those that have not reported."""


def no_joins() -> tuple[WaitingJoin, ...]:
    """Return no join: the default of ``ObserverMeta.waiting``."""
    return ()


@dataclass(frozen=True)
class ObserverMeta:
    """The run that an observer is called for."""

    pipe_name: str
    """Name of the pipe."""
    run_id: str | None = None
    """``Event.run_id`` of the run."""
    started_at: float | None = None
    """Wall clock at the start of the run, in seconds since the epoch."""
    waiting: Callable[[], tuple[WaitingJoin, ...]] = field(
        default=no_joins, repr=False, compare=False
    )
    """Returns the joins that wait now; of these, only some have a timeout."""


@runtime_checkable
class ObserverProtocol(Protocol):
    """Receives every event of a run; structural, no base class needed.

    Each observer has an ordered, bounded queue of its own in every run.
    An exception it raises is logged and changes nothing.
    """

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Called when a run begins, before its startup hooks.

        Args:
            state: the live object, not a copy.
            context: the run's context.
            meta: the run's name, id and notes.
        """

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Called for each event, FINISH and forwarded child events included.

        Args:
            state: the live object, not a copy.
            context: the run's context.
            meta: the run's name, id and notes.
            event: the event, after all event hooks.
        """

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """Called when a run has ended with any status but FAILED.

        Args:
            state: the live object, not a copy.
            context: the run's context.
            meta: the run's name, id and notes.
            duration_s: seconds that the run took.
        """

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """Called when a run has ended FAILED, with the exception that caused it.

        Args:
            state: the live object, not a copy.
            context: the run's context.
            meta: the run's name, id and notes.
            error: the exception.
        """


class WitnessProtocol(Protocol):
    """Optional part of an observer: sees an event at the time it is published.

    ``on_event`` is called later, when the state may have changed.  An observer that
    needs the state at the time of the event reads it here.
    """

    def witness(self, state: Any, meta: ObserverMeta, event: Event) -> None:
        """Called for one event, before another step begins.

        It runs on the event loop between two steps, so it must be quick.  At STEP_START
        it runs in the context of the invocation: context variables that it sets are
        visible to the step's function and its error handlers only.

        Args:
            state: the live object, not a copy.
            meta: the run's name, id and notes.
            event: the event.
        """


class WakefulProtocol(Protocol):
    """Optional part of an observer: is called when no event comes for a while.

    The task that hands over the events keeps the time, so no timer of an observer
    outlives its run, and ``on_wake`` never overlaps another hook of the same run.
    """

    def wake_after(self, meta: ObserverMeta) -> float | None:
        """Return after how many seconds without an event to be woken; None is never.

        Asked again before each wait.

        Args:
            meta: the run's name, id and notes.
        """
        ...

    async def on_wake(self, state: Any, context: Any, meta: ObserverMeta) -> None:
        """Called when this time has passed without another event.

        Args:
            state: the live object, not a copy.
            context: the run's context.
            meta: the run's name, id and notes.
        """


class Observer:
    """Base class whose hooks do nothing, for observers that want only some of them.

    It does not inherit from ``ObserverProtocol``, because type checkers take the hooks
    of a protocol for abstract methods.
    """

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Do nothing when a run begins.

        Args:
            state: as for ``ObserverProtocol``, and so are the others.
            context: the run's context.
            meta: the run's name, id and notes.
        """

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Do nothing for an event.

        Args:
            state: the state as it is now.
            context: the run's context.
            meta: the run's name, id and notes.
            event: the event.
        """

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """Do nothing when a run has ended otherwise.

        Args:
            state: the state as it is now.
            context: the run's context.
            meta: the run's name, id and notes.
            duration_s: seconds that the run took.
        """

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """Do nothing when a run has ended FAILED.

        Args:
            state: the state as it is now.
            context: the run's context.
            meta: the run's name, id and notes.
            error: the exception that caused it.
        """


OBSERVER_HOOKS = (
    "on_pipeline_start",
    "on_event",
    "on_pipeline_end",
    "on_pipeline_error",
)
"""The four hooks, in the order they are called."""


def validate_observer(observer: object) -> None:
    """Check that an object can observe runs.

    Args:
        observer: the object.

    Raises:
        TypeError: a hook is missing, is not an ``async def``, or takes other arguments;
            or this is a class.
    """
    if isinstance(observer, type):
        name = observer.__name__
        msg = f"An observer is an object, not the class {name}: pass {name}()."
        raise TypeError(msg)
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
        _validate_arguments(observer, hook)


def _validate_arguments(observer: object, hook: str) -> None:
    """Refuse a hook that its call would refuse at each event.

    Raises:
        TypeError: the hook takes other arguments.
    """
    arguments = list(inspect.signature(getattr(Observer, hook)).parameters)[1:]
    try:
        found = inspect.signature(getattr(observer, hook))
    except (TypeError, ValueError):  # a function of C, for example
        return
    try:
        found.bind(*arguments)
    except TypeError as error:
        name = type(observer).__name__
        msg = (
            f"{name}.{hook} must take {', '.join(arguments)}, and takes "
            f"{', '.join(found.parameters) or 'nothing'}."
        )
        raise TypeError(msg) from error
