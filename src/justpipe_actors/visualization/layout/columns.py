"""How far to the right every spot stands, so that lines are straight.

The method of Brandes and Köpf.  Each spot is aligned with its median neighbour; aligned
spots form blocks, which become vertical lines.  That is done four times, from the top and
from the bottom, leftmost and rightmost, and every spot takes the mean of the two middle
results: symmetric graphs come out symmetric.  Where lines cross, one that passes layers
wins over one that does not, so long lines have no bends but at their ends.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import inf

import attrs

from .layers import Layers, Spot


BOX_GAP = 36.0
"""Pixels between two boxes."""

LINE_GAP = 18.0
"""Pixels between a line and what is beside it."""


def place_columns(drawing: Layers) -> None:
    """Set the x of every spot."""
    spots = [spot for layer in drawing.layers for spot in layer]
    crossed = _conflicts(drawing.layers)
    results = [
        _Alignment(drawing.layers, crossed, is_down, is_left).columns()
        for is_down in (True, False)
        for is_left in (True, False)
    ]
    _line_up(results, spots)
    for spot in spots:
        middle = sorted(columns[id(spot)] for columns in results)[1:3]
        spot.x = sum(middle) / 2


def _gap(left: Spot, right: Spot) -> float:
    is_tight = left.is_passing or right.is_passing
    gap = LINE_GAP if is_tight else BOX_GAP
    return (left.width + right.width) / 2 + gap + max(left.beside, right.beside)


def _conflicts(layers: list[list[Spot]]) -> set[tuple[int, int]]:
    """Return the steps between two layers that cross a line which passes both."""
    found: set[tuple[int, int]] = set()
    for lower in layers[1:]:
        passing = [(s.above[0].place, s.place) for s in lower if _is_inner(s)]
        for spot in lower:
            for upper in spot.above:
                is_crossing = any(
                    (upper.place - above) * (spot.place - below) < 0
                    for above, below in passing
                )
                if is_crossing and not _is_inner(spot):
                    found.add((id(upper), id(spot)))
    return found


def _is_inner(spot: Spot) -> bool:
    return spot.is_passing and spot.above[0].is_passing


@attrs.define(eq=False)
class _Alignment:
    """One of the four passes; from the right it runs in mirrored coordinates."""

    layers: list[list[Spot]]
    crossed: set[tuple[int, int]]
    is_down: bool
    is_left: bool
    _block: dict[int, Spot] = attrs.field(factory=dict, init=False)

    def columns(self) -> dict[int, float]:
        """Return the x of every spot, by its id."""
        layers = [
            layer if self.is_left else layer[::-1]
            for layer in (self.layers if self.is_down else reversed(self.layers))
        ]
        self._align(layers)
        return self._compact(layers)

    def _align(self, layers: list[list[Spot]]) -> None:
        """Say for every spot at which spot its block begins."""
        has_follower: set[int] = set()
        for layer in layers:
            last = -inf
            for spot in layer:
                self._block[id(spot)] = spot
                for neighbour in self._medians(spot):
                    place = self._place(neighbour)
                    if place > last and self._may_align(neighbour, spot, has_follower):
                        has_follower.add(id(neighbour))
                        self._block[id(spot)] = self._block[id(neighbour)]
                        last = place
                        break

    def _may_align(self, neighbour: Spot, spot: Spot, has_follower: set[int]) -> bool:
        ends = (neighbour, spot) if self.is_down else (spot, neighbour)
        is_free = id(neighbour) not in has_follower
        return is_free and (id(ends[0]), id(ends[1])) not in self.crossed

    def _medians(self, spot: Spot) -> Iterator[Spot]:
        near = sorted(spot.above if self.is_down else spot.below, key=self._place)
        if near:
            yield near[(len(near) - 1) // 2]
            if len(near) % 2 == 0:
                yield near[len(near) // 2]

    def _place(self, spot: Spot) -> int:
        return spot.place if self.is_left else -spot.place

    def _compact(self, layers: list[list[Spot]]) -> dict[int, float]:
        """Push the blocks together, then let each follow its right neighbour."""
        right_of: defaultdict[int, dict[int, float]] = defaultdict(dict)
        left_of: defaultdict[int, dict[int, float]] = defaultdict(dict)
        for layer in layers:
            for one, next_ in pairwise(layer):
                left, right = id(self._block[id(one)]), id(self._block[id(next_)])
                gap = max(_gap(one, next_), right_of[left].get(right, 0.0))
                right_of[left][right] = left_of[right][left] = gap
        blocks = list(dict.fromkeys(id(block) for block in self._block.values()))
        order = _sorted_blocks(blocks, right_of, left_of)
        x: dict[int, float] = {}
        for block in order:
            x[block] = max((x[b] + gap for b, gap in left_of[block].items()), default=0)
        for block in reversed(order):
            room = min((x[b] - gap for b, gap in right_of[block].items()), default=None)
            if room is not None:
                x[block] = max(x[block], room)
        side = 1.0 if self.is_left else -1.0
        return {spot: side * x[id(block)] for spot, block in self._block.items()}


def _sorted_blocks(
    blocks: list[int],
    right_of: dict[int, dict[int, float]],
    left_of: dict[int, dict[int, float]],
) -> list[int]:
    missing = {block: len(left_of[block]) for block in blocks}
    ready = [block for block in blocks if not missing[block]]
    order: list[int] = []
    while ready:
        here = ready.pop()
        order.append(here)
        for block in right_of[here]:
            missing[block] -= 1
            if not missing[block]:
                ready.append(block)
    return order


def _line_up(results: list[dict[int, float]], spots: list[Spot]) -> None:
    """Move all four under the narrowest: left ones by its left edge, others by its right."""
    edges = [_edges(columns, spots) for columns in results]
    narrowest = min(edges, key=lambda edge: edge[1] - edge[0])
    for index, columns in enumerate(results):
        side = index % 2
        shift = narrowest[side] - edges[index][side]
        for key in columns:
            columns[key] += shift


def _edges(columns: dict[int, float], spots: list[Spot]) -> tuple[float, float]:
    left = min(columns[id(spot)] - spot.width / 2 for spot in spots)
    right = max(columns[id(spot)] + spot.width / 2 for spot in spots)
    return left, right
