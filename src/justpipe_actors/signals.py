"""What a step may answer instead of a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True)
class Stop:
    """End the run now and well; the class itself means the same as an instance."""


@dataclass
class Suspend:
    """End the run now, saying that something outside has to happen first."""

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
    """What to fail with; None makes the engine word a RuntimeError."""


@dataclass
class Ask:
    """Wait for a person, or for a moment, before the run goes on: between two steps.

    Nothing of the run is at work meanwhile.  The answer is the argument of the next
    step's free parameter, as a map's item is of its worker's.
    """

    form: Any
    """The type of the answer; None waits for the ``timeout`` alone."""
    note: str = ""
    """What the asked person reads."""
    to: Any = None
    """The step that gets the answer; None means the static successors."""
    timeout: float | timedelta | None = None
    """How long the question is open, in seconds; None is for ever."""
    on_timeout: Any = None
    """The step to start when nobody answered in time; None fails the asking step."""
    key: str = "ask"
    """Names the question among those of its step."""


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
