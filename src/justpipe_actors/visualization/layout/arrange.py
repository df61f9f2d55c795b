"""From boxes and links to coordinates: the stages in their order, then rows and lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

import attrs

from .boxes import Box, Layout, Line, Link, Point
from .columns import place_columns
from .layers import Chain, Layers, Spot, layered
from .order import reduce_crossings
from .ranks import acyclic, ranks_of


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
