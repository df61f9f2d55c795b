"""Publishing events and waiting for their consumer, as the engine needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from ..events import EventType, NodeKind


@attrs.define(eq=False, repr=False)
class InvocationIds:
    """The ids an event carries.

    Nobody changes one; it is not frozen because that makes it four times as dear, and
    there is one per invocation.
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
    """What producers ask before they say more."""

    @property
    def is_full(self) -> bool:
        """Whether who produces for the user has to wait."""
        ...


class Publisher(Protocol):
    """How a run speaks to the outside."""

    @property
    def backpressure(self) -> Backpressure:
        """What says whether producers have to wait, asked most cheaply."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether who produces for the user has to wait."""
        ...

    async def wait_writable(self) -> None:
        """Wait until there is room for one more event."""

    def publish(
        self,
        type: EventType,  # noqa: A002 - the event's own word
        stage: str,
        payload: object = None,
        kind: NodeKind = NodeKind.SYSTEM,
        ids: InvocationIds = NO_IDS,
        meta: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """Publish one event now, room or not; return its fields, for ``publish_like``."""
        ...

    def publish_like(
        self,
        event_template: dict[str, object],
        type: EventType,  # noqa: A002 - the event's own word
        stage: str,
        payload: object,
        meta: dict[str, object] | None = None,
    ) -> None:
        """Publish another event of whom one was said before, with the same ids."""

    def token_publisher(
        self,
        type: EventType,  # noqa: A002 - the event's own word
        stage: str,
        ids: InvocationIds,
    ) -> Callable[[object], None]:
        """Return what says the same again and again, with another payload each time."""
        ...
