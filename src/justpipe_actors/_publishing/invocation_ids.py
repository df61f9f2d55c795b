"""What the engine passes with an event: the ids of an invocation, and its figures."""

from __future__ import annotations

from typing import Any

import attrs

from .._util.lazy_classes import define
from ..meta import StepStatus


@define(eq=False, repr=False)
class InvocationIds:
    """The ids of an event.

    Instances are never modified.  The class is not frozen because a frozen instance costs
    four times as much to create, and there is one per invocation.
    """

    invocation: str | None = None
    """``invocation_id``."""
    parent: str | None = None
    """``parent_invocation_id``."""
    owner: str | None = None
    """``owner_invocation_id``."""
    attempt: int = 1
    """``attempt``."""
    scope: tuple[str, ...] = ()
    """``scope``."""
    template: dict[str, object] | None = attrs.field(default=None, init=False)
    """The fields of an event that was built with these ids; the next one copies it."""


NO_IDS = InvocationIds()


InvocationFigures = tuple[float, StepStatus, int, dict[str, Any] | None]
"""Seconds, status, number of tries and notes of an invocation: the meta of its end.

perf: the dict that an event shows is built with the event, if it is (bench: chain).
"""


def meta_of(figures: InvocationFigures, attempt: int) -> dict[str, Any]:
    """Return the notes of an invocation and the framework's own figures."""
    seconds, status, tries, notes = figures
    framework: dict[str, object] = {
        # perf: ``round`` takes three times as long (bench: chain).
        "duration_s": int(seconds * 1e6 + 0.5) / 1e6,
        "attempt": attempt,
        "status": status,
    }
    if tries > 1:
        framework["tries"] = tries
    return (
        {"framework": framework} if notes is None else {**notes, "framework": framework}
    )
