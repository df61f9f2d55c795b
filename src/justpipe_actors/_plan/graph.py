"""The graph behind the steps: who leads where.

Every traversal is a loop over a work list, never a recursion: pipelines of five thousand
steps in a row are legal.  Edges are *targets*: static ``to``, a map's worker, a dict
switch's routes and default.  What a callable switch or a returned name leads to is not
known before it happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._definition.steps import StepDef


Edges = Mapping[str, tuple[str, ...]]
"""Targets by step, unknown ones left out."""


def edges_of(steps: Mapping[str, StepDef]) -> Edges:
    """Return the known targets of every step."""
    return {
        name: tuple(target for target in step.targets if target in steps)
        for name, step in steps.items()
    }


def roots_of(edges: Edges) -> tuple[str, ...]:
    """Return the steps that are nobody's target, in order of registration."""
    targeted = {target for targets in edges.values() for target in targets}
    return tuple(name for name in edges if name not in targeted)


def parents_of(steps: Mapping[str, StepDef]) -> dict[str, tuple[str, ...]]:
    """Return the static parents of every step, each once, in order of registration."""
    by_target: dict[str, list[str]] = {name: [] for name in steps}
    for name, step in steps.items():
        for target in dict.fromkeys(step.to):
            if target in by_target:
                by_target[target].append(name)
    return {name: tuple(parents) for name, parents in by_target.items()}


def routers_of(steps: Mapping[str, StepDef]) -> dict[str, tuple[str, ...]]:
    """Return the dict switches that may start each step, in order of registration."""
    by_target: dict[str, list[str]] = {name: [] for name in steps}
    for name, step in steps.items():
        for target in step.route_targets:
            if target in by_target:
                by_target[target].append(name)
    return {name: tuple(routers) for name, routers in by_target.items()}


def reach(edges: Edges, starts: Iterable[str]) -> set[str]:
    """Return every step that can be reached, the starts included."""
    seen = set(starts)
    queue = list(seen)
    while queue:
        for target in edges.get(queue.pop(), ()):
            if target not in seen:
                seen.add(target)
                queue.append(target)
    return seen


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
