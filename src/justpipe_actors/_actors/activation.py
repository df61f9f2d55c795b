"""One invocation while it runs."""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import Context

import anyio
import attrs

from .._plan.nodes import Node
from ..meta import StepNotes, StepStatus, Tries
from .ledger import Ledger, Lineage
from .messages import Start


@attrs.define(eq=False)
class Activation:
    """What belongs to one invocation and to nothing else."""

    ledger: Ledger
    """Its run."""
    node: Node
    """Its step."""
    message: Start
    """What began it."""
    lineage: Lineage
    """The ids of its events."""
    variables: Context
    """Its own copy of the run's context variables."""
    began: float
    """When it began, in the loop's seconds."""
    notes: StepNotes = attrs.field(factory=StepNotes)
    """What it notes about itself."""
    tries: Tries = attrs.field(factory=Tries)
    """How often its function was called, retries by middleware included."""
    scope: anyio.CancelScope | None = None
    """Cancels it alone; None where cancelling the actors does."""
    coroutine: Coroutine[object, object, object] | None = None
    """What it is driving, to be asked where it waits."""
    status: StepStatus = StepStatus.SUCCESS
    """ERROR as soon as its function has failed, even when a handler mends it."""
    failed: bool = False
    """Whether it ended without a handler for its failure."""
    retried: bool = False
    """Whether a further attempt took over, and with it a map worker's slot."""

    def cancel(self) -> None:
        """Interrupt it, if it can be interrupted alone."""
        if self.scope is not None:
            self.scope.cancel()

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return self.ledger.host.now() - self.began

    def snapshot(self) -> dict[str, object]:
        """Return its notes and the framework's, for its last event."""
        framework: dict[str, object] = {
            "duration_s": round(self.seconds, 6),
            "attempt": self.lineage.attempt,
            "status": self.status,
        }
        if self.tries.count > 1:
            framework["tries"] = self.tries.count
        return {**self.notes.snapshot(), "framework": framework}


def lineage_of(ledger: Ledger, message: Start) -> Lineage:
    """Number an invocation that begins now and work out whose it is."""
    invocation = ledger.next_invocation()
    owner = message.owner or message.fan or invocation
    return Lineage(invocation, message.cause, owner, message.attempt, message.scope)
