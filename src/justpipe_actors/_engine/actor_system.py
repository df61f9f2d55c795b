"""The actor system: the actors of all plans at work in one task group, and their runs.

An actor system private to one run opens with the run and ends with it.  The one of a
supervisor outlives its runs, which share its actors.  Both are the same class.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from .._plan.plan import Plan, ResourceNode, StepNode
from .._supervision.resource_pool import ResourcePool
from .._util import failpoints
from .._util.failpoints import Seam
from .._util.lazy_classes import define
from .._util.sync import LoopEventFactory, refuse_task
from .._util.text import safe_str
from ..errors import UnknownStepError
from ..events import NodeKind
from . import routing
from .actor import SHOWN, Actor, ActorStatistics
from .dead_letters import DeadLetter, DeadLetters
from .dispatcher import Dispatcher
from .messages import Message, Start
from .run_state import RunState
from .timers import TimerQueue


if TYPE_CHECKING:
    from .run_waits import Wait


def unknown_step(name: str, plan: Plan) -> StepNode:
    """Return a node that fails with an error that names the known steps."""

    def missing() -> None:
        raise UnknownStepError(name, list(plan.nodes))

    return StepNode(
        name=name, kind=NodeKind.STEP, func=missing, bind=lambda _run, _call: {}
    )


IDLE_PLANS = 16
"""Plans without runs that keep their actors.

Without a limit, a program that builds a pipe per request would never free actors.
"""


@define(eq=False, repr=False)
class ActorSystem:
    """The actors of one supervisor, or of one run that has none."""

    start: Callable[..., object]
    """Starts a task of the group that owns every task of every actor."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    is_owner_cancelled: Callable[[], bool]
    """Whether the owner's task was cancelled natively, not through a cancel scope."""
    absorb_native_cancel: Callable[[], bool] = lambda: False
    """Whether the current task was cancelled natively and can go on; the call clears that."""
    new_loop_event: LoopEventFactory = anyio.Event
    """Makes the signals that dispatcher tasks wait for."""
    new_scope: Callable[[], anyio.CancelScope] = anyio.CancelScope
    """Makes the cancel scopes by which invocations are interrupted."""
    variables: Context = attrs.field(factory=copy_context)
    """Context variables of dispatcher tasks; invocations have those of their run."""
    runs: dict[str, RunState] = attrs.field(factory=dict, init=False)
    """The runs it serves, by id."""
    dead_letters: DeadLetters = attrs.field(factory=DeadLetters, init=False)
    """Messages that failed outside of a step."""
    resources: ResourcePool = attrs.field(
        default=attrs.Factory(
            lambda self: ResourcePool(self.spawn, self.now), takes_self=True
        ),
        kw_only=True,
    )
    """The resources that its runs share."""
    timers: TimerQueue = attrs.field(
        default=attrs.Factory(
            lambda self: TimerQueue(self.spawn, self.now, self.absorb_native_cancel),
            takes_self=True,
        ),
        init=False,
    )
    """The timers of its runs."""
    waits: dict[str, Wait] = attrs.field(factory=dict, init=False)
    """The questions and timers that its runs wait for, by id."""
    _actors: dict[Plan, dict[str, Actor]] = attrs.field(factory=dict, init=False)
    _uses: dict[Plan, int] = attrs.field(factory=dict, init=False)
    _idle: OrderedDict[Plan, None] = attrs.field(factory=OrderedDict, init=False)
    _retired: set[Plan] = attrs.field(factory=set, init=False)
    _dispatcher: Dispatcher = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._dispatcher = Dispatcher(
            self.spawn,
            self.now,
            self.absorb_native_cancel,
            self.new_loop_event,
            self.new_scope,
        )

    @property
    def dispatcher(self) -> Dispatcher:
        """The dispatcher that processes the messages of the system's actors."""
        return self._dispatcher

    def actors_of(self, plan: Plan) -> dict[str, Actor]:
        """Return a plan's actors so far, by step."""
        return self._actors.setdefault(plan, {})

    def actor(self, plan: Plan, step: str) -> Actor:
        """Return a plan's actor for a step; made when its first message comes."""
        actors = self.actors_of(plan)
        actor = actors.get(step)
        if actor is None:
            node = plan.nodes.get(step) or unknown_step(step, plan)
            actor = Actor(node, self._dispatcher, self.runs)
            if step in plan.nodes:
                actors[step] = actor
        return actor

    def queued_messages(self, run_state: RunState) -> dict[str, int]:
        """Return how many messages of a run wait, by step."""
        depths = {
            step: actor.inbox.depth_of(run_state.run_id)
            for step, actor in self._actors.get(run_state.plan, {}).items()
        }
        return {step: depth for step, depth in depths.items() if depth}

    def spawn(
        self, func: Callable[..., Coroutine[Any, Any, object]], *args: object
    ) -> None:
        """Start a task that belongs to the actor system."""
        if failpoints.active is not None:
            failpoints.active.reach_nowait(
                Seam.SPAWN, "", getattr(func, "__qualname__", "")
            )
        self.variables.copy().run(self.start, func, *args)

    def add_run(self, run_state: RunState) -> None:
        """Add a run to the system."""
        plan = run_state.plan
        self.runs[run_state.run_id] = run_state
        run_state.actors = self.actors_of(plan)
        self._uses[plan] = self._uses.get(plan, 0) + 1
        self._idle.pop(plan, None)

    def remove_run(self, run_state: RunState) -> None:
        """Remove a run; its plan's actors may be removed with the plan's last run."""
        plan = run_state.plan
        del self.runs[run_state.run_id]
        self._uses[plan] -= 1
        if not self._uses[plan]:
            del self._uses[plan]
            self._keep_idle(plan)

    def release(self) -> None:
        """Break the reference cycles of this system; its only run has ended.

        perf: otherwise only the garbage collector could free the run (bench: small).
        """
        self.start = self.timers.spawn = self._dispatcher.spawn = refuse_task
        self.is_owner_cancelled = bool  # answers False
        self.variables = Context()

    def retire(self, plan: Plan) -> None:
        """Remove a plan's actors as soon as its runs no longer need them."""
        if plan in self._uses:
            self._retired.add(plan)
        else:
            self._idle.pop(plan, None)
            self._release(plan, plan.resources)

    def _keep_idle(self, plan: Plan) -> None:
        """Keep the actors of a plan without runs, if it is one of the last few."""
        if plan in self._retired:
            self._retired.discard(plan)
            self._release(plan, plan.resources)
        elif plan in self._actors:
            self._idle[plan] = None
            if len(self._idle) > IDLE_PLANS:
                oldest, _ = self._idle.popitem(last=False)
                lazy = [resource for resource in oldest.resources if not resource.eager]
                self._release(oldest, lazy)

    def _release(self, plan: Plan, resources: Iterable[ResourceNode]) -> None:
        """Forget a plan's actors, and close the resources that only this plan uses."""
        self._actors.pop(plan, None)
        kept = {
            resource.identity
            for other in (*self._actors, *self._uses)
            for resource in other.resources
        }
        self.resources.close_unneeded(
            resource for resource in resources if resource.identity not in kept
        )

    def drop_messages(self, run_state: RunState, *, workers_only: bool = False) -> None:
        """Remove a run's messages from all inboxes and release their tokens."""
        for actor in list(self._actors.get(run_state.plan, {}).values()):
            for message in actor.inbox.drop(
                run_state.run_id, workers_only=workers_only
            ):
                routing.abandon_message(run_state, message)

    def add_dead_letter(
        self, run_state: RunState, message: Message, reason: str, error: BaseException
    ) -> None:
        """Record a message that will get no answer; it is not delivered again."""
        self.dead_letters.add(
            DeadLetter(
                run_id=message.run_id,
                step=message.step,
                actor=f"{run_state.plan.name}/{message.step}",
                attempt=message.attempt if isinstance(message, Start) else 1,
                reason=reason,
                error=safe_str(error, typed=True),
                at=self.now(),
            )
        )

    def statistics(self) -> tuple[ActorStatistics, ...]:
        """Return the statistics of every actor."""
        holders = self._holders()
        return tuple(
            attrs.evolve(
                actor.statistics(),
                pipe=plan.name,
                fingerprint=plan.fingerprint,
                holders=tuple(sorted(holders.get(actor, ()), key=_seconds)[:SHOWN]),
            )
            for plan, actors in self._actors.items()
            for actor in actors.values()
        )

    def _holders(self) -> dict[Actor, list[tuple[str, float]]]:
        """Return the runs that are at work in each actor, and for how long."""
        holders: dict[Actor, list[tuple[str, float]]] = {}
        for run_state in self.runs.values():
            for invocation in run_state.active_invocations:
                holder = (run_state.run_id, invocation.seconds)
                holders.setdefault(invocation.actor, []).append(holder)
        return holders


def _seconds(holder: tuple[str, float]) -> float:
    return -holder[1]
