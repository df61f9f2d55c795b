"""From a drawing as data to figures in their places.

A figure is one shape with its text.  A sub-pipeline is a picture of its own inside its
step's figure, so the layout only ever sees boxes and links.  All sizes are here; how a
figure looks is the renderer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import pairwise

import attrs

from ..specs import BarrierType
from .ast import VisualAST, VisualEdge, VisualExit, VisualNode, VisualNodeKind
from .layout import Box, Line, Link, Point, arrange
from .text import FONT, SMALL, shortened, text_width


class Way(Enum):
    """What a line means."""

    FLOW = "flow"
    EDGE = "edge"
    EACH = "each"
    MAYBE = "maybe"


@attrs.frozen(eq=False)
class Tie:
    """One line."""

    link: Link
    """Between which figures."""
    way: Way
    """What it means."""
    text: str = ""
    """What is written on it."""


def ties_of(ast: VisualAST) -> Iterator[Tie]:
    """Yield the lines of a drawing, each between two figures."""
    ids = {name: node.id for name, node in ast.nodes.items()}
    yield from _hook_ties("startup", len(ast.startup_hooks))
    shown = ast.connected
    if ast.startup_hooks and shown:
        last = f"startup {len(ast.startup_hooks) - 1}"
        yield Tie(Link(last, "start"), Way.EDGE)
    for node in shown:
        if node.is_entry:
            yield Tie(Link("start", node.id), Way.EDGE)
    yield from _edge_ties(ast, ids)
    for node in shown:
        if node.has_unknown_routes:
            yield Tie(Link(node.id, f"any {node.id}", weight=1), Way.MAYBE)
        if node.is_terminal:
            yield Tie(Link(node.id, "end", weight=0), Way.EDGE)
    if ast.shutdown_hooks and ast.has_end:
        yield Tie(Link("end", "shutdown 0"), Way.EDGE)
    yield from _hook_ties("shutdown", len(ast.shutdown_hooks))


def _hook_ties(role: str, count: int) -> Iterator[Tie]:
    for one, next_ in pairwise(range(count)):
        yield Tie(Link(f"{role} {one}", f"{role} {next_}"), Way.EDGE)


def _edge_ties(ast: VisualAST, ids: dict[str, str]) -> Iterator[Tie]:
    """Yield one line for all edges of one kind between the same steps."""
    labels: dict[tuple[str, str, Way], list[str]] = {}
    maps = {edge.source for edge in ast.edges if edge.is_map_edge}
    for edge in ast.edges:
        way = Way.EACH if edge.is_map_edge else _way(edge)
        texts = labels.setdefault((ids[edge.source], ids[edge.target], way), [])
        texts += [edge.label] if edge.label and not edge.is_dynamic else []
    for one in ast.exits:
        key = (ids[one.source], "end", _way(one))
        labels.setdefault(key, []).extend([one.label] if one.label else [])
    after_workers = {ids[name] for name in maps}
    for (source, target, way), texts in labels.items():
        is_after = way is Way.FLOW and source in after_workers
        yield _tie(source, target, way, shortened(", ".join(texts)), is_after=is_after)


def _way(edge: VisualEdge | VisualExit) -> Way:
    return Way.MAYBE if edge.is_dynamic else Way.FLOW


def _tie(source: str, target: str, way: Way, text: str, *, is_after: bool) -> Tie:
    """Return a line; what follows a map stands below the map's worker."""
    link = Link(
        source,
        target,
        label=(text_width(text, SMALL) + 12, SMALL + 7) if text else None,
        weight=0 if target == "end" else 1 if way is Way.MAYBE else 2,
        ranks=2 if is_after else 1,
        may_turn=way is Way.MAYBE,
    )
    return Tie(link, way, text)


HEIGHT = 36.0
"""Of a step."""

DOT = 26.0
"""Across the start and the end."""

LOOP = 24.0
"""How far a line from a step to itself stands out beside it."""

STACK = 5.0
"""By how much each card of a map's worker stands out behind the one before it."""

INSIDE = (18.0, 34.0, 18.0)
"""Room around a picture in its figure: beside it, above it, below it."""

_PADDING = {
    VisualNodeKind.STEP: 32.0,
    VisualNodeKind.STREAMING: 56.0,
    VisualNodeKind.MAP: 46.0,
    VisualNodeKind.SWITCH: 56.0,
    VisualNodeKind.SUB: 46.0,
}


class Sort(Enum):
    """What a figure stands for."""

    NODE = "node"
    START = "start"
    END = "end"
    HOOK = "hook"
    UNKNOWN = "unknown"


class Axis(Enum):
    """Where a drawing runs to; the layout always runs down and is turned."""

    DOWN = "down"
    RIGHT = "right"

    def turn(self, point: Point) -> Point:
        """Return where a place of the layout is drawn."""
        return point if self is Axis.DOWN else Point(point.y, point.x)

    def turned_box(self, box: Box) -> Box:
        """Return what room a box takes in the layout."""
        if self is Axis.DOWN:
            return box
        return Box(box.key, box.height, box.width)

    def turned(self, tie: Tie) -> Tie:
        """Return a line whose label is measured for the layout."""
        label = tie.link.label
        if self is Axis.DOWN or label is None:
            return tie
        return attrs.evolve(tie, link=attrs.evolve(tie.link, label=label[::-1]))


@attrs.frozen(eq=False)
class Figure:
    """One shape."""

    box: Box
    """Its size, in the drawing's own direction."""
    sort: Sort
    """What it stands for."""
    text: str = ""
    """What is written in it."""
    node: VisualNode | None = None
    """The step, when it stands for one."""
    inside: Picture | None = None
    """The picture of its child pipe."""

    @property
    def cards(self) -> float:
        """How far other cards stand out behind it, to the right and below."""
        return 2 * STACK if self.node is not None and self.node.is_map_target else 0.0


@attrs.frozen(eq=False)
class Picture:
    """Figures and lines in their places."""

    figures: Sequence[tuple[Figure, Point]]
    """With their centres."""
    lines: Sequence[Line]
    """Downwards; they are turned when they are drawn."""
    ties: Mapping[int, Tie]
    """What each line is, by the id of its link."""
    width: float
    """Pixels."""
    height: float
    """Pixels."""


def picture_of(ast: VisualAST, axis: Axis = Axis.DOWN) -> Picture:
    """Return a drawing's figures, in their places."""
    figures = list(_figures(ast, axis))
    ties = [axis.turned(tie) for tie in ties_of(ast)]
    loops = {t.link.source for t in ties if t.link.source == t.link.target}
    boxes = [_with_room(axis.turned_box(one.box), loops) for one in figures]
    layout = arrange(boxes, [tie.link for tie in ties])
    size = axis.turn(Point(layout.width + (LOOP if loops else 0.0), layout.height))
    alone = [node for node in ast.nodes.values() if node.is_isolated]
    apart = _apart([_node_figure(node, axis) for node in alone], size)
    sizes = [(at.x + f.box.width / 2, at.y + f.box.height / 2) for f, at in apart]
    places = {key: axis.turn(at) for key, at in layout.places.items()}
    return Picture(
        figures=[*((one, places[one.box.key]) for one in figures), *apart],
        lines=layout.lines,
        ties={id(tie.link): tie for tie in ties},
        width=max([size.x, *(width for width, _ in sizes)]),
        height=max([size.y, *(height for _, height in sizes)]),
    )


def _with_room(box: Box, loops: set[str]) -> Box:
    return attrs.evolve(box, beside=LOOP) if box.key in loops else box


# -- figures


def _figures(ast: VisualAST, axis: Axis) -> Iterator[Figure]:
    yield from _hooks("startup", ast.startup_hooks)
    shown = ast.connected
    if shown:
        yield Figure(Box("start", DOT, DOT), Sort.START)
    for node in _in_order(ast, shown):
        yield _node_figure(node, axis)
        if node.has_unknown_routes:
            yield Figure(Box(f"any {node.id}", DOT, DOT), Sort.UNKNOWN, "?")
    if ast.has_end:
        yield Figure(Box("end", DOT, DOT), Sort.END)
    yield from _hooks("shutdown", ast.shutdown_hooks)


def _in_order(ast: VisualAST, shown: Sequence[VisualNode]) -> list[VisualNode]:
    """Return nodes as their edges name them, which is how their author did."""
    named = [end for edge in ast.edges for end in (edge.source, edge.target)]
    place = {name: index for index, name in enumerate(dict.fromkeys(named))}
    return sorted(shown, key=lambda node: place.get(node.name, len(place)))


def _hooks(role: str, names: Sequence[str]) -> Iterator[Figure]:
    for index, name in enumerate(names):
        text = shortened(name)
        box = Box(f"{role} {index}", text_width(text, SMALL) + 24, 24.0)
        yield Figure(box, Sort.HOOK, text)


def _node_figure(node: VisualNode, axis: Axis) -> Figure:
    text = shortened(node.name)
    if node.barrier_type is BarrierType.ANY:
        text += " (any)"
    width = text_width(text, FONT) + _PADDING[node.kind]
    height = HEIGHT
    inside = None
    if node.sub_graph is not None:
        inside = picture_of(node.sub_graph, axis)
        beside, above, below = INSIDE
        width = max(width, inside.width + 2 * beside)
        height = inside.height + above + below
    extra = 2 * STACK if node.is_map_target else 0.0
    box = Box(node.id, width + extra, height + extra)
    return Figure(box, Sort.NODE, text, node, inside)


def _apart(figures: Sequence[Figure], above: Point) -> list[tuple[Figure, Point]]:
    """Put what is not connected in rows below the rest."""
    gap = 18.0
    most = max([above.x, *(figure.box.width for figure in figures)])
    x, y, row = 0.0, above.y + (40.0 if above.y else 0.0), 0.0
    found: list[tuple[Figure, Point]] = []
    for figure in figures:
        box = figure.box
        if x and x + box.width > most:
            x, y, row = 0.0, y + row + gap, 0.0
        found.append((figure, Point(x + box.width / 2, y + box.height / 2)))
        x, row = x + box.width + gap, max(row, box.height)
    return found
