"""What the value means that a step returned.

A step speaks to the engine through its result: nothing, a step's name, a signal.  This
page is the whole of that language.  It is pure: the actors carry out what it says.

Only *instances* of ``Retry``, ``Skip`` and ``Raise`` count; ``Stop`` counts as a class
too, because that is how the reference's users write it.
"""

from __future__ import annotations

import attrs

from .._definition.names import resolve_name
from ..signals import Raise, Retry, Skip, Stop, Suspend, _Map, _Next, _Run


@attrs.frozen
class Proceed:
    """Go on to the static successors."""

    ignored: object = None
    """A returned value that means nothing; worth a warning when not None."""
    pruned: bool = False
    """A worker failed: done, but the successors must not run."""


@attrs.frozen
class GoTo:
    """Start this step instead of the static successors."""

    target: str
    """Its name, known to the plan or not."""


@attrs.frozen
class Halt:
    """Stop the run, well."""


@attrs.frozen
class Pause:
    """Stop the run and say why it waits."""

    reason: object
    """Payload of the SUSPEND event."""


@attrs.frozen
class Cut:
    """Do not run the successors."""


@attrs.frozen
class Again:
    """Make another attempt."""


@attrs.frozen(eq=False)
class Fail:
    """Treat it as if this had been raised."""

    error: Exception
    """The exception, whole."""
    step: str | None = None
    """Where it really happened, when not in the step itself: ``"sub:inner"``."""


@attrs.frozen(eq=False)
class FanOut:
    """Run a map owned by this step."""

    items: object
    """What to map over."""
    target: str
    """The worker."""


@attrs.frozen(eq=False)
class Descend:
    """Run a child pipe owned by this step."""

    pipe: object
    """The child."""
    state: object
    """Its state."""


Answer = Proceed | GoTo | Halt | Pause | Cut | Again | Fail | FanOut | Descend

PROCEED = Proceed()

CONTROL_ITEMS = (Suspend, _Next, _Map, _Run)
"""What a streaming step may yield that is not a token; the last one is its result."""


def interpret(value: object, step: str) -> Answer:  # noqa: C901 - one row a value
    """Say what a step's result means.

    Raises:
        BaseException: the result is ``Raise()`` with one that is no ``Exception``.
    """
    match value:
        case None:
            return PROCEED
        case str():
            return GoTo(value)
        case Stop():
            return Halt()
        case Suspend():
            return Pause(value.reason)
        case Skip():
            return Cut()
        case Retry():
            return Again()
        case Raise():
            return Fail(_exception_of(value, step))
        case _Next() | _Map() | _Run():
            return _interpret_control(value)
        case _:
            return Halt() if value is Stop else Proceed(ignored=value)


def _interpret_control(value: _Next | _Map | _Run) -> Answer:
    match value:
        case _Next(target=None):
            return Proceed(ignored=value)
        case _Next():
            return _named(value.target, GoTo)
        case _Map():
            return _named(value.target, lambda name: FanOut(value.items, name))
        case _Run():
            return Descend(value.pipe, value.state)


def _named(target: object, build: object) -> Answer:
    try:
        return build(resolve_name(target))  # type: ignore[operator,no-any-return]
    except ValueError as error:
        return Fail(error)


def _exception_of(answer: Raise, step: str) -> Exception:
    """Return what to fail with, whatever was put into ``Raise(...)``."""
    found: object = answer.exception
    if found is None:
        return RuntimeError(f"Step '{step}' returned Raise() without an exception.")
    if isinstance(found, type) and issubclass(found, BaseException):
        found = found()
    if isinstance(found, Exception):
        return found
    if isinstance(found, BaseException):
        raise found
    kind = type(found).__name__
    return TypeError(f"Step '{step}' returned Raise() with {kind}, not an exception.")
