"""The boxes in their layers, and the lines that pass through.

A line that crosses layers gets a spot in each of them, so that it is given room and can
be drawn straight.  Labels are spots, too: they stand in layers of their own, between two
ranks, where no box can touch them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import attrs

from .model import Box, Link


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


@attrs.define(eq=False)
class Spot:
    """What takes room in a layer: a box, a label, or a line that passes."""

    width: float
    """Pixels."""
    height: float
    """Pixels."""
    layer: int
    """Which layer."""
    box: str | None = None
    """The box, when it is one."""
    beside: float = 0.0
    """Pixels that must be free beside it."""
    label: Link | None = None
    """The link whose label it is, when it is one."""
    above: list[Spot] = attrs.field(factory=list)
    """Spots of the layer above that lead here."""
    below: list[Spot] = attrs.field(factory=list)
    """Spots of the layer below that it leads to."""
    place: int = 0
    """Where in its layer, from the left."""
    x: float = 0.0
    """Centre."""

    @property
    def is_passing(self) -> bool:
        """Whether it belongs to a line and not to a box."""
        return self.box is None


@attrs.frozen(eq=False)
class Chain:
    """A line, spot by spot downwards."""

    arc: Arc
    """Whose line."""
    spots: Sequence[Spot]
    """The upper box, what it passes, the lower box."""


@attrs.frozen(eq=False)
class Layers:
    """All spots, in layers."""

    layers: list[list[Spot]]
    """From top to bottom; each from left to right."""
    chains: list[Chain]
    """One for every arc."""


def layered(
    boxes: Sequence[Box], arcs: Sequence[Arc], ranks: Mapping[str, int]
) -> Layers:
    """Return spots for the boxes and for what passes between them."""
    level = _levels(arcs, ranks)
    layers: list[list[Spot]] = [[] for _ in range(max(level.values(), default=-1) + 1)]

    def put(spot: Spot) -> Spot:
        layers[spot.layer].append(spot)
        return spot

    spots = {box.key: put(_standing(box, level[2 * ranks[box.key]])) for box in boxes}
    chains: list[Chain] = []
    for arc in arcs:
        upper, lower = spots[arc.upper], spots[arc.lower]
        line = [upper]
        for layer in range(upper.layer + 1, lower.layer):
            is_first = layer == upper.layer + 1
            line.append(put(_passing(arc.link, layer, has_label=is_first)))
        line.append(lower)
        for one, next_ in pairwise(line):
            one.below.append(next_)
            next_.above.append(one)
        chains.append(Chain(arc, line))
    return Layers(layers, chains)


def _levels(arcs: Sequence[Arc], ranks: Mapping[str, int]) -> dict[int, int]:
    """Number the layers: rank r is 2r, labels below it are 2r + 1, the rest is left out."""
    used = {2 * rank for rank in ranks.values()}
    used |= {2 * ranks[arc.upper] + 1 for arc in arcs if arc.link.label is not None}
    return {half: level for level, half in enumerate(sorted(used))}


def _standing(box: Box, layer: int) -> Spot:
    return Spot(box.width, box.height, layer, box.key, box.beside)


def _passing(link: Link, layer: int, *, has_label: bool) -> Spot:
    if has_label and link.label is not None:
        return Spot(*link.label, layer, label=link)
    return Spot(0.0, 0.0, layer)
