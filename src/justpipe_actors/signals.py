"""Signals: results with which a step controls the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._util.lazy_classes import dataclass


if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True)
class Stop:
    """End the run now with SUCCESS; the class itself means the same as an instance."""


@dataclass
class Suspend:
    """End the run now as suspended: something outside has to happen first."""

    reason: Any
    """Payload of the SUSPEND event."""


@dataclass
class Retry:
    """Run this step again, as the next attempt of the same invocation."""


@dataclass
class Skip:
    """Do not run the successors of this step."""


@dataclass
class Raise:
    """Fail with this exception, as if the step had raised it."""

    exception: Exception | None = None
    """The exception; None makes the engine raise a RuntimeError."""


@dataclass
class Ask:
    """Wait for an answer or a point in time between two steps.

    No code of the run executes meanwhile.  The answer is passed to the free parameter
    of the next step, as an item is passed to a map's worker.
    """

    form: Any
    """The type of the answer; None waits for the ``timeout`` alone."""
    note: str = ""
    """Text shown with the question."""
    to: Any = None
    """The step that gets the answer; None means the static successors."""
    timeout: float | timedelta | None = None
    """How long the question stays open, in seconds; None sets no limit."""
    on_timeout: Any = None
    """The step to start when no answer came in time; None fails the asking step."""
    key: str = "ask"
    """Name of the question, unique within its step."""


@dataclass
class _Next:
    target: Any
    """Step to run instead of the static successors: a name or a callable."""


@dataclass
class _Map:
    items: Any
    """What to map over."""
    target: Any
    """The worker step: a name or a callable."""


@dataclass
class _Run:
    pipe: Any
    """The pipe to run as a child."""
    state: Any
    """The child's state."""
