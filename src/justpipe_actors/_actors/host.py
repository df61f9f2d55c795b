"""Where actors live: a task group, the casts of the plans at work in it, and their runs.

A host private to one run opens with it and ends with it; a supervisor's host outlives
its runs and they share its actors.  It is the same code with two lifetimes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

import attrs
from anyio.abc import TaskGroup

from .. import seams
from .._failure.texts import text_of
from .._plan.nodes import Plan
from ..seams import Seam
from . import flow
from .actor import Actor, actor_for
from .ledger import Ledger
from .letters import DeadLetter, DeadLetters
from .messages import Message, Start
from .parts import Conducted


@attrs.define(eq=False)
class Host:
    """The actors of one supervisor, private or shared."""

    tasks: TaskGroup
    """Owns every task of every actor."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    is_owner_cancelled: Callable[[], bool]
    """Whether somebody cancelled the owner's task natively, past all scopes."""
    outlive_kill: Callable[[], bool] = lambda: False
    """Whether the current task was killed natively and can go on; asking forgets it."""
    variables: Context = attrs.field(factory=copy_context)
    """Context variables of actors; activations have their run's."""
    runs: dict[str, Ledger] = attrs.field(factory=dict, init=False)
    """The runs it serves, by id."""
    conducting: set[Conducted] = attrs.field(factory=set, init=False)
    """The runs it owns, from their first moment to their last."""
    dead_letters: DeadLetters = attrs.field(factory=DeadLetters, init=False)
    """Messages that broke what performed them."""
    _casts: dict[Plan, dict[str, Actor]] = attrs.field(factory=dict, init=False)

    def actor(self, plan: Plan, step: str) -> Actor:
        """Return a plan's actor for a step; made when its first message comes."""
        cast = self._casts.setdefault(plan, {})
        actor = cast.get(step)
        if actor is None:
            actor = actor_for(self, plan, step)
            if step in plan.nodes:
                cast[step] = actor
        return actor

    def spawn(
        self, func: Callable[..., Coroutine[Any, Any, object]], *args: object
    ) -> None:
        """Start a task that belongs to the host."""
        if seams.active is not None:
            seams.active.cross(Seam.SPAWN, "", getattr(func, "__qualname__", ""))
        self.variables.copy().run(self.tasks.start_soon, func, *args)

    def drop_messages(self, ledger: Ledger, *, workers_only: bool = False) -> None:
        """Take a run's messages out of all inboxes and give back what they hold."""
        for actor in list(self._casts.get(ledger.plan, {}).values()):
            for message in actor.inbox.drop(ledger.run_id, workers_only=workers_only):
                flow.abandon(ledger, message)

    def bury(
        self, ledger: Ledger, message: Message, reason: str, error: BaseException
    ) -> None:
        """Report a message that nobody will answer; it is not delivered again."""
        self.dead_letters.add(
            DeadLetter(
                run_id=message.run_id,
                step=message.step,
                actor=f"{ledger.plan.name}/{message.step}",
                attempt=message.attempt if isinstance(message, Start) else 1,
                reason=reason,
                error=text_of(error, typed=True),
                at=self.now(),
            )
        )

    def actors(self) -> list[Actor]:
        """Return the actors that have been needed so far."""
        return [actor for cast in self._casts.values() for actor in cast.values()]
