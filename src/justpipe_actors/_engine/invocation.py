"""What a streaming step speaks through: one TOKEN event per item, when there is room."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING

import anyio
import attrs
from anyio.lowlevel import checkpoint
from trio.lowlevel import enable_ki_protection

from .._plan.plan import Node
from .._util import failpoints as seams
from .._util.failpoints import Seam
from ..events import EventType
from ..meta import StepNotes, StepStatus
from .messages import Start
from .protocols import NO_LINEAGE, Lineage
from .run_state import Ledger


if TYPE_CHECKING:
    from .actor import Actor


@attrs.define(eq=False, repr=False)
class Activation:
    """What belongs to one invocation and to nothing else."""

    ledger: Ledger
    """Its run."""
    actor: Actor
    """Whose slot it uses."""
    message: Start
    """What began it."""
    scope: anyio.CancelScope
    """Interrupts it, and nothing beside it; lent by the receiver."""
    variables: Context
    """Its own copy of the run's context variables."""
    lineage: Lineage = NO_LINEAGE
    """The ids of its events."""
    began: float | None = None
    """When it began, in the loop's seconds; None while it waits for room."""
    notes: StepNotes = attrs.field(factory=StepNotes)
    """What it notes about itself."""
    coroutine: Coroutine[object, object, object] | None = None
    """What it is driving, to be asked where it waits."""
    returned: object = None
    """What its function returned, until it is looked at."""
    status: StepStatus = StepStatus.SUCCESS
    """ERROR as soon as its function has failed, even when a handler mends it."""
    failed: bool = False
    """Whether it ended without a handler for its failure."""
    retried: bool = False
    """Whether a further attempt took over, and with it a map worker's slot."""
    is_parked: bool = False
    """Whether it waits because the run's consumer is behind."""

    @property
    def node(self) -> Node:
        """Its step."""
        return self.actor.node

    def cancel(self) -> None:
        """Interrupt it."""
        self.scope.cancel()

    async def wait_room(self) -> None:
        """Wait until the consumer has caught up; meanwhile others may have the slot."""
        actor, voice = self.actor, self.ledger.voice
        self.is_parked = True
        try:
            while voice.is_full:
                try:
                    actor.give_slot()
                    await voice.wait_room()
                except BaseException:
                    actor.busy += 1  # its cleanup waits in no line
                    raise
                await actor.regain_slot()
        finally:
            self.is_parked = False
        if self.ledger.interrupted:
            await checkpoint()  # it was let in and called off in one moment

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return 0.0 if self.began is None else self.ledger.host.now() - self.began

    def snapshot(self, seconds: float) -> dict[str, object]:
        """Return its notes and the framework's, for its last event.

        Args:
            seconds: how long it took.
        """
        framework: dict[str, object] = {
            "duration_s": int(seconds * 1e6 + 0.5) / 1e6,
            "attempt": self.lineage.attempt,
            "status": self.status,
        }
        if self.notes.tries > 1:
            framework["tries"] = self.notes.tries
        if self.notes.is_empty:
            return {"framework": framework}
        return {**self.notes.snapshot(), "framework": framework}


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
