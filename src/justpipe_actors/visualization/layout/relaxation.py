"""Columns by relaxation: each vertex is pulled to the middle of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .layering import Vertex


BOX_GAP = 36.0
"""Pixels between two boxes."""

LINE_GAP = 18.0
"""Pixels between a line and what is beside it."""

RELAXATIONS = 12
"""Passes over all layers; more passes change little."""

STRAIGHTNESS = 4.0
"""How much more than a box a bend of a line is pulled to its neighbours."""


def relaxed_columns(layers: Sequence[list[Vertex]]) -> dict[int, float]:
    """Return x coordinates that pull each vertex to the middle of its neighbours.

    Aligned blocks are straight, but where they hold each other in a chain through many
    layers, each block is pushed further aside than the one before, and the drawing
    drifts.  Relaxed columns bend more and cannot drift: a layer begins packed, and the
    vertices of a layer move towards their neighbours without changing their order.
    """
    x: dict[int, float] = {}
    for layer in layers:
        offsets = _offsets(layer)
        for vertex, offset in zip(layer, offsets, strict=True):
            x[id(vertex)] = offset - offsets[-1] / 2
    for number in range(RELAXATIONS):
        is_down = number % 2 == 0
        for layer in layers if is_down else reversed(layers):
            _relax(layer, x, is_down=is_down)
    return x


def _relax(layer: list[Vertex], x: dict[int, float], *, is_down: bool) -> None:
    """Move a layer as near as possible to the middles of its neighbours above or below."""
    offsets = _offsets(layer)
    wanted: list[float] = []
    weights: list[float] = []
    for vertex, offset in zip(layer, offsets, strict=True):
        neighbours = vertex.above if is_down else vertex.below
        middle = _middle(neighbours, x) if neighbours else x[id(vertex)]
        wanted.append(middle - offset)
        weights.append(_weight(vertex))
    ascending = _ascending(wanted, weights)
    for vertex, offset, at in zip(layer, offsets, ascending, strict=True):
        x[id(vertex)] = at + offset


def _middle(neighbours: Sequence[Vertex], x: dict[int, float]) -> float:
    weights = [_weight(one) for one in neighbours]
    total = sum(x[id(one)] * w for one, w in zip(neighbours, weights, strict=True))
    return total / sum(weights)


def _weight(vertex: Vertex) -> float:
    """Return the weight of a vertex; a vertex at an end of a path has a small one.

    A path that loses side branches would otherwise move aside at each of them.
    """
    if vertex.is_dummy:
        return STRAIGHTNESS
    return 1.0 if vertex.above and vertex.below else 0.02


def _offsets(layer: list[Vertex]) -> list[float]:
    """Return the positions of the vertices of a layer that is packed together."""
    offsets = [0.0]
    for left, right in pairwise(layer):
        offsets.append(offsets[-1] + min_distance(left, right))
    return offsets


def _ascending(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the ascending numbers that are nearest to some values, by least squares."""
    groups: list[tuple[float, float, int]] = []  # mean, weight, count
    for value, weight in zip(values, weights, strict=True):
        mean, total, count = value, weight, 1
        while groups and groups[-1][0] > mean:
            before, its_weight, its_count = groups.pop()
            mean = (before * its_weight + mean * total) / (its_weight + total)
            total, count = total + its_weight, count + its_count
        groups.append((mean, total, count))
    return [mean for mean, _, count in groups for _ in range(count)]


def min_distance(left: Vertex, right: Vertex) -> float:
    """Return how far the middles of two neighbours in a layer must be apart."""
    is_tight = left.is_dummy or right.is_dummy
    gap = LINE_GAP if is_tight else BOX_GAP
    return (left.width + right.width) / 2 + gap + max(left.side_space, right.side_space)
