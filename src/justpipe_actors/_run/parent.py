"""A child run speaks through its parent."""

from __future__ import annotations

from typing import ClassVar

import attrs

from .._actors.activation import Activation
from ..events import Event
from .voice import RunVoice


@attrs.frozen(eq=False)
class ParentSink:
    """A child run's sink: its parent's voice."""

    voice: RunVoice
    """The parent's."""
    act: Activation
    """The invocation the child works for."""
    dropped: int = 0
    """Nothing is dropped here."""
    depth: int = 0
    """Nothing waits here."""

    can_shut: ClassVar[bool] = False
    """It is asked through its child's voice."""

    def __len__(self) -> int:
        return 0

    def shut(self, *, is_shut: bool) -> None:
        """Do nothing: the parent's producers are others."""

    def end(self) -> None:
        """Do nothing: the parent goes on."""

    @property
    def is_full(self) -> bool:
        """Whether the parent's producers have to wait."""
        return self.voice.is_full

    async def wait_room(self) -> None:
        """Wait until there is room in the parent's stream."""
        await self.voice.wait_room()

    def put(self, event: Event) -> None:
        """Say it in the parent's stream."""
        self.voice.relay(event, self.act)
