"""Where actors live: a task group, the casts of the plans at work in it, and their runs.

A host private to one run opens with it and ends with it; a supervisor's host outlives
its runs and they share its actors.  It is the same code with two lifetimes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, copy_context
from typing import Any

import anyio
import attrs

from .._plan.plan import Plan, ResourceNode, StepNode
from .._supervision.resource_pool import Resources
from .._util import failpoints as seams
from .._util.failpoints import Seam
from .._util.sync import NewSignal
from .._util.text import text_of
from ..errors import UnknownStepError
from ..events import NodeKind
from . import routing as flow
from .actor import Actor, ActorStatistics
from .dead_letters import DeadLetter, DeadLetters
from .dispatcher import Crew
from .messages import Message, Start
from .run_state import Ledger


def unknown_step(name: str, plan: Plan) -> StepNode:
    """Return a node that fails with the names that would have been right."""

    def missing() -> None:
        raise UnknownStepError(name, list(plan.nodes))

    return StepNode(
        name=name, kind=NodeKind.STEP, func=missing, bind=lambda _run, _call: {}
    )


IDLE_CASTS = 16
"""Plans without runs whose actors are kept.

A program that builds a pipe per request would otherwise collect actors for ever.
"""


@attrs.define(eq=False, repr=False)
class Host:
    """The actors of one supervisor, private or shared."""

    start: Callable[..., object]
    """Starts a task of the group that owns every task of every actor."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    is_owner_cancelled: Callable[[], bool]
    """Whether somebody cancelled the owner's task natively, past all scopes."""
    outlive_kill: Callable[[], bool] = lambda: False
    """Whether the current task was killed natively and can go on; asking forgets it."""
    new_signal: NewSignal = anyio.Event
    """Makes what a receiver waits for."""
    variables: Context = attrs.field(factory=copy_context)
    """Context variables of actors; activations have their run's."""
    runs: dict[str, Ledger] = attrs.field(factory=dict, init=False)
    """The runs it serves, by id."""
    dead_letters: DeadLetters = attrs.field(factory=DeadLetters, init=False)
    """Messages that broke what performed them."""
    resources: Resources = attrs.field(
        default=attrs.Factory(
            lambda self: Resources(self.spawn, self.now), takes_self=True
        ),
        kw_only=True,
    )
    """What its runs share besides actors."""
    _casts: dict[Plan, dict[str, Actor]] = attrs.field(factory=dict, init=False)
    _uses: dict[Plan, int] = attrs.field(factory=dict, init=False)
    _idle: OrderedDict[Plan, None] = attrs.field(factory=OrderedDict, init=False)
    _retired: set[Plan] = attrs.field(factory=set, init=False)
    _crew: Crew = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._crew = Crew(self.spawn, self.now, self.outlive_kill, self.new_signal)

    @property
    def crew(self) -> Crew:
        """Who performs the messages of its actors."""
        return self._crew

    def cast(self, plan: Plan) -> dict[str, Actor]:
        """Return a plan's actors so far, by step."""
        return self._casts.setdefault(plan, {})

    def actor(self, plan: Plan, step: str) -> Actor:
        """Return a plan's actor for a step; made when its first message comes."""
        cast = self.cast(plan)
        actor = cast.get(step)
        if actor is None:
            node = plan.nodes.get(step) or unknown_step(step, plan)
            actor = Actor(node, self._crew, self.runs)
            if step in plan.nodes:
                cast[step] = actor
        return actor

    def queued(self, ledger: Ledger) -> dict[str, int]:
        """Return how many messages of a run wait, by step."""
        depths = {
            step: actor.inbox.depth_of(ledger.run_id)
            for step, actor in self._casts.get(ledger.plan, {}).items()
        }
        return {step: depth for step, depth in depths.items() if depth}

    def spawn(
        self, func: Callable[..., Coroutine[Any, Any, object]], *args: object
    ) -> None:
        """Start a task that belongs to the host."""
        if seams.active is not None:
            seams.active.cross(Seam.SPAWN, "", getattr(func, "__qualname__", ""))
        self.variables.copy().run(self.start, func, *args)

    def enter(self, ledger: Ledger) -> None:
        """Serve a run from now on."""
        plan = ledger.plan
        self.runs[ledger.run_id] = ledger
        ledger.cast = self.cast(plan)
        self._uses[plan] = self._uses.get(plan, 0) + 1
        self._idle.pop(plan, None)

    def dismiss(self, ledger: Ledger) -> None:
        """Serve a run no more; a plan's actors may go with the last of its runs."""
        plan = ledger.plan
        del self.runs[ledger.run_id]
        self._uses[plan] -= 1
        if not self._uses[plan]:
            del self._uses[plan]
            self._rest(plan)

    def retire(self, plan: Plan) -> None:
        """Keep a plan's actors no longer than its runs need them."""
        if plan in self._uses:
            self._retired.add(plan)
        else:
            self._idle.pop(plan, None)
            self._let_go(plan, plan.resources)

    def _rest(self, plan: Plan) -> None:
        """Keep the actors of a plan without runs, if it is one of the last few."""
        if plan in self._retired:
            self._retired.discard(plan)
            self._let_go(plan, plan.resources)
        elif plan in self._casts:
            self._idle[plan] = None
            if len(self._idle) > IDLE_CASTS:
                oldest, _ = self._idle.popitem(last=False)
                lazy = [one for one in oldest.resources if not one.eager]
                self._let_go(oldest, lazy)

    def _let_go(self, plan: Plan, resources: Iterable[ResourceNode]) -> None:
        """Forget a plan's actors, and close those of its resources that no other has."""
        self._casts.pop(plan, None)
        kept = {
            one.identity
            for other in (*self._casts, *self._uses)
            for one in other.resources
        }
        self.resources.let_go(one for one in resources if one.identity not in kept)

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

    def statistics(self) -> tuple[ActorStatistics, ...]:
        """Return what every actor is doing that is kept."""
        return tuple(
            attrs.evolve(
                actor.statistics(), pipe=plan.name, fingerprint=plan.fingerprint
            )
            for plan, cast in self._casts.items()
            for actor in cast.values()
        )
