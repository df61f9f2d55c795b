"""Protocols through which the engine publishes events and applies backpressure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from .._util.lazy_classes import define
from ..events import EventType, NodeKind
from ..meta import StepStatus


if TYPE_CHECKING:
    from .run_state import RunState


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


class Backpressure(Protocol):
    """Tells producers whether they must wait before they publish."""

    @property
    def is_full(self) -> bool:
        """Whether producers of user events must wait."""
        ...


class AdmissionPlace(Protocol):
    """The place of a run at work, which it gives back while it only waits."""

    is_given_back: bool
    """Whether another run may have the place."""
    members: list[RunState]
    """The run, and its child runs at work."""

    def look_soon(self) -> None:
        """Give the place back soon if nothing but waits is left then."""
        ...

    def resume(self, func: Callable[[], None]) -> None:
        """Call a function when the run has its place again."""
        ...

    def end(self) -> None:
        """Note that the run has ended."""
        ...


class Publisher(Protocol):
    """Publishes the events of a run."""

    @property
    def backpressure(self) -> Backpressure:
        """The object to check for backpressure at the lowest cost."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether producers of user events must wait."""
        ...

    @property
    def keeps_events(self) -> bool:
        """Whether events can be seen, now or later; else they are only counted."""
        ...

    def count(
        self,
        type: EventType,
    ) -> None:
        """Count and number an event that nothing can see."""

    async def wait_writable(self) -> None:
        """Wait until the buffer has space for one more event."""

    def publish(
        self,
        type: EventType,
        stage: str,
        payload: object = None,
        kind: NodeKind = NodeKind.SYSTEM,
        ids: InvocationIds = NO_IDS,
        meta: dict[str, Any] | InvocationFigures | None = None,
    ) -> None:
        """Publish an event, even if the buffer is full."""

    def token_publisher(
        self,
        type: EventType,
        stage: str,
        ids: InvocationIds,
    ) -> tuple[Callable[[object], None], Callable[[], int]]:
        """Return a function that publishes this event with the payload it is given.

        The other function returns how many it has published.
        """
        ...
