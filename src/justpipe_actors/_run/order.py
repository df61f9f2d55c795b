"""A run as it was asked for, before anything of it exists."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from .._plan.nodes import Plan
from ..abc import EventHook, ObserverProtocol
from ..cancellation import CancellationToken


if TYPE_CHECKING:
    from attrs import frozen

    from ..abc import RunRecorder
else:
    # Frozen for type checkers only: see ``_actors.messages``.
    from attrs import define as frozen


_UUID_BITS = 0x4 << 76 | 0x8 << 60
"""What every random UUID has: its version, and its variant."""
_RANDOM_BITS = ~(0xF << 76 | 0x3 << 62)


def new_id() -> str:
    """Return a new run id: the 32 hex digits of a random UUID, at a third of its price."""
    bits = int.from_bytes(os.urandom(16))
    return f"{bits & _RANDOM_BITS | _UUID_BITS:032x}"


@frozen(eq=False, kw_only=True)
class Order:
    """A run as it was asked for."""

    plan: Plan
    """What to follow."""
    state: object
    """Its state."""
    context: object = None
    """Its context."""
    start: str | None = None
    """Where to begin, when not at the roots."""
    capacity: int = 1000
    """Events that may wait for the consumer."""
    overflow: str = "block"
    """What happens when the consumer is behind: block, drop_oldest or fail."""
    timeout: float | None = None
    """Seconds the actors may work."""
    token: CancellationToken
    """The pipe's token; the run gets a child of it."""
    hooks: Sequence[EventHook] = ()
    """Event hooks."""
    observers: Sequence[ObserverProtocol] = ()
    """Observers."""
    record: Callable[[str], RunRecorder] | None = None
    """Returns what writes down the run of an id; None is nothing."""
    log_state: bool | Callable[[object], str] = True
    """Whether, or how, error logs show the state."""
    run_id: str = attrs.field(factory=new_id)
    """The run's id."""
