"""One invocation of a step, and the emitter of its TOKEN events.

``Invocation`` holds what belongs to one call of a step's function: its message, its ids,
its cancel scope and its copy of the context variables.  ``TokenEmitter`` publishes the
items of a streaming step; it waits while the buffer of the run's consumer is full.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING

import anyio
import attrs
from anyio.lowlevel import checkpoint

from .._plan.plan import Node
from .._publishing.invocation_ids import NO_IDS, InvocationIds
from .._util import failpoints
from .._util.failpoints import Seam
from .._util.interrupts import enable_ki_protection
from .._util.lazy_classes import define
from ..events import EventType
from ..meta import StepNotes, StepStatus
from .messages import Start
from .run_state import RunState


if TYPE_CHECKING:
    from .actor import Actor
    from .invocation_state import InvocationState


@define(eq=False, repr=False)
class Invocation:
    """One call of a step's function: ids, scope, variables and copy of the state."""

    run_state: RunState
    actor: Actor
    """Actor that gave the invocation its slot."""
    message: Start
    """Message that started the invocation."""
    scope: anyio.CancelScope
    """Cancels this invocation only; belongs to the dispatcher task."""
    variables: Context
    """Its own copy of the run's context variables."""
    ids: InvocationIds = NO_IDS
    """The ids of its events."""
    began: float | None = None
    """When it began, in the loop's seconds; None while it waits for the consumer."""
    notes: StepNotes = attrs.field(factory=StepNotes)
    """Notes of the invocation, for its last event."""
    coroutine: Coroutine[object, object, object] | None = None
    """Coroutine that it drives; diagnostics read from it where the step waits."""
    has_waited: bool = False
    """Whether it has waited: for its function, a handler, its workers or its child."""
    returned: object = None
    """Return value of the function, until it is interpreted."""
    level: int = 0
    """Error handlers that have been asked so far."""
    status: StepStatus = StepStatus.SUCCESS
    """ERROR as soon as its function has failed, even if a handler succeeds."""
    failed: bool = False
    """Whether it ended without a handler for its failure."""
    retried: bool = False
    """Whether a further attempt replaces it and takes over a map worker's slot."""
    is_resting: bool = False
    """Whether it waits for workers or a child, and could do so in another process."""
    used_keys: tuple[tuple[int, bool], set[str]] | None = None
    """The keys that the current call of its function, or of a handler, has used."""
    limit: anyio.CancelScope | None = None
    """Bounds its function, if the step has a timeout."""
    count_streamed: Callable[[], int] | None = None
    """Returns how many items it has streamed; None if it is no stream."""
    is_parked: bool = False
    """Whether it waits because the run's consumer is behind."""
    isolated: InvocationState | None = None
    """Its own copy of the state; None in shared mode, and until it is asked for."""

    @property
    def node(self) -> Node:
        """Its step."""
        return self.actor.node

    def cancel(self) -> None:
        """Cancel the invocation."""
        self.scope.cancel()

    async def wait_writable(self) -> None:
        """Wait until the consumer has caught up; meanwhile others may have the slot."""
        actor, publisher = self.actor, self.run_state.publisher
        self.is_parked = True
        try:
            while publisher.is_full:
                try:
                    actor.release_slot()
                    await publisher.wait_writable()
                except BaseException:
                    actor.busy += 1  # its cleanup does not wait for a slot
                    raise
                await actor.reacquire_slot()
        finally:
            self.is_parked = False
        if self.run_state.interrupted:
            await checkpoint()  # it got its slot and was cancelled at once

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return 0.0 if self.began is None else self.run_state.system.now() - self.began


class TokenEmitter:
    """Publishes the items of one invocation as TOKEN events."""

    __slots__ = ("_invocation", "_publish_token", "publisher")

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self.publisher = invocation.run_state.publisher
        self._publish_token, invocation.count_streamed = self.publisher.token_publisher(
            EventType.TOKEN, invocation.node.name, invocation.ids
        )

    @property
    def put(self) -> Callable[[object], None]:
        """Function that publishes one item, even if the buffer is full."""
        return self._publish_token

    @enable_ki_protection
    async def wait_writable(self) -> None:
        """Wait until the consumer has caught up."""
        if failpoints.active is not None:
            run_state = self._invocation.run_state
            await failpoints.active.reach(
                Seam.EMIT, run_state.run_id, self._invocation.node.name
            )
        if self.publisher.is_full:
            await self._invocation.wait_writable()
