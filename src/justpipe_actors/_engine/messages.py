"""What one actor tells another.

Messages are frozen and made of ids and plain values: whoever wants to journal them can
write them down as they are, and nothing in an inbox keeps a finished run alive.

They are frozen for the type checkers only.  At run time a frozen class assigns each
field through ``object.__setattr__``, which is four times as dear, and there is one
message per step of every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._plan.plan import NO_ITEM


if TYPE_CHECKING:
    from attrs import frozen
else:
    from attrs import define as frozen


@frozen(eq=False)
class Start:
    """Begin one invocation of the step this is addressed to."""

    run_id: str
    """The run on whose behalf."""
    step: str
    """The step to run."""
    wave: int
    """The pass through the graph it belongs to."""
    cause: str | None = None
    """Invocation that led to it; for a further attempt, the one before."""
    item: object = NO_ITEM
    """A map worker's item."""
    map_id: str | None = None
    """The map invocation it works for, when it is a worker."""
    scope: tuple[str, ...] = ()
    """The map workers around it."""
    attempt: int = 1
    """1, and one more for each ``Retry()``."""
    owner: str | None = None
    """Logical owner of a further attempt; else derived."""
    before: frozenset[str] = frozenset()
    """Steps that had started when a map worker's wave began; it is opened when needed."""


@frozen(eq=False)
class Expire:
    """A join has waited too long: judge it."""

    run_id: str
    """The run on whose behalf."""
    step: str
    """The join."""
    wave: int
    """The pass it waited in."""
    error: TimeoutError
    """The timeout, naming who is missing."""


Message = Start | Expire
