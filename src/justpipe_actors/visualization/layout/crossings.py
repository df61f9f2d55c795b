"""Order the vertices of each layer to reduce crossings.

Each sweep sorts every layer by the positions of its neighbours, alternately downwards
and upwards, then swaps adjacent vertices while that removes crossings.  The best order
found is kept.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable

from .layering import LayeredGraph, Vertex


SWEEPS = 16
"""Number of sweeps; more sweeps rarely improve the order."""


def reduce_crossings(graph: LayeredGraph) -> None:
    """Sort the vertices of every layer."""
    layers = graph.layers
    _first_order(layers)
    best, fewest = _order(layers), crossings(layers)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        _sweep(layers, is_down=sweep % 2 == 0, prefer_right=sweep % 4 > 1)
        _swap(layers)
        found = crossings(layers)
        if found < fewest:
            best, fewest = _order(layers), found
    for layer, vertices in zip(layers, best, strict=True):
        layer[:] = vertices
        _number_positions(layer)


def crossings(layers: list[list[Vertex]]) -> int:
    """Count how often two lines between neighbouring layers cross."""
    return sum(_crossings_below(layer) for layer in layers)


def _crossings_below(layer: list[Vertex]) -> int:
    passed_positions: list[int] = []
    count = 0
    for vertex in layer:
        positions = sorted(lower.position for lower in vertex.below)
        count += sum(
            len(passed_positions) - _count_up_to(passed_positions, position)
            for position in positions
        )
        for position in positions:
            insort(passed_positions, position)
    return count


def _count_up_to(passed_positions: list[int], position: int) -> int:
    return bisect_left(passed_positions, position + 1)


def _first_order(layers: list[list[Vertex]]) -> None:
    """Begin with the order in which a walk from the top finds the spots."""
    seen: set[int] = set()
    found: list[list[Vertex]] = [[] for _ in layers]
    for root in (vertex for layer in layers for vertex in layer):
        stack = [root]
        while stack:
            current = stack.pop()
            if id(current) not in seen:
                seen.add(id(current))
                found[current.layer].append(current)
                stack.extend(reversed(current.below))
    for layer, vertices in zip(layers, found, strict=True):
        layer[:] = vertices
        _number_positions(layer)


def _order(layers: list[list[Vertex]]) -> list[list[Vertex]]:
    return [list(layer) for layer in layers]


def _number_positions(layer: list[Vertex]) -> None:
    for position, vertex in enumerate(layer):
        vertex.position = position


def _sweep(layers: list[list[Vertex]], *, is_down: bool, prefer_right: bool) -> None:
    for layer in layers[1:] if is_down else reversed(layers[:-1]):
        keys = {
            id(vertex): _middle(vertex, vertex.above if is_down else vertex.below)
            for vertex in layer
        }
        if prefer_right:
            layer.reverse()  # sorting is stable, so this decides between equals
        layer.sort(key=_sort_key(keys))
        _number_positions(layer)


def _sort_key(keys: dict[int, float]) -> Callable[[Vertex], float]:
    return lambda vertex: keys[id(vertex)]


def _middle(vertex: Vertex, neighbours: list[Vertex]) -> float:
    if not neighbours:
        return vertex.position
    return sum(neighbour.position for neighbour in neighbours) / len(neighbours)


def _swap(layers: list[list[Vertex]]) -> None:
    """Swap neighbours while there is one swap that removes a crossing."""
    has_improved = True
    while has_improved:
        has_improved = False
        for layer in layers:
            for position in range(len(layer) - 1):
                left, right = layer[position], layer[position + 1]
                if _crossed(left, right) > _crossed(right, left):
                    layer[position], layer[position + 1] = right, left
                    left.position, right.position = right.position, left.position
                    has_improved = True


def _crossed(left: Vertex, right: Vertex) -> int:
    """Count the crossings of two neighbours' lines, up and down."""
    pairs = ((left.above, right.above), (left.below, right.below))
    return sum(
        left_neighbour.position > right_neighbour.position
        for left_neighbours, right_neighbours in pairs
        for left_neighbour in left_neighbours
        for right_neighbour in right_neighbours
    )
