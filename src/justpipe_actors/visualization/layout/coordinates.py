"""From boxes and links to coordinates: the stages in their order, then rows and lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from math import inf

import attrs

from .crossings import reduce_crossings
from .layering import Chain, Layers, Spot, acyclic, layered, ranks_of
from .model import Box, Layout, Line, Link, Point


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


ROW_GAP = 34.0
"""Pixels between two layers at least; lines that run far sideways get more."""

SLOPE = 0.09
"""Pixels more for every pixel sideways, up to ``ROW_GAP`` once more."""

LABEL_GAP = 14.0
"""Pixels between a label and the box below it."""

CLEAR = 8.0
"""Pixels between a bend and a box beside it."""

STRAIGHT = 8.0
"""Pixels that a line may stand beside a box's middle, rather than having a bend."""

LANE = 22.0
"""Pixels to the right of a box's middle, where lines go up."""


@attrs.frozen
class _Row:
    """Where a layer is."""

    top: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def arrange(boxes: Sequence[Box], links: Sequence[Link]) -> Layout:
    """Return where the boxes stand and how the links run."""
    if not boxes:
        return Layout({}, [], 0.0, 0.0)
    keys = [box.key for box in boxes]
    arcs = acyclic(keys, links)
    drawing = layered(boxes, arcs, ranks_of(keys, arcs))
    reduce_crossings(drawing)
    place_columns(drawing)
    spots = [spot for layer in drawing.layers for spot in layer]
    left = min(spot.x - spot.width / 2 for spot in spots)
    for spot in spots:
        spot.x -= left
    rows = _rows(drawing)
    return Layout(
        places={
            s.box: Point(s.x, rows[s.layer].middle) for s in spots if s.box is not None
        },
        lines=[_line(chain, drawing, rows) for chain in drawing.chains],
        width=max(spot.x + spot.width / 2 for spot in spots),
        height=rows[-1].bottom,
    )


def _rows(drawing: Layers) -> list[_Row]:
    """Return where every layer is, each far enough from the one above it."""
    rows: list[_Row] = []
    y = 0.0
    for layer in drawing.layers:
        height = max(spot.height for spot in layer)
        rows.append(_Row(y, y + height))
        sideways = max((abs(s.x - b.x) for s in layer for b in s.below), default=0.0)
        bend = min(SLOPE * sideways, ROW_GAP)
        is_label = all(spot.is_passing for spot in layer)
        y += height + bend + (LABEL_GAP if is_label else ROW_GAP)
    return rows


def _line(chain: Chain, drawing: Layers, rows: list[_Row]) -> Line:
    """Return a line from border to border; it bends where nothing is in its way."""
    spots, xs = chain.spots, _columns(chain)
    points = [Point(xs[0], rows[spots[0].layer].middle + spots[0].height / 2)]
    for (one, x), (next_, to) in pairwise(zip(spots, xs, strict=True)):
        begin = rows[one.layer].middle + _reach(drawing, one, x, to)
        end = rows[next_.layer].middle - _reach(drawing, next_, x, to)
        points += [Point(x, begin), Point(to, end)]
    points.append(Point(xs[-1], rows[spots[-1].layer].middle - spots[-1].height / 2))
    labels = [
        Point(x, rows[spot.layer].middle)
        for x, spot in zip(xs, spots, strict=True)
        if spot.label is not None
    ]
    points = [point for point, _ in groupby(points)]
    return Line(
        link=chain.arc.link,
        points=points[::-1] if chain.arc.is_turned else points,
        label=labels[0] if labels else None,
    )


def _reach(drawing: Layers, spot: Spot, x: float, to: float) -> float:
    """Return how far a layer stands out, up and down, where a line moves aside in it."""
    left, right = min(x, to) - CLEAR, max(x, to) + CLEAR
    heights = [
        one.height / 2
        for one in drawing.layers[spot.layer]
        if one.x + one.width / 2 > left and one.x - one.width / 2 < right
    ]
    return max([spot.height / 2, *heights])


def _columns(chain: Chain) -> list[float]:
    """Return the x of a line at each of its spots."""
    first, last = chain.spots[0], chain.spots[-1]
    lane = min(LANE, first.width / 4, last.width / 4) if chain.arc.is_turned else 0.0
    xs = [s.x if s.is_passing else s.x + lane for s in chain.spots]
    for index in range(1, len(xs)):
        spot = chain.spots[index]
        most = STRAIGHT if spot.is_passing else min(STRAIGHT, spot.width / 6)
        if abs(xs[index] - xs[index - 1]) <= most:
            xs[index] = xs[index - 1]
    return xs
