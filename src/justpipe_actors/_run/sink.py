"""Where the events of a run go in the end: to a consumer, a tail, or a parent run."""

from __future__ import annotations

from typing import ClassVar, Protocol

from ..events import Event


class Sink(Protocol):
    """Where events go in the end."""

    can_shut: ClassVar[bool]
    """Whether ``shut`` makes producers wait."""

    @property
    def dropped(self) -> int:
        """Events that nobody can read any more."""
        ...

    @property
    def depth(self) -> int:
        """Most events that ever waited here."""
        ...

    def __len__(self) -> int: ...

    @property
    def is_full(self) -> bool:
        """Whether producers have to wait."""
        ...

    def shut(self, *, is_shut: bool) -> None:
        """Let ``is_full`` say also that somebody else has no room."""

    async def wait_room(self) -> None:
        """Wait until there is room."""

    def put(self, event: Event) -> None:
        """Take an event."""

    def end(self) -> None:
        """Hear that no event will come any more."""
