"""From boxes and links to coordinates: the stages in their order, then rows and lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import attrs

from .boxes import Box, Layout, Line, Link, Point
from .columns import place_columns
from .layers import Chain, Layers, layered
from .order import reduce_crossings
from .ranks import acyclic, ranks_of


ROW_GAP = 34.0
"""Pixels between two layers at least; lines that run far sideways get more."""

SLOPE = 0.09
"""Pixels more for every pixel sideways, up to ``ROW_GAP`` once more."""

LABEL_GAP = 14.0
"""Pixels between a label and the box below it."""

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
    def height(self) -> float:
        return self.bottom - self.top

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
        lines=[_line(chain, rows) for chain in drawing.chains],
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


def _line(chain: Chain, rows: list[_Row]) -> Line:
    """Return a line from border to border; it is upright where it passes a layer."""
    arc, spots = chain.arc, chain.spots
    xs = _columns(chain)
    points: list[Point] = []
    for x, spot in zip(xs, spots, strict=True):
        row = rows[spot.layer]
        half = row.height / 2 if spot.is_passing else spot.height / 2
        if spot is not spots[0]:
            points += [Point(x, row.top), Point(x, row.middle - half)]
        if spot is not spots[-1]:
            points += [Point(x, row.middle + half), Point(x, row.bottom)]
    points = [point for point, _ in groupby(points)]
    labels = [
        Point(x, rows[spot.layer].middle)
        for x, spot in zip(xs, spots, strict=True)
        if spot.label is not None
    ]
    return Line(
        link=arc.link,
        points=points[::-1] if arc.is_turned else points,
        label=labels[0] if labels else None,
    )


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
