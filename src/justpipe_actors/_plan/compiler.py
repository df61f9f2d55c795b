"""Compile the definition of a pipe to a plan, on first use.

The plan is frozen and shared by all runs.  Everything that is the same for each
invocation is computed here: edges, the source of each parameter, placements, resources
and middleware around the functions.  The definition is not changed, and no function of
the user is called.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from .. import _plan
from .._definition.injection import return_type_of
from .._definition.middleware_checks import wrap
from .._definition.registry import Registry
from .._definition.steps import StepDef
from .._util.async_generators import streaming
from .._util.callables import is_generator_function
from .._util.lazy_classes import define, frozen
from ..abc import AnyPlacement, LocalPlacement, Placement, is_remote
from ..events import NodeKind
from ..failures import FailureClassificationConfig
from ..specs import HookSpec, InjectionMetadata, InjectionSource, StepContext
from . import graph
from .placement_checks import placement_of
from .plan import (
    NO_ITEM,
    Bind,
    Callback,
    CallValues,
    MapNode,
    Node,
    Plan,
    ResourceNode,
    RunValues,
    StepNode,
    SubNode,
    SwitchNode,
)
from .resource_injection import Breaks, LeaseResources, ResourceGraph
from .state_tries import with_state_per_try


if TYPE_CHECKING:
    from ..merge import Merge, MergeFunction
    from .merge_rules import Rule


PlaceRemotely = Callable[[StepDef, Placement, "Rule | None"], Callable[..., object]]
"""Returns a function that runs a step's function in a remote placement."""

_ValueReader = Callable[[RunValues, CallValues], object]

_VALUE_READERS: dict[InjectionSource, _ValueReader] = {
    InjectionSource.STATE: lambda run, _call: run.state,
    InjectionSource.CONTEXT: lambda run, _call: run.context,
    InjectionSource.CANCEL: lambda run, _call: run.token,
    InjectionSource.ERROR: lambda _run, call: call.error,
    InjectionSource.STEP_NAME: lambda _run, call: call.step_name,
}


def bind_parameters(
    injection: InjectionMetadata, supplied: Collection[str] = ()
) -> Bind:
    """Return a function that collects keyword arguments, fast for common signatures.

    Args:
        injection: where the parameters come from.
        supplied: parameters that a wrapper passes at every call: resources.
    """
    injection = {n: source for n, source in injection.items() if n not in supplied}
    by_source = {source: name for name, source in injection.items()}
    match sorted(source.value for source in injection.values()):
        case []:
            return lambda _run, _call: {}
        case ["state"]:
            state_name = by_source[InjectionSource.STATE]
            return lambda run, _call: {state_name: run.state}
        case ["context", "state"]:
            state_name = by_source[InjectionSource.STATE]
            context_name = by_source[InjectionSource.CONTEXT]
            return lambda run, _call: {state_name: run.state, context_name: run.context}
        case ["state", "unknown"]:
            state_name = by_source[InjectionSource.STATE]
            return _with_item(state_name, by_source[InjectionSource.UNKNOWN])
        case _:
            return _bind_any(injection)


def _with_item(state: str, item: str) -> Bind:
    """Return the ``Bind`` of the common map worker: state and item."""

    def bind(run: RunValues, call: CallValues) -> dict[str, object]:
        if call.item is NO_ITEM:
            return {state: run.state}
        return {state: run.state, item: call.item}

    return bind


def _bind_any(injection: InjectionMetadata) -> Bind:
    readers = [
        (name, _VALUE_READERS[source])
        for name, source in injection.items()
        if source in _VALUE_READERS
    ]
    item = next(
        (name for name, s in injection.items() if s is InjectionSource.UNKNOWN), None
    )

    def bind(run: RunValues, call: CallValues) -> dict[str, object]:
        arguments = {name: read(run, call) for name, read in readers}
        if item is not None and call.item is not NO_ITEM:
            arguments[item] = call.item
        return arguments

    return bind


@frozen(eq=False, kw_only=True)
class PipeSettings:
    """The pipe's own parameters that a plan depends on."""

    name: str
    on_failure: str = "prune"
    """What an unhandled failure does to the rest."""
    max_retries: int = 100
    """Most attempts by ``Retry()``."""
    max_map_items: int = 100_000
    """Most items of one map."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    """Values of ``meta.pipeline``."""
    classification: FailureClassificationConfig = attrs.field(
        factory=FailureClassificationConfig
    )
    """How failures are attributed."""
    placements: Mapping[str, AnyPlacement] = attrs.field(factory=dict)
    """Placements by the name decorators use."""
    state_type: object = None
    """The state's declared type, for the merge rules in its annotations."""
    merge: Mapping[Any, Merge | MergeFunction] | None = None
    """Merge functions by part, in addition to annotations."""
    is_isolated: bool = False
    """Whether invocations work on copies of the state."""
    migrate: Callable[[Any, str], Any] | None = None
    """Turns stored states of other versions into this version's form."""
    is_debug: bool = False
    """True to warn of probable mistakes, at some cost."""
    place_remotely: PlaceRemotely | None = None
    """Puts a step's function into a remote placement."""
    lease_resources: LeaseResources | None = None
    """Lets a function lease its resources for each call."""


def compile_plan(registry: Registry, settings: PipeSettings) -> Plan:
    """Compile a definition.

    Raises:
        DefinitionError: a placement is unknown, or a resource cannot be had.
    """
    steps = registry.steps
    resource_graph = ResourceGraph(registry.resources)
    topology = graph.topology_of(steps)
    nodes = {
        name: _node(step, registry, settings, resource_graph, topology)
        for name, step in steps.items()
    }
    return Plan(
        name=settings.name,
        read_fingerprint=functools.cache(
            lambda: _plan.fingerprint(settings.name, steps)
        ),
        nodes=nodes,
        roots=topology.roots,
        startup=_callbacks(registry.startup_hooks, resource_graph, settings),
        shutdown=_callbacks(registry.shutdown_hooks, resource_graph, settings),
        on_error=_callback(registry.error_hook, resource_graph, settings)
        if registry.error_hook
        else None,
        resources=tuple(resource_graph.nodes[name] for name in registry.resources),
        on_failure=settings.on_failure,
        max_retries=settings.max_retries,
        max_map_items=settings.max_map_items,
        metadata=settings.metadata,
        classification=settings.classification,
        state_rule=_state_rule(settings, nodes),
        is_isolated=settings.is_isolated,
        warns_of_items=settings.is_isolated and settings.is_debug,
        edges_from={n: frozenset(targets) for n, targets in topology.edges.items()},
        loops=topology.loops,
        state_type=_declared(registry.state_type),
        context_type=_declared(registry.context_type),
        migrate=settings.migrate,
        result_types=_result_types(steps),
        item_types=_item_types(steps),
    )


def _result_types(steps: Mapping[str, StepDef]) -> dict[str, object]:
    """Return the declared results of map workers that are collected, by worker."""
    return {
        worker: return_type_of(steps[worker].func)
        for step in steps.values()
        if step.collect is not None and (worker := step.each or "") in steps
    }


def _item_types(steps: Mapping[str, StepDef]) -> dict[str, object]:
    """Return the declared types of the parameters that take map items, by step."""
    return {
        name: step.parameter_types[free]
        for name, step in steps.items()
        for free, source in step.injection.items()
        if source is InjectionSource.UNKNOWN
    }


def _state_rule(settings: PipeSettings, nodes: Mapping[str, Node]) -> Rule | None:
    """Return how copies of the state are merged; None if no step works on a copy."""
    if settings.is_isolated or any(node.placement for node in nodes.values()):
        return _plan.root_rule(settings.state_type, settings.merge)
    return None


def _declared(kind: object) -> object:
    """Return a declared type; ``Any`` for ``NoneType``, which means undeclared."""
    return Any if kind is type(None) else kind


def _node(
    step: StepDef,
    registry: Registry,
    settings: PipeSettings,
    resource_graph: ResourceGraph,
    topology: graph.Topology,
) -> Node:
    options = step.options
    dependencies = resource_graph.dependencies_of(step.injection, step.parameter_types)
    placement = placement_of(step, settings.placements)
    func, is_wrapped = _wrap_function(step, registry, settings, placement, dependencies)
    common: dict[str, Any] = {
        "name": step.name,
        "kind": step.kind,
        "func": func,
        "is_wrapped": is_wrapped,
        "has_state_tries": settings.is_isolated and is_wrapped,
        "placement": placement,
        "bind": bind_parameters(step.injection, dependencies),
        "to": step.to,
        "parents": topology.parents[step.name],
        "routed_by": topology.routers[step.name],
        "routes_to": _routes_to(step),
        "starts_successors_directly": _starts_successors_directly(step, topology),
        "is_leaf": not step.to and not _routes_to(step),
        "join": options.barrier_type,
        "barrier_timeout": options.barrier_timeout,
        "on_error": _callback(options.on_error, resource_graph, settings)
        if options.on_error
        else None,
        "timeout": options.timeout,
        "concurrency": options.concurrency,
    }
    match step.kind:
        case NodeKind.MAP:
            return MapNode(
                **common,
                each=step.each or "",
                max_concurrency=step.max_concurrency,
                collect=step.collect,
            )
        case NodeKind.SWITCH:
            return SwitchNode(**common, routes=step.routes or {}, default=step.default)
        case NodeKind.SUB:
            return SubNode(**common, child=step.child)
        case _:
            return StepNode(**common, is_collected=_is_collected(step, registry))


def _is_collected(step: StepDef, registry: Registry) -> bool:
    """Tell whether a map collects the results of a step."""
    return any(
        other.each == step.name and other.collect is not None
        for other in registry.steps.values()
    )


def _routes_to(step: StepDef) -> tuple[str, ...]:
    """Return the known steps that a result of this one may choose."""
    found = dict.fromkeys([*step.route_targets, *step.declared_routes])
    return tuple(target for target in found if target not in step.to)


def _starts_successors_directly(step: StepDef, topology: graph.Topology) -> bool:
    """Tell whether the successors of a step can start without passing a join."""
    if _routes_to(step):
        return False
    return all(topology.parents.get(t, ()) == (step.name,) for t in step.to)


def _callbacks(
    hooks: Iterable[HookSpec], resource_graph: ResourceGraph, settings: PipeSettings
) -> tuple[Callback, ...]:
    return tuple(_callback(hook, resource_graph, settings) for hook in hooks)


def _callback(
    hook: HookSpec, resource_graph: ResourceGraph, settings: PipeSettings
) -> Callback:
    name = getattr(hook.func, "__name__", type(hook.func).__name__)
    dependencies = resource_graph.dependencies_of(
        hook.injection_metadata, hook.parameter_types
    )
    is_stream = is_generator_function(hook.func)
    func = streaming(hook.func) if is_stream else hook.func
    func = _with_resources(func, dependencies, {}, settings)
    return Callback(func, name, bind_parameters(hook.injection_metadata, dependencies))


def _wrap_function(
    step: StepDef,
    registry: Registry,
    settings: PipeSettings,
    placement: AnyPlacement | None,
    dependencies: Mapping[str, ResourceNode],
) -> tuple[Callable[..., object], bool]:
    """Wrap a function with its placement, its resources and its middleware.

    Returns:
        The function, and whether middleware is around it.
    """
    placed = _run_in_placement(step, placement, settings)
    func = _with_resources(placed, dependencies, step.options.breaks, settings)
    plain = func
    if settings.is_isolated and (state := _state_parameter(step)) is not None:
        func = with_state_per_try(func, state)
    innermost = func
    context = StepContext(
        step.name, step.options.extra, settings.name, step.options.retries
    )
    parameters = [
        name
        for name, source in step.injection.items()
        if source in _VALUE_READERS and name not in dependencies
    ]
    for middleware in registry.middleware:
        func = wrap(middleware, func, context, parameters)
    return (plain, False) if func is innermost else (func, True)


def _with_resources(
    func: Callable[..., object],
    dependencies: Mapping[str, ResourceNode],
    breaks: Breaks,
    settings: PipeSettings,
) -> Callable[..., object]:
    """Let a function lease its resources; return it unchanged if it needs none."""
    if not dependencies:
        return func
    assert settings.lease_resources is not None
    return settings.lease_resources(func, dependencies, breaks)


def _state_parameter(step: StepDef) -> str | None:
    """Return the parameter that receives the state."""
    sources = step.injection.items()
    return next((name for name, one in sources if one is InjectionSource.STATE), None)


def _run_in_placement(
    step: StepDef, placement: AnyPlacement | None, settings: PipeSettings
) -> Callable[..., object]:
    """Return a step's function, called in its placement; a plain generator streams."""
    if placement is not None and is_remote(placement):
        assert settings.place_remotely is not None
        assert isinstance(placement, Placement)
        rule = _plan.root_rule(settings.state_type, settings.merge)
        return settings.place_remotely(step, placement, rule if rule.named else None)
    func = step.func
    is_stream = step.kind is not NodeKind.MAP and is_generator_function(func)
    if placement is None:
        return streaming(func) if is_stream else func
    assert isinstance(placement, LocalPlacement)
    run_sync = placement.run_sync
    if is_stream:
        return streaming(func, run_sync)

    @functools.wraps(func)
    async def run_placed(**arguments: object) -> object:
        (result,) = await run_sync(functools.partial(_call_boxed, func, arguments))
        return await result if inspect.isawaitable(result) else result

    return run_placed


def _call_boxed(
    func: Callable[..., object], arguments: dict[str, object]
) -> tuple[object]:
    """Call a function and hide its result: trio's threads refuse to return awaitables."""
    return (func(**arguments),)


@define(eq=False, repr=False)
class PlanCache:
    """The plan of a definition, kept until the definition changes."""

    settings: PipeSettings
    """The pipe's own parameters."""
    _plan: Plan | None = attrs.field(default=None, init=False)
    _validated: set[object] = attrs.field(factory=set, init=False)
    _registry: Registry | None = attrs.field(default=None, init=False)
    _version: int = attrs.field(default=-1, init=False)

    def plan(self, registry: Registry) -> Plan:
        """Return the compiled pipeline.

        Raises:
            DefinitionError: it cannot be compiled.
        """
        self._forget_older(registry)
        if self._plan is None:
            self._plan = compile_plan(registry, self.settings)
        return self._plan

    def validate_once(
        self, registry: Registry, key: object, validate: Callable[[], None]
    ) -> None:
        """Validate a definition unless this was done before with the same arguments.

        Raises:
            DefinitionError: it is wired wrongly.
        """
        self._forget_older(registry)
        if key not in self._validated:
            validate()
            self._validated.add(key)

    def _forget_older(self, registry: Registry) -> None:
        if self._registry is not registry or self._version != registry.version:
            self._plan, self._validated = None, set()
            self._registry, self._version = registry, registry.version
