"""Build the visual AST from registered steps.

Edges have a fixed order: static ones, maps, switches, and dynamic ones from a step's
possible results.  The other data follow from the edges.  The entries reach the whole
drawing: they are the steps without an incoming certain edge, which the engine starts,
except those that another entry reaches by a dynamic edge.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .._util.callables import unwrap_function
from ..events import NodeKind
from ..signals import Stop
from ..specs import StepShape, StepShapes, Topology, resolve_name
from .ast import (
    ParallelGroup,
    VisualAST,
    VisualEdge,
    VisualExit,
    VisualNode,
    VisualNodeKind,
)
from .labels import key_text
from .route_analysis import analyze_routes


DYNAMIC = "dynamic"
"""Label of an edge from a step's possible results."""

Hooks = Sequence[Callable[..., Any]] | None
"""Startup or shutdown hooks, as functions."""


def build_ast(
    steps: StepShapes,
    topology: Topology,
    startup_hooks: Hooks = None,
    shutdown_hooks: Hooks = None,
) -> VisualAST:
    """Return the drawing of a pipeline.

    Args:
        steps: the steps by name.
        topology: static successors by step.
        startup_hooks: functions called before the first step.
        shutdown_hooks: functions called when a run ends.
    """
    return _build(
        steps, topology, _hook_names(startup_hooks), _hook_names(shutdown_hooks), ()
    )


def _build(
    steps: StepShapes,
    topology: Topology,
    startup: list[str],
    shutdown: list[str],
    ancestors: tuple[object, ...],
) -> VisualAST:
    static = [VisualEdge(*pair) for pair in _static_pairs(topology)]
    edges = [*static, *_map_edges(steps), *_route_edges(steps)]
    edges += _dynamic_edges(steps, edges)
    exits = list(_exits(steps))
    names = sorted({*steps, *(e.source for e in edges), *(e.target for e in edges)})
    factory = _NodeFactory(steps, edges, exits)
    nodes = {
        name: factory.node(f"n{index}", name, ancestors)
        for index, name in enumerate(names)
    }
    return VisualAST(
        nodes=nodes,
        edges=edges,
        parallel_groups=list(_groups(topology, nodes)),
        startup_hooks=startup,
        shutdown_hooks=shutdown,
        exits=exits,
    )


def _hook_names(hooks: Hooks) -> list[str]:
    return [resolve_name(hook) for hook in hooks or ()]


# -- edges


def _static_pairs(topology: Topology) -> Iterator[tuple[str, str]]:
    for source, targets in topology.items():
        for target in dict.fromkeys(targets):
            yield source, target


def _map_edges(steps: StepShapes) -> Iterator[VisualEdge]:
    for name, step in steps.items():
        if step.each is not None:
            yield VisualEdge(name, step.each, is_map_edge=True)


def _route_edges(steps: StepShapes) -> Iterator[VisualEdge]:
    for name, step in steps.items():
        for value, target in _routes(step):
            if isinstance(target, str):
                yield VisualEdge(name, target, label=key_text(value))
        if step.default is not None:
            yield VisualEdge(name, step.default, label="default")


def _routes(step: StepShape) -> Iterable[tuple[object, object]]:
    return step.routes.items() if isinstance(step.routes, Mapping) else ()


def _dynamic_edges(
    steps: StepShapes, existing: list[VisualEdge]
) -> Iterator[VisualEdge]:
    existing_pairs = {(edge.source, edge.target) for edge in existing}
    for name, step in steps.items():
        label = DYNAMIC if step.kind is NodeKind.STEP else None
        for target in _dynamic_targets(step, steps):
            if (name, target) not in existing_pairs:
                yield VisualEdge(name, target, label=label, is_dynamic=True)


def _dynamic_targets(step: StepShape, steps: StepShapes) -> Iterable[str]:
    """Return the next steps that a step, its switch or its handler may return."""
    if step.declared_routes:
        return dict.fromkeys(step.declared_routes)
    functions = [step.func] if step.kind is NodeKind.STEP else []
    functions += [step.routes] if callable(step.routes) else []
    functions += [step.handler] if step.handler is not None else []
    return dict.fromkeys(
        n for function in functions for n in analyze_routes(function, steps).names
    )


def _exits(steps: StepShapes) -> Iterator[VisualExit]:
    for name, step in steps.items():
        for value, target in _routes(step):
            if target is Stop:
                yield VisualExit(name, label=key_text(value))
        if callable(step.routes) and analyze_routes(step.routes, steps).stops:
            yield VisualExit(name, is_dynamic=True)


def _groups(
    topology: Topology, nodes: Mapping[str, VisualNode]
) -> Iterator[ParallelGroup]:
    for source, targets in topology.items():
        distinct = list(dict.fromkeys(targets))
        if len(distinct) > 1:
            yield ParallelGroup(f"parallel_{nodes[source].id}", source, distinct)


# -- nodes


class _NodeFactory:
    """Builds nodes with the properties that follow from the edges."""

    def __init__(
        self, steps: StepShapes, edges: list[VisualEdge], exits: list[VisualExit]
    ) -> None:
        self._steps = steps
        self._workers = {edge.target for edge in edges if edge.is_map_edge}
        self._has_successors = {
            e.source for e in edges if not (e.is_map_edge or e.is_dynamic)
        }
        self._has_successors |= {
            s.name for s in steps.values() if s.kind is NodeKind.SWITCH
        }
        self._connected = {end for e in edges for end in (e.source, e.target)}
        self._connected |= {exit_.source for exit_ in exits}
        self._entries = _entries(steps, edges, self._connected)

    def node(
        self, node_id: str, name: str, ancestors: tuple[object, ...]
    ) -> VisualNode:
        step = self._steps.get(name)
        is_worker = name in self._workers
        node = VisualNode(
            id=node_id,
            name=name,
            kind=VisualNodeKind.STEP,
            is_entry=name in self._entries,
            is_terminal=not is_worker and name not in self._has_successors,
            is_isolated=name not in self._connected and name not in self._entries,
            is_map_target=is_worker,
        )
        if step is not None:
            node.kind = _kind_of(step)
            node.barrier_type = step.barrier_type
            node.metadata = {"doc": _first_line(step.func)}
            node.sub_graph = _child_ast(step, ancestors)
            node.has_unknown_routes = _has_unknown_routes(step, self._steps)
        return node


def _entries(
    steps: StepShapes, edges: list[VisualEdge], connected_names: set[str]
) -> frozenset[str]:
    """Return entries from which every connected step is reached."""
    if not connected_names:
        return frozenset(steps)
    certain = {edge.target for edge in edges if not edge.is_dynamic}
    possible = {edge.target for edge in edges if edge.source != edge.target}
    successors: dict[str, list[str]] = {}
    for edge in edges:
        successors.setdefault(edge.source, []).append(edge.target)
    connected = [name for name in steps if name in connected_names]
    entries: list[str] = []
    reached: set[str] = set()
    for candidates in (
        [name for name in connected if name not in possible],
        [name for name in connected if name not in certain],
        connected,  # cycles
    ):
        for name in candidates:
            if name not in reached:
                entries.append(name)
                _mark_reachable(name, successors, reached)
    return frozenset(entries)


def _mark_reachable(
    name: str, successors: Mapping[str, list[str]], reached: set[str]
) -> None:
    stack = [name]
    while stack:
        current = stack.pop()
        if current not in reached:
            reached.add(current)
            stack.extend(successors.get(current, ()))


def _kind_of(step: StepShape) -> VisualNodeKind:
    if step.kind is NodeKind.STEP and inspect.isasyncgenfunction(
        unwrap_function(step.func)
    ):
        return VisualNodeKind.STREAMING
    return VisualNodeKind(step.kind.value)


def _has_unknown_routes(step: StepShape, steps: StepShapes) -> bool:
    is_callable_switch = step.kind is NodeKind.SWITCH and callable(step.routes)
    return (
        is_callable_switch
        and not step.declared_routes
        and not analyze_routes(step.routes, steps).is_complete
    )


def _first_line(func: object) -> str:
    return (inspect.getdoc(unwrap_function(func)) or "").partition("\n")[0]


def _child_ast(step: StepShape, ancestors: tuple[object, ...]) -> VisualAST | None:
    """Build the visual AST of a sub's pipe, except in a recursive pipe."""
    steps = getattr(getattr(step.child, "registry", None), "steps", None)
    if not steps or any(step.child is ancestor for ancestor in ancestors):
        return None
    return _build(steps, step.child.topology, [], [], (*ancestors, step.child))
