"""Who is asked next when a step has failed.

The chain is: the step's own handler, the pipe's handler, nobody.  A handler that fails
in turn, by raising or by answering ``Raise(...)``, passes its own error one level up and
is never asked again for the same failure: a chain is climbed, not circled.

A cancellation token's ``PipelineCancelled`` climbs the same chain, so handlers may
swallow it, but at the top it ends the run as cancelled and not as failed.
"""

from __future__ import annotations

import attrs

from .._plan.nodes import Callback
from ..errors import PipelineCancelled
from .texts import text_of


@attrs.frozen(eq=False)
class Ask:
    """Ask this handler; if it fails too, go on from ``level``."""

    handler: Callback
    """The handler to call."""
    level: int
    """Where to continue."""


@attrs.frozen(eq=False)
class Cancelled:
    """Nobody swallowed the cancellation: the run stops as CANCELLED."""

    reason: str
    """The token's reason."""


@attrs.frozen(eq=False)
class Unhandled:
    """Nobody handled it: the run has failed."""

    error: Exception
    """What was raised last."""


Verdict = Ask | Cancelled | Unhandled


def escalate(
    error: Exception, level: int, handlers: tuple[Callback | None, ...]
) -> Verdict:
    """Say what to do about an error.

    Args:
        error: what was raised.
        level: how many handlers were passed already.
        handlers: local first, then global; None where there is none.
    """
    for position in range(level, len(handlers)):
        handler = handlers[position]
        if handler is not None:
            return Ask(handler, position + 1)
    cancelled = cancellation_in(error)
    return Unhandled(error) if cancelled is None else Cancelled(text_of(cancelled))


def cancellation_in(error: BaseException) -> PipelineCancelled | None:
    """Return the token's cancellation if the error is one, or a group of nothing else.

    A task group in a step wraps what its children raise.  If anything else is in the
    group, something has failed, and the group stays the failure that it is.
    """
    if isinstance(error, PipelineCancelled):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    found, others = error.split(PipelineCancelled)
    first: object = None if others is not None else found
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, PipelineCancelled) else None


def link(error: Exception, cause: Exception) -> None:
    """Make one error the cause of another, unless it leads there already.

    A handler may raise the very cause of what it was given; a circle of causes would
    trap whoever follows them.
    """
    behind: BaseException | None = cause
    while behind is not None and behind is not error:
        behind = behind.__cause__
    if behind is None and error.__cause__ is None:
        error.__cause__ = cause
