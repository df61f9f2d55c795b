"""The graph of a definition: edges, roots, loops, and the parents of every join.

Every traversal is a loop over a work list, never a recursion: pipelines of five thousand
steps in a row are legal.

There are two kinds of edges.  *Static* edges are taken whenever a step ends: ``to`` and
a map's worker.  *Routes* are taken when a result chooses them: the targets and the
default of a dict switch, and the steps that ``routes=`` names.  What a callable switch
or a returned name leads to without ``routes=`` is not known before it happens.

A cycle of static edges would never end and is an error.  A cycle with a route in it is a
loop.  The edges that lead back to where a loop was entered are *back edges*; a join does
not wait for them, since the first pass cannot have come through them.

Most loops have one entry: every path into the loop goes through it, and the back edges
are those that lead to it.  A depth-first search finds them.  In a loop with several
entries such a search finds edges that depend on the order of the steps, so static edges
decide: see ``_edges_to_entries``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from .._definition.steps import StepDef
from .._util.lazy_classes import define, frozen


Edges = Mapping[str, tuple[str, ...]]
"""Targets by step, unknown ones left out."""


@frozen(eq=False)
class Topology:
    """The graph of a definition: edges, and the facts that are derived from them."""

    edges: Edges
    """All known targets of every step."""
    roots: tuple[str, ...]
    """First steps of a run: steps without an incoming edge, as registered."""
    loops: Mapping[str, int]
    """The number of the cycle that a step is part of, for steps that are in one."""
    parents: Edges
    """Steps that a step waits for in one pass, in order of registration."""
    routers: Edges
    """Steps that may start a step on their own, which it does not wait for."""


def topology_of(steps: Mapping[str, StepDef]) -> Topology:
    """Return the graph of some steps."""
    edges = edges_of(steps)
    component = components_of(edges)
    roots = _roots_of(edges, component)
    back = _back_edges_of(edges, static_edges_of(steps), roots)
    parents, routers = _parents_of(steps, back)
    members: dict[int, list[str]] = {}
    for name, number in component.items():
        members.setdefault(number, []).append(name)
    loops = {
        name: number
        for name, number in component.items()
        if len(members[number]) > 1 or name in edges[name]
    }
    return Topology(edges, roots, loops, parents, routers)


def static_edges_of(steps: Mapping[str, StepDef]) -> Edges:
    """Return the known targets that every step leads to whatever it returns."""
    return {
        name: tuple(
            target
            for target in dict.fromkeys(
                (*step.to, *((step.each,) if step.each else ()))
            )
            if target in steps
        )
        for name, step in steps.items()
    }


def edges_of(steps: Mapping[str, StepDef]) -> Edges:
    """Return all known targets of every step: static edges and routes."""
    return {
        name: tuple(
            target
            for target in dict.fromkeys([*step.targets, *step.declared_routes])
            if target in steps
        )
        for name, step in steps.items()
    }


def _roots_of(edges: Edges, component: Mapping[str, int]) -> tuple[str, ...]:
    """Return the steps that no other step leads to, in order of registration.

    A loop that nothing leads into begins at its step that was registered first.
    """
    led_into = {
        component[target]
        for name, targets in edges.items()
        for target in targets
        if component[target] != component[name]
    }
    roots: dict[int, str] = {}
    for name in edges:
        if component[name] not in led_into:
            roots.setdefault(component[name], name)
    return tuple(roots.values())


def _parents_of(
    steps: Mapping[str, StepDef], back: set[tuple[str, str]]
) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Return the parents and the routers of every step, in order of registration.

    A step with static parents waits for those that may be routed to it as well: a route
    into a join is one more parent of it.  A step without static parents is started by
    each route.
    """
    static: dict[str, list[str]] = {name: [] for name in steps}
    routed: dict[str, list[str]] = {name: [] for name in steps}
    for name, step in steps.items():
        for target in dict.fromkeys(step.to):
            if target in steps and (name, target) not in back:
                static[target].append(name)
        for target in dict.fromkeys([*step.route_targets, *step.declared_routes]):
            is_known = target in steps and target not in step.to
            if is_known and (name, target) not in back:
                routed[target].append(name)
    order = {name: place for place, name in enumerate(steps)}
    parents = {
        name: tuple(sorted([*by_target, *routed[name]], key=order.__getitem__))
        if by_target
        else ()
        for name, by_target in static.items()
    }
    routers = {
        n: () if static[n] else tuple(by_target) for n, by_target in routed.items()
    }
    return parents, routers


def components_of(edges: Edges) -> dict[str, int]:
    """Return the number of the strongly connected component of every step.

    Two steps have the same number when each leads to the other.
    """
    search = _ComponentSearch(edges)
    for start in edges:
        if start not in search.index:
            search.run(start)
    return search.by_target


@define(eq=False, repr=False)
class _ComponentSearch:
    """Tarjan's algorithm, with a work list in place of the recursion."""

    edges: Edges
    index: dict[str, int] = attrs.field(factory=dict)
    low: dict[str, int] = attrs.field(factory=dict)
    by_target: dict[str, int] = attrs.field(factory=dict)
    open_steps: list[str] = attrs.field(factory=list)
    work: list[tuple[str, Iterator[str]]] = attrs.field(factory=list)
    count: int = 0

    def run(self, start: str) -> None:
        """Number the components that can be reached from a step."""
        self._enter(start)
        while self.work:
            name, targets = self.work[-1]
            target = next(targets, None)
            if target is None:
                self._leave(name)
            elif target not in self.index:
                self._enter(target)
            elif target not in self.by_target:
                self.low[name] = min(self.low[name], self.index[target])

    def _enter(self, name: str) -> None:
        self.index[name] = self.low[name] = len(self.index)
        self.open_steps.append(name)
        self.work.append((name, iter(self.edges.get(name, ()))))

    def _leave(self, name: str) -> None:
        self.work.pop()
        if self.work:
            parent = self.work[-1][0]
            self.low[parent] = min(self.low[parent], self.low[name])
        if self.low[name] < self.index[name]:
            return
        member = None
        while member != name:
            member = self.open_steps.pop()
            self.by_target[member] = self.count
        self.count += 1


def _back_edges_of(
    edges: Edges, static: Edges, roots: tuple[str, ...]
) -> set[tuple[str, str]]:
    """Return the edges that lead back to where a loop was entered."""
    back: set[tuple[str, str]] = set()
    while True:
        forward = {
            name: tuple(target for target in targets if (name, target) not in back)
            for name, targets in edges.items()
        }
        closing = _closing_edges_of(forward, roots)
        sure = _edges_to_dominators(forward, roots, closing)
        if sure == closing:
            return back | closing
        found = sure or _edges_to_entries(forward, static, roots, closing)
        if not found:  # only routes lead to the entries, and in any order
            return back | closing
        back |= found


def _closing_edges_of(edges: Edges, roots: Iterable[str]) -> set[tuple[str, str]]:
    """Return the back edges of a depth-first search: each closes a cycle."""
    back: set[tuple[str, str]] = set()
    done: set[str] = set()
    for root in roots:
        on_path: set[str] = {root}
        work: list[tuple[str, Iterator[str]]] = [(root, iter(edges[root]))]
        while work:
            name, targets = work[-1]
            target = next(targets, None)
            if target is None:
                work.pop()
                on_path.discard(name)
                done.add(name)
            elif target in on_path:
                back.add((name, target))
            elif target not in done:
                on_path.add(target)
                work.append((target, iter(edges[target])))
    return back


def _edges_to_dominators(
    edges: Edges, roots: Iterable[str], closing: Iterable[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Return the closing edges without the target of which no path reaches the source."""
    sources: dict[str, list[str]] = {}
    for source, target in closing:
        sources.setdefault(target, []).append(source)
    found: set[tuple[str, str]] = set()
    for target, names in sources.items():
        reached = set() if names == [target] else _reach_around(edges, roots, {target})
        found.update((name, target) for name in names if name not in reached)
    return found


def _edges_to_entries(
    edges: Edges,
    static: Edges,
    roots: tuple[str, ...],
    closing: Iterable[tuple[str, str]],
) -> set[tuple[str, str]]:
    """Return the edges back to the steps that every pass into a loop starts.

    Those are the entries of the loop and the steps that static edges lead to from there.
    An edge to such a step comes from a later lap when all paths to its source go through
    the step or through one that static edges lead to from it.  So in
    ``a -> [b, c] -> d``, where a route of ``d`` leads to ``e`` and ``e -> [b, c]``,
    both edges of ``e`` lead back, and ``d`` waits for ``b`` and ``c``.
    """
    component = components_of(edges)
    found: set[tuple[str, str]] = set()
    for number in {component[source] for source, _ in closing}:
        inner = {
            name: tuple(target for target in targets if component[target] == number)
            for name, targets in edges.items()
        }
        led_into = {
            target
            for name, targets in inner.items()
            if component[name] != number
            for target in targets
        }
        entries = led_into | {root for root in roots if component[root] == number}
        loop = {n: targets for n, targets in inner.items() if component[n] == number}
        found |= _edges_to_first_steps(loop, static, entries)
    return found


def _edges_to_first_steps(
    loop: Edges, static: Edges, entries: set[str]
) -> set[tuple[str, str]]:
    """Return the edges of one loop that lead back to what its entries start."""
    fixed = {
        name: tuple(target for target in targets if target in static[name])
        for name, targets in loop.items()
    }
    first = reach(fixed, entries)
    sources: dict[str, list[str]] = {}
    for name, targets in loop.items():
        for target in first.intersection(targets):
            if name not in first or target not in fixed[name]:
                sources.setdefault(target, []).append(name)
    found: set[tuple[str, str]] = set()
    for target, names in sources.items():
        reached = _reach_around(loop, entries, reach(fixed, {target}))
        found.update((name, target) for name in names if name not in reached)
    return found


def _reach_around(edges: Edges, starts: Iterable[str], blocked: set[str]) -> set[str]:
    """Return every step that can be reached on paths without the blocked ones."""
    seen = set(starts) - blocked
    queue = list(seen)
    while queue:
        for target in edges.get(queue.pop(), ()):
            if target not in seen and target not in blocked:
                seen.add(target)
                queue.append(target)
    return seen


def reach(edges: Edges, starts: Iterable[str]) -> set[str]:
    """Return every step that can be reached, the starts included."""
    return _reach_around(edges, starts, set())


def find_cycle(edges: Edges, starts: Iterable[str]) -> list[str] | None:
    """Return one cycle that can be reached, as a path that ends where it begins."""
    done: set[str] = set()
    for start in starts:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            name, is_leaving = stack.pop()
            if is_leaving:
                path.pop()
                on_path.discard(name)
                done.add(name)
            elif name in on_path:
                return [*path[path.index(name) :], name]
            elif name not in done:
                path.append(name)
                on_path.add(name)
                stack.append((name, True))
                stack.extend((t, False) for t in reversed(edges.get(name, ())))
    return None
