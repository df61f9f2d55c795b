"""Coordinates of boxes and lines: the stages in order, then the rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from math import inf

import attrs

from ...errors import LayoutTooLarge
from .crossings import reduce_crossings
from .layering import (
    Arc,
    Chain,
    LayeredGraph,
    Vertex,
    assign_ranks,
    build_layers,
    remove_cycles,
)
from .model import Box, Layout, Line, Link, Point
from .relaxation import min_distance, relaxed_columns


def assign_columns(graph: LayeredGraph) -> None:
    """Set the x coordinate of every vertex."""
    vertices = [vertex for layer in graph.layers for vertex in layer]
    conflicts = _conflicts(graph.layers)
    results = [
        _Alignment(graph.layers, conflicts, is_down, is_left).columns()
        for is_down in (True, False)
        for is_left in (True, False)
    ]
    _align_passes(results, vertices)
    for vertex in vertices:
        middle = sorted(columns[id(vertex)] for columns in results)[1:3]
        vertex.x = sum(middle) / 2
    aligned = {id(vertex): vertex.x for vertex in vertices}
    relaxed = relaxed_columns(graph.layers)
    if _width(relaxed, vertices) < RELAXED_WIDTH * _width(aligned, vertices):
        for vertex in vertices:
            vertex.x = relaxed[id(vertex)]


RELAXED_WIDTH = 0.7
"""Relaxed columns are used if their width is less than this part of the aligned ones'."""


def _width(columns: dict[int, float], vertices: list[Vertex]) -> float:
    left, right = _edges(columns, vertices)
    return right - left


def _conflicts(layers: list[list[Vertex]]) -> set[tuple[int, int]]:
    """Return the steps between two layers that cross a line which passes both."""
    found: set[tuple[int, int]] = set()
    for lower in layers[1:]:
        passing = [(s.above[0].position, s.position) for s in lower if _is_inner(s)]
        for vertex in lower:
            for upper in vertex.above:
                is_crossing = any(
                    (upper.position - above) * (vertex.position - below) < 0
                    for above, below in passing
                )
                if is_crossing and not _is_inner(vertex):
                    found.add((id(upper), id(vertex)))
    return found


def _is_inner(vertex: Vertex) -> bool:
    return vertex.is_dummy and vertex.above[0].is_dummy


@attrs.define(eq=False)
class _Alignment:
    """One of the four passes; from the right it runs in mirrored coordinates."""

    layers: list[list[Vertex]]
    conflicts: set[tuple[int, int]]
    is_down: bool
    is_left: bool
    _block: dict[int, Vertex] = attrs.field(factory=dict, init=False)

    def columns(self) -> dict[int, float]:
        """Return the x coordinate of every vertex, by its id."""
        layers = [
            layer if self.is_left else layer[::-1]
            for layer in (self.layers if self.is_down else reversed(self.layers))
        ]
        self._align(layers)
        return self._compact(layers)

    def _align(self, layers: list[list[Vertex]]) -> None:
        """Find the first vertex of the block of every vertex."""
        has_follower: set[int] = set()
        for layer in layers:
            last = -inf
            for vertex in layer:
                self._block[id(vertex)] = vertex
                for neighbour in self._medians(vertex):
                    position = self._position(neighbour)
                    if position > last and self._may_align(
                        neighbour, vertex, has_follower
                    ):
                        has_follower.add(id(neighbour))
                        self._block[id(vertex)] = self._block[id(neighbour)]
                        last = position
                        break

    def _may_align(
        self, neighbour: Vertex, vertex: Vertex, has_follower: set[int]
    ) -> bool:
        ends = (neighbour, vertex) if self.is_down else (vertex, neighbour)
        is_free = id(neighbour) not in has_follower
        return is_free and (id(ends[0]), id(ends[1])) not in self.conflicts

    def _medians(self, vertex: Vertex) -> Iterator[Vertex]:
        neighbours = sorted(
            vertex.above if self.is_down else vertex.below, key=self._position
        )
        if neighbours:
            yield neighbours[(len(neighbours) - 1) // 2]
            if len(neighbours) % 2 == 0:
                yield neighbours[len(neighbours) // 2]

    def _position(self, vertex: Vertex) -> int:
        return vertex.position if self.is_left else -vertex.position

    def _compact(self, layers: list[list[Vertex]]) -> dict[int, float]:
        """Push the blocks together, then let each follow its right neighbour."""
        right_of: defaultdict[int, dict[int, float]] = defaultdict(dict)
        left_of: defaultdict[int, dict[int, float]] = defaultdict(dict)
        for layer in layers:
            for left_vertex, right_vertex in pairwise(layer):
                left, right = (
                    id(self._block[id(left_vertex)]),
                    id(self._block[id(right_vertex)]),
                )
                gap = max(
                    min_distance(left_vertex, right_vertex),
                    right_of[left].get(right, 0.0),
                )
                right_of[left][right] = left_of[right][left] = gap
        blocks = list(dict.fromkeys(id(block) for block in self._block.values()))
        order = _sorted_blocks(blocks, right_of, left_of)
        x: dict[int, float] = {}
        for block in order:
            x[block] = max((x[b] + gap for b, gap in left_of[block].items()), default=0)
        for block in reversed(order):
            limit = min(
                (x[b] - gap for b, gap in right_of[block].items()), default=None
            )
            if limit is not None:
                x[block] = max(x[block], limit)
        side = 1.0 if self.is_left else -1.0
        return {vertex: side * x[id(block)] for vertex, block in self._block.items()}


def _sorted_blocks(
    blocks: list[int],
    right_of: dict[int, dict[int, float]],
    left_of: dict[int, dict[int, float]],
) -> list[int]:
    remaining = {block: len(left_of[block]) for block in blocks}
    ready = [block for block in blocks if not remaining[block]]
    order: list[int] = []
    while ready:
        current = ready.pop()
        order.append(current)
        for block in right_of[current]:
            remaining[block] -= 1
            if not remaining[block]:
                ready.append(block)
    return order


def _align_passes(results: list[dict[int, float]], vertices: list[Vertex]) -> None:
    """Move all four under the narrowest: left ones by its left edge, others by its right."""
    edges = [_edges(columns, vertices) for columns in results]
    narrowest = min(edges, key=lambda edge: edge[1] - edge[0])
    for index, columns in enumerate(results):
        side = index % 2
        shift = narrowest[side] - edges[index][side]
        for key in columns:
            columns[key] += shift


def _edges(columns: dict[int, float], vertices: list[Vertex]) -> tuple[float, float]:
    left = min(columns[id(vertex)] - vertex.width / 2 for vertex in vertices)
    right = max(columns[id(vertex)] + vertex.width / 2 for vertex in vertices)
    return left, right


ROW_GAP = 34.0
"""Pixels between two layers at least; lines that run far sideways get more."""

EXTRA_PER_PIXEL = 0.09
"""Pixels more for every pixel sideways, up to ``ROW_GAP`` once more."""

LABEL_GAP = 14.0
"""Pixels between a label and the box below it."""

CLEARANCE = 8.0
"""Pixels between a bend and a box beside it."""

STRAIGHTEN_WITHIN = 8.0
"""Pixels that a line may stand beside a box's middle, rather than having a bend."""

MAX_PLACES = 20_000
"""Boxes, and lines in the ranks that they pass, of one drawing."""

UPWARD_OFFSET = 22.0
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
    """Return the positions of the boxes and the courses of the links."""
    if not boxes:
        return Layout({}, [], 0.0, 0.0)
    keys = [box.key for box in boxes]
    arcs = remove_cycles(keys, links)
    ranks = assign_ranks(keys, arcs)
    _check_size(boxes, arcs, ranks)
    graph = build_layers(boxes, arcs, ranks)
    reduce_crossings(graph)
    assign_columns(graph)
    vertices = [vertex for layer in graph.layers for vertex in layer]
    left = min(vertex.x - vertex.width / 2 for vertex in vertices)
    for vertex in vertices:
        vertex.x -= left
    rows = _rows(graph)
    return Layout(
        centres={
            s.box: Point(s.x, rows[s.layer].middle)
            for s in vertices
            if s.box is not None
        },
        lines=[_line(chain, graph, rows) for chain in graph.chains],
        width=max(vertex.x + vertex.width / 2 for vertex in vertices),
        height=rows[-1].bottom,
    )


def _check_size(
    boxes: Sequence[Box], arcs: Sequence[Arc], ranks: Mapping[str, int]
) -> None:
    """Refuse drawings that would take seconds.

    Raises:
        LayoutTooLarge: the boxes, and the lines in the ranks that they pass, are too many.
    """
    passed = sum(ranks[arc.lower] - ranks[arc.upper] - 1 for arc in arcs)
    if len(boxes) + passed > MAX_PLACES:
        raise LayoutTooLarge(len(boxes), len(boxes) + passed, MAX_PLACES)


def _rows(graph: LayeredGraph) -> list[_Row]:
    """Return where every layer is, each far enough from the one above it."""
    rows: list[_Row] = []
    y = 0.0
    for layer in graph.layers:
        height = max(vertex.height for vertex in layer)
        rows.append(_Row(y, y + height))
        sideways = max((abs(s.x - b.x) for s in layer for b in s.below), default=0.0)
        bend = min(EXTRA_PER_PIXEL * sideways, ROW_GAP)
        is_label = all(vertex.is_dummy for vertex in layer)
        y += height + bend + (LABEL_GAP if is_label else ROW_GAP)
    return rows


def _line(chain: Chain, graph: LayeredGraph, rows: list[_Row]) -> Line:
    """Return a line from border to border; it bends only in free space."""
    vertices, xs = chain.vertices, _columns(chain)
    points = [Point(xs[0], rows[vertices[0].layer].middle + vertices[0].height / 2)]
    for (vertex, x), (next_vertex, next_x) in pairwise(zip(vertices, xs, strict=True)):
        begin = rows[vertex.layer].middle + _half_height_along(graph, vertex, x, next_x)
        end = rows[next_vertex.layer].middle - _half_height_along(
            graph, next_vertex, x, next_x
        )
        points += [Point(x, begin), Point(next_x, end)]
    points.append(
        Point(xs[-1], rows[vertices[-1].layer].middle - vertices[-1].height / 2)
    )
    labels = [
        Point(x, rows[vertex.layer].middle)
        for x, vertex in zip(xs, vertices, strict=True)
        if vertex.label is not None
    ]
    points = [point for point, _ in groupby(points)]
    return Line(
        link=chain.arc.link,
        points=points[::-1] if chain.arc.is_reversed else points,
        label=labels[0] if labels else None,
    )


def _half_height_along(
    graph: LayeredGraph, vertex: Vertex, x: float, next_x: float
) -> float:
    """Return how far a layer stands out, up and down, where a line moves aside in it."""
    left, right = min(x, next_x) - CLEARANCE, max(x, next_x) + CLEARANCE
    heights = [
        neighbour.height / 2
        for neighbour in graph.layers[vertex.layer]
        if neighbour.x + neighbour.width / 2 > left
        and neighbour.x - neighbour.width / 2 < right
    ]
    return max([vertex.height / 2, *heights])


def _columns(chain: Chain) -> list[float]:
    """Return the x coordinate of a line at each of its vertices."""
    first, last = chain.vertices[0], chain.vertices[-1]
    offset = (
        min(UPWARD_OFFSET, first.width / 4, last.width / 4)
        if chain.arc.is_reversed
        else 0.0
    )
    xs = [s.x if s.is_dummy else s.x + offset for s in chain.vertices]
    for index in range(1, len(xs)):
        vertex = chain.vertices[index]
        tolerance = (
            STRAIGHTEN_WITHIN
            if vertex.is_dummy
            else min(STRAIGHTEN_WITHIN, vertex.width / 6)
        )
        if abs(xs[index] - xs[index - 1]) <= tolerance:
            xs[index] = xs[index - 1]
    return xs
