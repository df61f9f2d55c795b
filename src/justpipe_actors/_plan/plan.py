"""A compiled plan: one frozen node per step, and the plan that holds them.

A plan is compiled once per definition and shared by all its runs.  It holds every
decision that does not depend on a run: the sources of parameters, wrapped handlers and
middleware, and the parents of every join.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from .._util.lazy_classes import define, frozen
from ..abc import AnyPlacement
from ..cancellation import CancellationToken
from ..events import NodeKind
from ..failures import FailureClassificationConfig
from ..signals import Stop
from ..specs import BarrierType


if TYPE_CHECKING:
    from .merge_rules import Rule


@frozen(eq=False, repr=False, kw_only=True)
class ResourceNode:
    """A resource of a plan, with those it needs."""

    name: str
    """Unique in the plan."""
    func: Callable[..., object]
    """Returns an async context manager, or is an async generator function."""
    dependencies: Mapping[str, ResourceNode] = attrs.field(factory=dict)
    """Other resources, by parameter."""
    eager: bool = False
    """True if it is opened with its owner, before the first use."""
    shutdown: float = 5.0
    """Seconds it may take to close."""
    start_timeout: float = 60.0
    """Seconds it may take to open."""
    identity: object = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: (
                self.func,
                tuple(
                    (name, resource.identity)
                    for name, resource in self.dependencies.items()
                ),
            ),
            takes_self=True,
        ),
    )
    """Equal for nodes with the same function and dependencies: one resource."""


class NoItem(Enum):
    """The type of ``NO_ITEM``."""

    NO_ITEM = "no item"


NO_ITEM: Final = NoItem.NO_ITEM
"""Marks an invocation that is not a map worker's; None is a valid item."""


class RunValues(Protocol):
    """The values of one run that functions may ask for."""

    @property
    def state(self) -> object:
        """The run's one state object."""

    @property
    def context(self) -> object:
        """The run's context, or None."""

    @property
    def token(self) -> CancellationToken:
        """The run's own cancellation token."""
        ...


@define(eq=False, repr=False)
class CallValues:
    """The values of one call that functions may ask for besides the run's."""

    item: object = NO_ITEM
    """A map worker's item."""
    error: BaseException | None = None
    """The exception passed to an error handler."""
    step_name: str | None = None
    """The failing step, for handlers."""


NO_VALUES = CallValues()
"""The values of a call that has none of its own."""

Bind = Callable[[RunValues, CallValues], dict[str, object]]
"""Collects the keyword arguments of one call."""


@frozen(eq=False)
class Callback:
    """A user function other than a step's: a hook or an error handler."""

    func: Callable[..., object]
    """The user's function."""
    name: str
    """Name for messages."""
    bind: Bind
    """Collects its arguments."""


@frozen(eq=False, repr=False, kw_only=True)
class Node:
    """One step of a plan; the four kinds add what only they need."""

    name: str
    """Unique in the plan; the ``stage`` of its events."""
    kind: NodeKind
    """STEP, MAP, SWITCH or SUB."""
    func: Callable[..., object]
    """The user's function, wrapped in the middleware."""
    bind: Bind
    """Collects its arguments; a worker's item goes to its one unknown parameter."""
    to: tuple[str, ...] = ()
    """Static successors in declared order, duplicates kept."""
    parents: tuple[str, ...] = ()
    """Nodes that it waits for in one pass, each once, in order of registration.

    The nodes with this one in their ``to``; when there are any, also those that may be
    routed to it.  Edges that lead back to the beginning of a loop do not count.
    """
    routed_by: tuple[str, ...] = ()
    """Nodes that may start it by a route, when it has no parents."""
    routes_to: tuple[str, ...] = ()
    """Nodes that a result of this one may choose, as far as that is known."""
    starts_successors_directly: bool = False
    """Whether none of its successors has another parent to wait for."""
    is_leaf: bool = False
    """True if it has no successors; it may still start a step by returning a name."""
    join: BarrierType = BarrierType.ALL
    """Number of parents to wait for: ALL or ANY."""
    barrier_timeout: float | None = None
    """Seconds from the first parent to the last; None or 0 sets no limit."""
    on_error: Callback | None = None
    """Its own error handler."""
    timeout: float | None = None
    """Seconds one invocation may take."""
    concurrency: int | None = None
    """Maximum number of invocations at once, over all runs of a supervisor."""
    placement: AnyPlacement | None = None
    """Placement of its function; None runs it on the event loop."""

    is_wrapped: bool = False
    """Whether middleware is around its function."""
    has_state_tries: bool = False
    """Whether middleware may call it again, each time with a fresh copy of the state."""

    @property
    def is_join(self) -> bool:
        """Whether it waits for more than one parent."""
        return len(self.parents) > 1

    def waits_for(self, source: str) -> bool:
        """Tell whether completion of another node has to pass this node's join."""
        return len(self.parents) > 1 and source in self.parents

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


@frozen(eq=False, repr=False, kw_only=True)
class StepNode(Node):
    """A plain step."""

    is_collected: bool = False
    """True if a map with ``collect=`` uses it as its worker."""


@frozen(eq=False, repr=False, kw_only=True)
class MapNode(Node):
    """A map step: starts a worker for each item of its result."""

    each: str
    """The worker started for every item."""
    max_concurrency: int | None = None
    """Most workers at once; None is the default window."""
    collect: str | None = None
    """Field or key of the state that receives the results; None collects nothing."""


Route = str | type[Stop]
"""Target of a switch: a step, or the end of the run."""


@frozen(eq=False, repr=False, kw_only=True)
class SwitchNode(Node):
    """A switch step: its result selects the successor."""

    routes: Mapping[object, Route] | Callable[..., object]
    """Targets by result, or a function from the result to a target."""
    default: str | None = None
    """Target when no route matches; None makes that an error."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Every step a dict switch may start, default last; none for a callable one."""
        routes = (
            [route for route in self.routes.values() if isinstance(route, str)]
            if isinstance(self.routes, Mapping)
            else []
        )
        defaults = [self.default] if self.default else []
        return tuple(dict.fromkeys([*routes, *defaults]))


@frozen(eq=False, repr=False, kw_only=True)
class SubNode(Node):
    """A sub step: its result becomes the state of a child run."""

    child: object
    """The child pipe; the plan only passes it on to the code that starts runs."""


@frozen(eq=False, repr=False, kw_only=True)
class Plan:
    """A compiled pipeline; immutable and shared by all its runs."""

    name: str
    read_fingerprint: Callable[[], str]
    """Returns the fingerprint, which is computed when it is first needed."""
    nodes: Mapping[str, Node]
    """By name, in order of registration."""
    roots: tuple[str, ...]
    """First steps of a run without ``start``, in order of registration."""
    startup: tuple[Callback, ...] = ()
    """Hooks before START, in order."""
    shutdown: tuple[Callback, ...] = ()
    """Hooks before FINISH, in order."""
    on_error: Callback | None = None
    """The pipe's error handler."""
    resources: tuple[ResourceNode, ...] = ()
    """Resources that its functions can receive, in order of registration."""
    on_failure: str = "prune"
    """What an unhandled failure does to the rest: prune, continue or stop."""
    max_retries: int = 100
    """Most attempts of one logical invocation that ``Retry()`` can lead to."""
    max_map_items: int = 100_000
    """Most items of one map."""
    metadata: Mapping[str, object] = attrs.field(factory=dict)
    """Values of ``meta.pipeline``."""
    classification: FailureClassificationConfig = attrs.field(
        factory=FailureClassificationConfig
    )
    """How failures are attributed."""
    edges_from: Mapping[str, frozenset[str]] = attrs.field(factory=dict, repr=False)
    """Targets of every node, workers and routes included: the edges of ``reachable``."""
    state_rule: Rule | None = None
    """How changes of copies of the state are merged; None if there are no copies."""
    is_isolated: bool = False
    """Whether invocations work on copies of the state."""
    warns_of_items: bool = False
    """True to warn when a map worker changes its item, as items are not merged."""
    loops: Mapping[str, int] = attrs.field(factory=dict, repr=False)
    """The number of the cycle a node is part of, for nodes that are in one."""
    state_type: object = Any
    """The state's declared type; ``Any`` when none is declared."""
    context_type: object = Any
    """Declared type of the context."""
    migrate: Callable[[Any, str], Any] | None = None
    """Turns a state that another version has stored into this version's form."""
    result_types: Mapping[str, object] = attrs.field(factory=dict, repr=False)
    """Declared types of what collected workers return, by worker."""
    item_types: Mapping[str, object] = attrs.field(factory=dict, repr=False)
    """The declared type of the free parameter of each step that has one."""

    _reachable: dict[str, frozenset[str]] = attrs.field(
        factory=dict, init=False, repr=False
    )

    @property
    def fingerprint(self) -> str:
        """The pipeline hash: 16 hex characters over name, steps and static edges."""
        return self.read_fingerprint()

    @property
    def eager_resources(self) -> tuple[ResourceNode, ...]:
        """Resources to open before the startup hooks."""
        if not self.resources:
            return ()
        return tuple(resource for resource in self.resources if resource.eager)

    def reachable(self, start: str) -> frozenset[str]:
        """Return every step that static edges, routes and workers lead to from a start."""
        reachable = self._reachable.get(start)
        if reachable is None and start in self.nodes:
            reachable = self._reachable[start] = self._collect_reachable(start)
        return frozenset((start,)) if reachable is None else reachable

    def _collect_reachable(self, start: str) -> frozenset[str]:
        seen = {start}
        queue = [start]
        while queue:
            unseen = self.edges_from.get(queue.pop(), frozenset()) - seen
            seen |= unseen
            queue.extend(unseen)
        return frozenset(seen)
