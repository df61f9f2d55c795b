"""Protocols through which the engine publishes events and applies backpressure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .._util.lazy_classes import define
from ..events import EventType, NodeKind


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


NO_IDS = InvocationIds()


class Backpressure(Protocol):
    """Tells producers whether they must wait before they publish."""

    @property
    def is_full(self) -> bool:
        """Whether producers of user events must wait."""
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

    async def wait_writable(self) -> None:
        """Wait until the buffer has space for one more event."""

    def publish(
        self,
        type: EventType,  # noqa: A002 - the event's field name
        stage: str,
        payload: object = None,
        kind: NodeKind = NodeKind.SYSTEM,
        ids: InvocationIds = NO_IDS,
        meta: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """Publish an event even if full; return its fields for ``publish_like``."""
        ...

    def publish_like(
        self,
        event_template: dict[str, object],
        type: EventType,  # noqa: A002 - the event's field name
        stage: str,
        payload: object,
        meta: dict[str, object] | None = None,
    ) -> None:
        """Publish an event with the same ids as an earlier event."""

    def token_publisher(
        self,
        type: EventType,  # noqa: A002 - the event's field name
        stage: str,
        ids: InvocationIds,
    ) -> Callable[[object], None]:
        """Return a function that publishes this event with the payload it is given."""
        ...
