"""A step whose work is a run of another pipe.

The child runs in the same host, speaks through its parent's voice and is bounded by its
parent's timeout.  How it ends is this step's outcome: a failed child is this step's
failure, with the child's own exception, so this step's handler is asked.

Starting runs is the business of the room above; it hands a ``StartChild`` down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, assert_never

import attrs

from .._plan.answers import PROCEED, Answer, Descend, Fail, Halt
from ..errors import ChildRunFailed, PipelineCancelled
from ..outcomes import PipelineTerminalStatus


if TYPE_CHECKING:
    from .activation import Activation


@attrs.frozen(eq=False)
class ChildOutcome:
    """How a child run ended, as far as its parent must know."""

    status: PipelineTerminalStatus
    """Its status."""
    error: Exception | None
    """Its primary failure, whole."""
    step: str | None
    """Where that happened: a step of the child, ``startup``, ``shutdown``."""
    text: str | None
    """Its failure or cancellation in words."""
    suspended: bool
    """Whether it ended by ``Suspend``."""


StartChild = Callable[["Activation", object, object], Awaitable[ChildOutcome]]
"""Runs a child pipe with a state to its end, on behalf of an activation."""


async def run_child(act: Activation, order: Descend) -> Answer:
    """Run a child and say what its end means for this step."""
    outcome: ChildOutcome = await act.ledger.start_child(act, order.pipe, order.state)
    match outcome.status:
        case PipelineTerminalStatus.SUCCESS:
            return Halt() if outcome.suspended else PROCEED
        case PipelineTerminalStatus.FAILED | PipelineTerminalStatus.TIMEOUT:
            error = outcome.error or ChildRunFailed(act.node.name, outcome.text or "")
            return Fail(error, f"{act.node.name}:{outcome.step or 'system'}")
        case PipelineTerminalStatus.CANCELLED | PipelineTerminalStatus.CLIENT_CLOSED:
            return Fail(PipelineCancelled(outcome.text or "Cancelled"))
    assert_never(outcome.status)
