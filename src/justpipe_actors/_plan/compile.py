"""From a definition to a plan: wrap, bind and link everything once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from .._definition.registry import Registry
from .._definition.steps import StepDef
from ..abc import Placement
from ..errors import DefinitionError
from ..events import NodeKind
from ..failures import FailureClassificationConfig
from ..shape import HookSpec, StepContext
from . import graph
from .binding import bind_parameters
from .equipping import equipped
from .fingerprint import fingerprint
from .needs import Stock
from .nodes import (
    Callback,
    MapNode,
    Node,
    Plan,
    StepNode,
    SubNode,
    SwitchNode,
)
from .resources import ResourceNode


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
