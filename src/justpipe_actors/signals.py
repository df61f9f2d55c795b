"""What a step may answer instead of a value."""

from __future__ import annotations

from dataclasses import dataclass
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
