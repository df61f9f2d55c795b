"""The boxes in their layers, and the lines that pass through.

A line that crosses layers has a dummy vertex in each of them, which reserves room and
keeps the line straight.  Labels are vertices, too: they are in layers of their own
between two ranks, so that they cannot overlap a box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import attrs

from .model import Box, Link


SWEEPS = 8
"""Number of passes over the layers, down and up; two or three settle most pipelines."""


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
    def is_reversed(self) -> bool:
        """Whether the link points upwards."""
        return self.upper != self.link.source


def remove_cycles(keys: Iterable[str], links: Sequence[Link]) -> list[Arc]:
    """Return links as arcs without a cycle, in their order; loops are left out."""
    found: dict[int, Arc] = {}
    down: defaultdict[str, list[str]] = defaultdict(list)
    straight = [link for link in links if link.source != link.target]
    for link in sorted(straight, key=lambda link: link.may_reverse):
        ends = (link.source, link.target)
        if link.may_reverse and _reaches(down, link.target, link.source):
            ends = (link.target, link.source)
        down[ends[0]].append(ends[1])
        found[id(link)] = Arc(*ends, link)
    arcs = [found[id(link)] for link in straight]
    return _without_cycles(keys, arcs)


def _reaches(down: dict[str, list[str]], start: str, goal: str) -> bool:
    stack, seen = [start], {start}
    while stack:
        current = stack.pop()
        if current == goal:
            return True
        new = [key for key in down.get(current, ()) if key not in seen]
        seen.update(new)
        stack.extend(new)
    return False


def _without_cycles(keys: Iterable[str], arcs: list[Arc]) -> list[Arc]:
    """Turn what still points back at a box that is being visited, depth first."""
    outgoing: defaultdict[str, list[Arc]] = defaultdict(list)
    for arc in arcs:
        outgoing[arc.upper].append(arc)
    reversed_arcs: set[int] = set()
    on_path, done = set[str](), set[str]()
    for key in keys:
        stack: list[tuple[str, bool]] = [(key, False)]
        while stack:
            current, is_leaving = stack.pop()
            if is_leaving:
                on_path.discard(current)
                done.add(current)
            elif current not in done and current not in on_path:
                on_path.add(current)
                stack.append((current, True))
                reversed_arcs.update(
                    id(arc) for arc in outgoing[current] if arc.lower in on_path
                )
                stack.extend((arc.lower, False) for arc in reversed(outgoing[current]))
    return [
        Arc(arc.lower, arc.upper, arc.link) if id(arc) in reversed_arcs else arc
        for arc in arcs
    ]


def assign_ranks(keys: Sequence[str], arcs: Sequence[Arc]) -> dict[str, int]:
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
            ranks[key] = _better_rank(ranks, key, above[key], below[key])
        if ranks == before:
            break
    top = min(ranks.values(), default=0)
    return {key: rank - top for key, rank in ranks.items()}


def _downwards(
    keys: Sequence[str], above: dict[str, list[Arc]], below: dict[str, list[Arc]]
) -> list[str]:
    """Return the boxes with every one after those above it."""
    remaining = {key: len(above[key]) for key in keys}
    ready = [key for key in reversed(keys) if not remaining[key]]
    order: list[str] = []
    while ready:
        current = ready.pop()
        order.append(current)
        for arc in reversed(below[current]):
            remaining[arc.lower] -= 1
            if not remaining[arc.lower]:
                ready.append(arc.lower)
    return order


def _better_rank(
    ranks: dict[str, int], key: str, above: list[Arc], below: list[Arc]
) -> int:
    if not below or not above:
        lowest = min((ranks[a.lower] - a.link.ranks for a in below), default=None)
        return ranks[key] if lowest is None or above else lowest
    highest = max(ranks[a.upper] + a.link.ranks for a in above)
    lowest = min(ranks[a.lower] - a.link.ranks for a in below)
    pull = sum(a.link.weight for a in below) - sum(a.link.weight for a in above)
    return lowest if pull > 0 else highest


@attrs.define(eq=False)
class Vertex:
    """An element of a layer: a box, a label, or a line that crosses the layer."""

    width: float
    """Pixels."""
    height: float
    """Pixels."""
    layer: int
    """Number of its layer."""
    box: str | None = None
    """Key of the box; None for a label or a line."""
    side_space: float = 0.0
    """Pixels that must be free beside it."""
    label: Link | None = None
    """The link that this label belongs to; None if it is no label."""
    above: list[Vertex] = attrs.field(factory=list)
    """Vertices of the layer above with a line to this one."""
    below: list[Vertex] = attrs.field(factory=list)
    """Vertices of the layer below with a line from this one."""
    position: int = 0
    """Index in its layer, from the left."""
    x: float = 0.0
    """Centre."""

    @property
    def is_dummy(self) -> bool:
        """Whether it belongs to a line and not to a box."""
        return self.box is None


@attrs.frozen(eq=False)
class Chain:
    """A line as a sequence of vertices, downwards."""

    arc: Arc
    """The arc that the chain draws."""
    vertices: Sequence[Vertex]
    """The upper box, what it passes, the lower box."""


@attrs.frozen(eq=False)
class LayeredGraph:
    """All vertices, in layers."""

    layers: list[list[Vertex]]
    """The layers from top to bottom; each from left to right."""
    chains: list[Chain]
    """One for every arc."""


def build_layers(
    boxes: Sequence[Box], arcs: Sequence[Arc], ranks: Mapping[str, int]
) -> LayeredGraph:
    """Return the vertices for boxes, labels and lines that cross layers."""
    level = _levels(arcs, ranks)
    layers: list[list[Vertex]] = [
        [] for _ in range(max(level.values(), default=-1) + 1)
    ]

    def add_vertex(vertex: Vertex) -> Vertex:
        layers[vertex.layer].append(vertex)
        return vertex

    vertices = {
        box.key: add_vertex(_box_vertex(box, level[2 * ranks[box.key]]))
        for box in boxes
    }
    chains: list[Chain] = []
    for arc in arcs:
        upper, lower = vertices[arc.upper], vertices[arc.lower]
        line = [upper]
        for layer in range(upper.layer + 1, lower.layer):
            is_first = layer == upper.layer + 1
            line.append(add_vertex(_dummy_vertex(arc.link, layer, has_label=is_first)))
        line.append(lower)
        for upper_vertex, lower_vertex in pairwise(line):
            upper_vertex.below.append(lower_vertex)
            lower_vertex.above.append(upper_vertex)
        chains.append(Chain(arc, line))
    return LayeredGraph(layers, chains)


def _levels(arcs: Sequence[Arc], ranks: Mapping[str, int]) -> dict[int, int]:
    """Number the layers: rank r is 2r, labels below it are 2r + 1, the rest is left out."""
    used = {2 * rank for rank in ranks.values()}
    used |= {2 * ranks[arc.upper] + 1 for arc in arcs if arc.link.label is not None}
    return {doubled_rank: level for level, doubled_rank in enumerate(sorted(used))}


def _box_vertex(box: Box, layer: int) -> Vertex:
    return Vertex(box.width, box.height, layer, box.key, box.side_space)


def _dummy_vertex(link: Link, layer: int, *, has_label: bool) -> Vertex:
    if has_label and link.label is not None:
        return Vertex(*link.label, layer, label=link)
    return Vertex(0.0, 0.0, layer)
