"""The definition of a pipe, checked and compiled when that is first needed."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs

from .._definition.decorators import Target
from .._definition.names import start_of
from .._definition.registry import Registry
from .._definition.steps import StepDef
from ..abc import Placement
from ..errors import DefinitionError
from ..events import NodeKind
from ..failures import FailureClassificationConfig
from ..specs import HookSpec, InjectionMetadata, InjectionSource, StepContext
from . import graph as graph, validation as checks
from .description import fingerprint
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
from .resource_injection import Stock, equipped
from .validation import Question, read_by


_Reader = Callable[[RunValues, CallValues], object]

_READERS: dict[InjectionSource, _Reader] = {
    InjectionSource.STATE: lambda run, _call: run.state,
    InjectionSource.CONTEXT: lambda run, _call: run.context,
    InjectionSource.CANCEL: lambda run, _call: run.token,
    InjectionSource.ERROR: lambda _run, call: call.error,
    InjectionSource.STEP_NAME: lambda _run, call: call.step_name,
}


def bind_parameters(
    injection: InjectionMetadata, supplied: Collection[str] = ()
) -> Bind:
    """Return what collects a function's keyword arguments, specialised where it is common.

    Args:
        injection: where the parameters come from.
        supplied: parameters that somebody else supplies at every call: resources.
    """
    injection = {n: source for n, source in injection.items() if n not in supplied}
    by_source = {source: name for name, source in injection.items()}
    match sorted(source.value for source in injection.values()):
        case []:
            return lambda _run, _call: {}
        case ["state"]:
            only = by_source[InjectionSource.STATE]
            return lambda run, _call: {only: run.state}
        case ["context", "state"]:
            first = by_source[InjectionSource.STATE]
            second = by_source[InjectionSource.CONTEXT]
            return lambda run, _call: {first: run.state, second: run.context}
        case ["state", "unknown"]:
            first = by_source[InjectionSource.STATE]
            return _with_item(first, by_source[InjectionSource.UNKNOWN])
        case _:
            return _general(injection)


def _with_item(state: str, item: str) -> Bind:
    """Return what collects the arguments of most map workers."""

    def bind(run: RunValues, call: CallValues) -> dict[str, object]:
        if call.item is NO_ITEM:
            return {state: run.state}
        return {state: run.state, item: call.item}

    return bind


def _general(injection: InjectionMetadata) -> Bind:
    readers = [
        (name, _READERS[source])
        for name, source in injection.items()
        if source in _READERS
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


@attrs.frozen(eq=False, kw_only=True)
class Settings:
    """The pipe's own parameters that a plan depends on."""

    name: str
    """The pipe's name."""
    on_failure: str = "prune"
    """What an unhandled failure does to the rest."""
    max_retries: int = 100
    """Most attempts by ``Retry()``."""
    max_map_items: int = 100_000
    """Most items of one map."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    """What ``meta.pipeline`` shows."""
    classification: FailureClassificationConfig = attrs.field(
        factory=FailureClassificationConfig
    )
    """How failures are attributed."""
    placements: Mapping[str, Placement] = attrs.field(factory=dict)
    """Placements by the name decorators use."""


def compile_plan(registry: Registry, settings: Settings) -> Plan:
    """Compile a definition.

    Raises:
        DefinitionError: a placement is unknown, or a resource cannot be had.
    """
    steps = registry.steps
    stock = Stock(registry.resources)
    edges = graph.edges_of(steps)
    parents, routers = graph.parents_of(steps), graph.routers_of(steps)
    nodes = {
        name: _node(step, registry, settings, stock, (parents, routers))
        for name, step in steps.items()
    }
    return Plan(
        name=settings.name,
        fingerprint=fingerprint(settings.name, steps),
        nodes=nodes,
        roots=graph.roots_of(edges),
        startup=tuple(_callback(hook, stock) for hook in registry.startup_hooks),
        shutdown=tuple(_callback(hook, stock) for hook in registry.shutdown_hooks),
        on_error=_callback(registry.error_hook, stock) if registry.error_hook else None,
        resources=tuple(stock.nodes[name] for name in registry.resources),
        on_failure=settings.on_failure,
        max_retries=settings.max_retries,
        max_map_items=settings.max_map_items,
        metadata=settings.metadata,
        classification=settings.classification,
        reaches={name: frozenset(targets) for name, targets in edges.items()},
    )


def _node(
    step: StepDef,
    registry: Registry,
    settings: Settings,
    stock: Stock,
    upstream: tuple[graph.Edges, graph.Edges],
) -> Node:
    options = step.options
    parents, routers = upstream
    needs = stock.needs_of(step.injection, step.wants)
    placement = _placement_of(step, settings.placements)
    common: dict[str, Any] = {
        "name": step.name,
        "kind": step.kind,
        "func": _wrapped(step, registry, settings, placement, needs),
        "placement": placement,
        "bind": bind_parameters(step.injection, needs),
        "to": step.to,
        "parents": parents[step.name],
        "routed_by": routers[step.name],
        "leads_straight": _leads_straight(step, parents),
        "leads_nowhere": not step.to and step.kind is not NodeKind.SWITCH,
        "join": options.barrier_type,
        "barrier_timeout": options.barrier_timeout,
        "on_error": _callback(options.on_error, stock) if options.on_error else None,
        "timeout": options.timeout,
        "concurrency": options.concurrency,
    }
    match step.kind:
        case NodeKind.MAP:
            limit = step.max_concurrency
            return MapNode(**common, each=step.each or "", max_concurrency=limit)
        case NodeKind.SWITCH:
            return SwitchNode(**common, routes=step.routes or {}, default=step.default)
        case NodeKind.SUB:
            return SubNode(**common, child=step.child)
        case _:
            return StepNode(**common)


def _leads_straight(step: StepDef, parents: graph.Edges) -> bool:
    """Say whether what follows a step can be started without asking anybody's gate."""
    return step.kind is not NodeKind.SWITCH and all(
        len(parents.get(target, ())) == 1 for target in step.to
    )


def _callback(hook: HookSpec, stock: Stock) -> Callback:
    name = getattr(hook.func, "__name__", type(hook.func).__name__)
    needs = stock.needs_of(hook.injection_metadata, hook.wants)
    func = equipped(hook.func, needs, {})
    return Callback(func, name, bind_parameters(hook.injection_metadata, needs))


def _wrapped(
    step: StepDef,
    registry: Registry,
    settings: Settings,
    placement: Placement | None,
    needs: Mapping[str, ResourceNode],
) -> Callable[..., object]:
    """Put a function into its placement, give it its resources, wrap middleware around."""
    func = equipped(_placed(step.func, placement), needs, step.options.breaks)
    context = StepContext(
        step.name, step.options.extra, settings.name, step.options.retries
    )
    for middleware in registry.middleware:
        wrapped = middleware(func, context)
        func = func if wrapped is None else wrapped
    return func


def _placement_of(
    step: StepDef, placements: Mapping[str, Placement]
) -> Placement | None:
    chosen = step.options.placement
    if chosen is None or chosen == "here":
        return None
    placement = placements.get(chosen) if isinstance(chosen, str) else chosen
    if placement is None:
        msg = (
            f"Step '{step.name}' wants placement '{chosen}'; "
            f"there are: here, {', '.join(sorted(placements))}."
        )
        raise DefinitionError(msg, step_name=step.name)
    return placement


def _placed(
    func: Callable[..., object], placement: Placement | None
) -> Callable[..., object]:
    if placement is None:
        return func
    place = placement.run_sync

    @functools.wraps(func)
    async def elsewhere(**arguments: object) -> object:
        (result,) = await place(functools.partial(_boxed, func, arguments))
        return await result if inspect.isawaitable(result) else result

    return elsewhere


def _boxed(func: Callable[..., object], arguments: dict[str, object]) -> tuple[object]:
    """Call a function and hide its result: trio's threads refuse to return awaitables."""
    return (func(**arguments),)


class Compiled:
    """The half of a ``Pipe`` that knows what it compiles to.

    Both answers are kept for as long as the definition stays as it is.
    """

    registry: Registry
    """The definition."""
    strict: bool
    """Whether doubts are errors."""
    allow_multi_root: bool
    """Whether several roots are meant."""
    state_type: Any
    """The pipe's state type."""
    _settings: Settings
    _plan: tuple[int, Plan] | None
    _validated: set[tuple[int, str | None, bool, bool]]

    def validate(
        self,
        start: Target | None = None,
        strict: bool | None = None,  # noqa: FBT001 - the reference's signature
        allow_multi_root: bool | None = None,  # noqa: FBT001
    ) -> None:
        """Check the definition; all problems are reported together.

        Raises:
            DefinitionError: there is one; a ``DefinitionErrorGroup`` for several.
        """
        if strict is None:
            strict = self.strict
        if allow_multi_root is None:
            allow_multi_root = self.allow_multi_root
        question = Question(
            steps=self.registry.steps,
            state_type=self.state_type,
            start=start_of(start),
            strict=strict,
            allow_multi_root=allow_multi_root,
            resources=self.registry.resources,
            hooks=self.registry.specs,
            readable=read_by(self.registry.middleware),
        )
        checks.validate(question)

    def plan(self) -> Plan:
        """Return the compiled pipeline; compiled once per version of the definition.

        Raises:
            DefinitionError: it cannot be compiled.
        """
        version = self.registry.version
        if self._plan is None or self._plan[0] != version:
            self._plan = (version, compile_plan(self.registry, self._settings))
        return self._plan[1]

    def _validate_once(self, start: str | None) -> None:
        key = (self.registry.version, start, self.strict, self.allow_multi_root)
        if key not in self._validated:
            self.validate(start=start)
            self._validated.add(key)

    def _forget(self) -> None:
        self._plan = None
        self._validated = set()
