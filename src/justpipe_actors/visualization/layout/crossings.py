"""Who stands left of whom: as few crossings as a few sweeps can find.

Every layer is sorted by where its neighbours stand, downwards and upwards in turn, then
neighbours are swapped while that helps.  The best order seen is kept.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable

from .layering import Layers, Spot


SWEEPS = 16
"""Times that the layers are sorted; the best order comes early or not at all."""


def reduce_crossings(drawing: Layers) -> None:
    """Sort the spots of every layer."""
    layers = drawing.layers
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
    for layer, spots in zip(layers, best, strict=True):
        layer[:] = spots
        _number(layer)


def crossings(layers: list[list[Spot]]) -> int:
    """Count how often two lines between neighbouring layers cross."""
    return sum(_crossings_below(layer) for layer in layers)


def _crossings_below(layer: list[Spot]) -> int:
    passed: list[int] = []
    count = 0
    for spot in layer:
        places = sorted(lower.place for lower in spot.below)
        count += sum(len(passed) - _after(passed, place) for place in places)
        for place in places:
            insort(passed, place)
    return count


def _after(passed: list[int], place: int) -> int:
    return bisect_left(passed, place + 1)


def _first_order(layers: list[list[Spot]]) -> None:
    """Begin with the order in which a walk from the top finds the spots."""
    seen: set[int] = set()
    found: list[list[Spot]] = [[] for _ in layers]
    for root in (spot for layer in layers for spot in layer):
        waiting = [root]
        while waiting:
            here = waiting.pop()
            if id(here) not in seen:
                seen.add(id(here))
                found[here.layer].append(here)
                waiting.extend(reversed(here.below))
    for layer, spots in zip(layers, found, strict=True):
        layer[:] = spots
        _number(layer)


def _order(layers: list[list[Spot]]) -> list[list[Spot]]:
    return [list(layer) for layer in layers]


def _number(layer: list[Spot]) -> None:
    for place, spot in enumerate(layer):
        spot.place = place


def _sweep(layers: list[list[Spot]], *, is_down: bool, prefer_right: bool) -> None:
    for layer in layers[1:] if is_down else reversed(layers[:-1]):
        keys = {
            id(spot): _middle(spot, spot.above if is_down else spot.below)
            for spot in layer
        }
        if prefer_right:
            layer.reverse()  # sorting is stable, so this decides between equals
        layer.sort(key=_by(keys))
        _number(layer)


def _by(keys: dict[int, float]) -> Callable[[Spot], float]:
    return lambda spot: keys[id(spot)]


def _middle(spot: Spot, neighbours: list[Spot]) -> float:
    if not neighbours:
        return spot.place
    return sum(one.place for one in neighbours) / len(neighbours)


def _swap(layers: list[list[Spot]]) -> None:
    """Swap neighbours while there is one swap that removes a crossing."""
    has_improved = True
    while has_improved:
        has_improved = False
        for layer in layers:
            for place in range(len(layer) - 1):
                left, right = layer[place], layer[place + 1]
                if _crossed(left, right) > _crossed(right, left):
                    layer[place], layer[place + 1] = right, left
                    left.place, right.place = right.place, left.place
                    has_improved = True


def _crossed(left: Spot, right: Spot) -> int:
    """Count the crossings of two neighbours' lines, up and down."""
    pairs = ((left.above, right.above), (left.below, right.below))
    return sum(
        one.place > other.place
        for ones, others in pairs
        for one in ones
        for other in others
    )
