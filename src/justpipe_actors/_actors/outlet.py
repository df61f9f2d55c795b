"""What a streaming step speaks through: one TOKEN event per item, when there is room."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trio.lowlevel import enable_ki_protection

from .. import seams
from ..events import EventType
from ..seams import Seam


if TYPE_CHECKING:
    from .activation import Activation


class Outlet:
    """The way of one activation's items to the consumer."""

    __slots__ = ("_act", "_tell", "voice")

    def __init__(self, act: Activation) -> None:
        self._act = act
        self.voice = act.ledger.voice
        self._tell = self.voice.teller(EventType.TOKEN, act.node.name, act.lineage)

    @property
    def put(self) -> Callable[[object], None]:
        """What says one item, room or not."""
        return self._tell

    @enable_ki_protection
    async def wait_room(self) -> None:
        """Wait until the consumer has caught up."""
        if seams.active is not None:
            ledger = self._act.ledger
            await seams.active.reach(Seam.EMIT, ledger.run_id, self._act.node.name)
        if self.voice.is_full:
            await self._act.wait_room()
