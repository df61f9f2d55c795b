"""How far down every box stands.

First some links are turned around until there is no cycle, preferring those that may.
Then every box goes as far up as its parents let it, and boxes that hang on their
successors more than on their parents are pulled down again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import attrs

from .boxes import Link


SWEEPS = 8
"""Times that boxes are pulled up and down; pipelines settle after two or three."""


@attrs.frozen(eq=False)
class Arc:
    """A link in its drawn direction, downwards."""

    upper: str
    """The box above."""
    lower: str
    """The box below."""
    link: Link
    """Which link it is."""

    @property
    def is_turned(self) -> bool:
        """Whether the link points upwards."""
        return self.upper != self.link.source


def acyclic(keys: Iterable[str], links: Sequence[Link]) -> list[Arc]:
    """Return links as arcs without a cycle, in their order; loops are left out."""
    found: dict[int, Arc] = {}
    down: defaultdict[str, list[str]] = defaultdict(list)
    straight = [link for link in links if link.source != link.target]
    for link in sorted(straight, key=lambda one: one.may_turn):
        ends = (link.source, link.target)
        if link.may_turn and _reaches(down, link.target, link.source):
            ends = (link.target, link.source)
        down[ends[0]].append(ends[1])
        found[id(link)] = Arc(*ends, link)
    arcs = [found[id(link)] for link in straight]
    return _without_cycles(keys, arcs)


def _reaches(down: dict[str, list[str]], start: str, goal: str) -> bool:
    waiting, seen = [start], {start}
    while waiting:
        here = waiting.pop()
        if here == goal:
            return True
        new = [one for one in down.get(here, ()) if one not in seen]
        seen.update(new)
        waiting.extend(new)
    return False


def _without_cycles(keys: Iterable[str], arcs: list[Arc]) -> list[Arc]:
    """Turn what still points back at a box that is being visited, depth first."""
    away: defaultdict[str, list[Arc]] = defaultdict(list)
    for arc in arcs:
        away[arc.upper].append(arc)
    turned: set[int] = set()
    open_, done = set[str](), set[str]()
    for key in keys:
        stack: list[tuple[str, bool]] = [(key, False)]
        while stack:
            here, is_leaving = stack.pop()
            if is_leaving:
                open_.discard(here)
                done.add(here)
            elif here not in done and here not in open_:
                open_.add(here)
                stack.append((here, True))
                turned.update(id(arc) for arc in away[here] if arc.lower in open_)
                stack.extend((arc.lower, False) for arc in reversed(away[here]))
    return [
        Arc(arc.lower, arc.upper, arc.link) if id(arc) in turned else arc
        for arc in arcs
    ]


def ranks_of(keys: Sequence[str], arcs: Sequence[Arc]) -> dict[str, int]:
    """Return the rank of every box; the topmost is 0."""
    above: defaultdict[str, list[Arc]] = defaultdict(list)
    below: defaultdict[str, list[Arc]] = defaultdict(list)
    for arc in arcs:
        above[arc.lower].append(arc)
        below[arc.upper].append(arc)
    order = _downwards(keys, above, below)
    ranks: dict[str, int] = {}
    for key in order:
        ranks[key] = max((ranks[a.upper] + a.link.ranks for a in above[key]), default=0)
    for _ in range(SWEEPS):
        before = dict(ranks)
        for key in [*reversed(order), *order]:
            ranks[key] = _pulled(ranks, key, above[key], below[key])
        if ranks == before:
            break
    top = min(ranks.values(), default=0)
    return {key: rank - top for key, rank in ranks.items()}


def _downwards(
    keys: Sequence[str], above: dict[str, list[Arc]], below: dict[str, list[Arc]]
) -> list[str]:
    """Return the boxes with every one after those above it."""
    missing = {key: len(above[key]) for key in keys}
    ready = [key for key in reversed(keys) if not missing[key]]
    order: list[str] = []
    while ready:
        here = ready.pop()
        order.append(here)
        for arc in reversed(below[here]):
            missing[arc.lower] -= 1
            if not missing[arc.lower]:
                ready.append(arc.lower)
    return order


def _pulled(ranks: dict[str, int], key: str, above: list[Arc], below: list[Arc]) -> int:
    if not below or not above:
        lowest = min((ranks[a.lower] - a.link.ranks for a in below), default=None)
        return ranks[key] if lowest is None or above else lowest
    highest = max(ranks[a.upper] + a.link.ranks for a in above)
    lowest = min(ranks[a.lower] - a.link.ranks for a in below)
    pull = sum(a.link.weight for a in below) - sum(a.link.weight for a in above)
    return lowest if pull > 0 else highest
