"""From registered steps to a drawing.

Edges are found in a fixed order: static ones, maps, switches, and what a step may answer.
Everything else is read off the edges.  Entries are where a reader must begin to reach all
of the drawing: steps that no certain edge leads to, as the engine starts them, except
those that another entry may send a run to by its answers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

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
from .route_analysis import answers_of, plain_function
from .text import text_of


DYNAMIC = "dynamic"
"""Label of an edge that is read off a step's answers."""

Hooks = Sequence[Callable[..., Any]] | None
"""Startup or shutdown hooks, as functions."""


def build_ast(
    steps: StepShapes,
    topology: Topology,
    startup_hooks: Hooks = None,
    shutdown_hooks: Hooks = None,
) -> VisualAST:
    """Return the drawing of a pipeline."""
    return _build(
        steps, topology, _hook_names(startup_hooks), _hook_names(shutdown_hooks), ()
    )


def _build(
    steps: StepShapes,
    topology: Topology,
    startup: list[str],
    shutdown: list[str],
    above: tuple[object, ...],
) -> VisualAST:
    static = [VisualEdge(*pair) for pair in _static_pairs(topology)]
    edges = [*static, *_map_edges(steps), *_route_edges(steps)]
    edges += _dynamic_edges(steps, edges)
    exits = list(_exits(steps))
    names = sorted({*steps, *(e.source for e in edges), *(e.target for e in edges)})
    look = _Look(steps, edges, exits)
    nodes = {
        name: look.node(f"n{index}", name, above) for index, name in enumerate(names)
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
                yield VisualEdge(name, target, label=text_of(value))
        if step.default is not None:
            yield VisualEdge(name, step.default, label="default")


def _routes(step: StepShape) -> Iterable[tuple[object, object]]:
    return step.routes.items() if isinstance(step.routes, Mapping) else ()


def _dynamic_edges(steps: StepShapes, known: list[VisualEdge]) -> Iterator[VisualEdge]:
    taken = {(edge.source, edge.target) for edge in known}
    for name, step in steps.items():
        label = DYNAMIC if step.kind is NodeKind.STEP else None
        for target in _named_by(step, steps):
            if (name, target) not in taken:
                yield VisualEdge(name, target, label=label, is_dynamic=True)


def _named_by(step: StepShape, steps: StepShapes) -> Iterable[str]:
    """Return where a step may lead by what it, its switch or its handler answers."""
    if step.declared_routes:
        return dict.fromkeys(step.declared_routes)
    asked = [step.func] if step.kind is NodeKind.STEP else []
    asked += [step.routes] if callable(step.routes) else []
    asked += [step.handler] if step.handler is not None else []
    return dict.fromkeys(n for one in asked for n in answers_of(one, steps).names)


def _exits(steps: StepShapes) -> Iterator[VisualExit]:
    for name, step in steps.items():
        for value, target in _routes(step):
            if target is Stop:
                yield VisualExit(name, label=text_of(value))
        if callable(step.routes) and answers_of(step.routes, steps).stops:
            yield VisualExit(name, is_dynamic=True)


def _groups(
    topology: Topology, nodes: Mapping[str, VisualNode]
) -> Iterator[ParallelGroup]:
    for source, targets in topology.items():
        distinct = list(dict.fromkeys(targets))
        if len(distinct) > 1:
            yield ParallelGroup(f"parallel_{nodes[source].id}", source, distinct)


# -- nodes


class _Look:
    """What the edges say about every node."""

    def __init__(
        self, steps: StepShapes, edges: list[VisualEdge], exits: list[VisualExit]
    ) -> None:
        self._steps = steps
        self._workers = {edge.target for edge in edges if edge.is_map_edge}
        self._leads_on = {
            e.source for e in edges if not (e.is_map_edge or e.is_dynamic)
        }
        self._leads_on |= {s.name for s in steps.values() if s.kind is NodeKind.SWITCH}
        self._touched = {end for e in edges for end in (e.source, e.target)}
        self._touched |= {one.source for one in exits}
        self._entries = _entries(steps, edges, self._touched)

    def node(self, identity: str, name: str, above: tuple[object, ...]) -> VisualNode:
        step = self._steps.get(name)
        is_worker = name in self._workers
        node = VisualNode(
            id=identity,
            name=name,
            kind=VisualNodeKind.STEP,
            is_entry=name in self._entries,
            is_terminal=not is_worker and name not in self._leads_on,
            is_isolated=name not in self._touched and name not in self._entries,
            is_map_target=is_worker,
        )
        if step is not None:
            node.kind = _kind_of(step)
            node.barrier_type = step.barrier_type
            node.metadata = {"doc": _first_line(step.func)}
            node.sub_graph = _child(step, above)
            node.has_unknown_routes = _is_unreadable(step, self._steps)
        return node


def _entries(
    steps: StepShapes, edges: list[VisualEdge], touched: set[str]
) -> frozenset[str]:
    """Return where to begin, so that everything that hangs together is reached."""
    if not touched:
        return frozenset(steps)
    certain = {edge.target for edge in edges if not edge.is_dynamic}
    possible = {edge.target for edge in edges if edge.source != edge.target}
    ways: dict[str, list[str]] = {}
    for edge in edges:
        ways.setdefault(edge.source, []).append(edge.target)
    connected = [name for name in steps if name in touched]
    found: list[str] = []
    reached: set[str] = set()
    for candidates in (
        [name for name in connected if name not in possible],
        [name for name in connected if name not in certain],
        connected,  # cycles
    ):
        for name in candidates:
            if name not in reached:
                found.append(name)
                _spread(name, ways, reached)
    return frozenset(found)


def _spread(name: str, ways: Mapping[str, list[str]], reached: set[str]) -> None:
    waiting = [name]
    while waiting:
        here = waiting.pop()
        if here not in reached:
            reached.add(here)
            waiting.extend(ways.get(here, ()))


def _kind_of(step: StepShape) -> VisualNodeKind:
    if step.kind is NodeKind.STEP and _is_streaming(step.func):
        return VisualNodeKind.STREAMING
    return VisualNodeKind(step.kind.value)


def _is_streaming(func: object) -> bool:
    return inspect.isasyncgenfunction(plain_function(func))


def _is_unreadable(step: StepShape, steps: StepShapes) -> bool:
    asks = step.kind is NodeKind.SWITCH and callable(step.routes)
    return (
        asks
        and not step.declared_routes
        and not answers_of(step.routes, steps).is_complete
    )


def _first_line(func: object) -> str:
    return (inspect.getdoc(plain_function(func)) or "").partition("\n")[0]


def _child(step: StepShape, above: tuple[object, ...]) -> VisualAST | None:
    """Draw a sub's pipe, unless it is inside itself."""
    steps = getattr(getattr(step.child, "registry", None), "steps", None)
    if not steps or any(step.child is one for one in above):
        return None
    return _build(steps, step.child.topology, [], [], (*above, step.child))
