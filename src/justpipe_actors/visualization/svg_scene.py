"""Build the scene of a visual AST: positioned figures and lines.

A figure is one shape with its text.  A sub-pipeline is a separate scene inside its
step's figure, so the layout handles boxes and links only.  This module defines all
sizes; the renderer defines the look of figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from itertools import pairwise

import attrs

from ..specs import BarrierType
from .ast import VisualAST, VisualEdge, VisualExit, VisualNode, VisualNodeKind
from .labels import LABEL_FONT_SIZE, NAME_FONT_SIZE, shorten_middle, text_width
from .layout import Box, Line, Link, Point, arrange
from .layout.layering import assign_ranks, remove_cycles


class EdgeStyle(Enum):
    """What a line means."""

    FLOW = "flow"
    TERMINAL = "edge"
    MAP = "each"
    DYNAMIC = "maybe"


@attrs.frozen(eq=False)
class SceneEdge:
    """One line."""

    link: Link
    """The figures that the line connects."""
    style: EdgeStyle
    """How the line is drawn, by what it means."""
    text: str = ""
    """Text on the line."""


def scene_edges(ast: VisualAST) -> Iterator[SceneEdge]:
    """Yield the lines of a drawing, each between two figures."""
    ids = {name: node.id for name, node in ast.nodes.items()}
    yield from _hook_edges("startup", len(ast.startup_hooks))
    connected = ast.connected
    if ast.startup_hooks and connected:
        last = f"startup {len(ast.startup_hooks) - 1}"
        yield SceneEdge(Link(last, "start"), EdgeStyle.TERMINAL)
    for node in connected:
        if node.is_entry:
            yield SceneEdge(Link("start", node.id), EdgeStyle.TERMINAL)
    yield from _step_edges(ast, ids)
    for node in connected:
        if node.has_unknown_routes:
            yield SceneEdge(
                Link(node.id, f"any {node.id}", weight=1), EdgeStyle.DYNAMIC
            )
        if node.is_terminal:
            yield SceneEdge(Link(node.id, "end", weight=0), EdgeStyle.TERMINAL)
    if ast.shutdown_hooks and ast.has_end:
        yield SceneEdge(Link("end", "shutdown 0"), EdgeStyle.TERMINAL)
    yield from _hook_edges("shutdown", len(ast.shutdown_hooks))


def _hook_edges(role: str, count: int) -> Iterator[SceneEdge]:
    for current, following in pairwise(range(count)):
        yield SceneEdge(
            Link(f"{role} {current}", f"{role} {following}"), EdgeStyle.TERMINAL
        )


def _step_edges(ast: VisualAST, ids: dict[str, str]) -> Iterator[SceneEdge]:
    """Yield one line for all edges of one kind between the same steps."""
    labels: dict[tuple[str, str, EdgeStyle], list[str]] = {}
    maps = {edge.source for edge in ast.edges if edge.is_map_edge}
    for edge in ast.edges:
        style = EdgeStyle.MAP if edge.is_map_edge else _style_of(edge)
        texts = labels.setdefault((ids[edge.source], ids[edge.target], style), [])
        texts += [edge.label] if edge.label and not edge.is_dynamic else []
    for exit_ in ast.exits:
        key = (ids[exit_.source], "end", _style_of(exit_))
        labels.setdefault(key, []).extend([exit_.label] if exit_.label else [])
    after_workers = {ids[name] for name in maps}
    for (source, target, style), texts in labels.items():
        is_after = style is EdgeStyle.FLOW and source in after_workers
        yield _scene_edge(
            source, target, style, shorten_middle(", ".join(texts)), is_after=is_after
        )


def _style_of(edge: VisualEdge | VisualExit) -> EdgeStyle:
    return EdgeStyle.DYNAMIC if edge.is_dynamic else EdgeStyle.FLOW


def _scene_edge(
    source: str, target: str, style: EdgeStyle, text: str, *, is_after: bool
) -> SceneEdge:
    """Return a line; the successors of a map are placed below the map's worker."""
    link = Link(
        source,
        target,
        label=(text_width(text, LABEL_FONT_SIZE) + 12, LABEL_FONT_SIZE + 7)
        if text
        else None,
        weight=0 if target == "end" else 1 if style is EdgeStyle.DYNAMIC else 2,
        ranks=2 if is_after else 1,
        may_reverse=style is EdgeStyle.DYNAMIC,
    )
    return SceneEdge(link, style, text)


STEP_HEIGHT = 36.0
"""Height of a step, in pixels."""

MARKER_SIZE = 26.0
"""Diameter of the figures of the start and the end, in pixels."""

LOOP_WIDTH = 24.0
"""How far a line from a step to itself stands out beside it."""

STACK_OFFSET = 5.0
"""By how much each card of a map's worker stands out behind the one before it."""

CHILD_PADDING = (18.0, 34.0, 18.0)
"""Room around a picture in its figure: beside it, above it, below it."""

_PADDING = {
    VisualNodeKind.STEP: 32.0,
    VisualNodeKind.STREAMING: 56.0,
    VisualNodeKind.MAP: 46.0,
    VisualNodeKind.SWITCH: 56.0,
    VisualNodeKind.SUB: 46.0,
}


class FigureKind(Enum):
    """The kind of node that a figure shows."""

    NODE = "node"
    START = "start"
    END = "end"
    HOOK = "hook"
    UNKNOWN = "unknown"


class Axis(Enum):
    """Direction of a drawing; the layout always runs down and is rotated afterwards."""

    DOWN = "down"
    RIGHT = "right"

    def rotate(self, point: Point) -> Point:
        """Return where a place of the layout is drawn."""
        return point if self is Axis.DOWN else Point(point.y, point.x)

    def rotate_box(self, box: Box) -> Box:
        """Return the size of a box in the layout."""
        if self is Axis.DOWN:
            return box
        return Box(box.key, box.height, box.width)

    def rotate_edge(self, edge: SceneEdge) -> SceneEdge:
        """Return an edge with the size of its label rotated for the layout."""
        label = edge.link.label
        if self is Axis.DOWN or label is None:
            return edge
        return attrs.evolve(edge, link=attrs.evolve(edge.link, label=label[::-1]))


@attrs.frozen(eq=False)
class Figure:
    """One shape."""

    box: Box
    """Its size, in the drawing's own direction."""
    kind: FigureKind
    """The kind of node that it shows."""
    text: str = ""
    """Text in the figure."""
    node: VisualNode | None = None
    """The step that it shows; None for other figures."""
    child_scene: Scene | None = None
    """The picture of its child pipe."""
    is_late_root: bool = False
    """Whether it is a first step too far below the start to draw a line to it."""
    is_early_end: bool = False
    """Whether it is a last step too far above the end to draw a line to that."""

    @property
    def stack_offset(self) -> float:
        """Distance by which further cards stand out behind it, right and below."""
        return (
            2 * STACK_OFFSET
            if self.node is not None and self.node.is_map_target
            else 0.0
        )


@attrs.frozen(eq=False)
class Scene:
    """Figures and lines in their places."""

    figures: Sequence[tuple[Figure, Point]]
    """The figures, each with its centre."""
    lines: Sequence[Line]
    """Downwards; they are turned when they are drawn."""
    edges: Mapping[int, SceneEdge]
    """Style and text of each line, by the id of its link."""
    width: float
    """Pixels."""
    height: float
    """Pixels."""


def build_scene(ast: VisualAST, axis: Axis = Axis.DOWN) -> Scene:
    """Return a drawing's figures, in their places."""
    figures = list(_figures(ast, axis))
    edges = [axis.rotate_edge(edge) for edge in scene_edges(ast)]
    keys = [figure.box.key for figure in figures]
    late, early = late_roots(keys, edges), early_ends(keys, edges)
    edges = [
        edge
        for edge in edges
        if not (edge.link.source == "start" and edge.link.target in late)
        and not (edge.link.target == "end" and edge.link.source in early)
    ]
    figures = [
        attrs.evolve(
            figure,
            is_late_root=figure.box.key in late,
            is_early_end=figure.box.key in early,
        )
        for figure in figures
    ]
    loops = {t.link.source for t in edges if t.link.source == t.link.target}
    boxes = [_with_side_space(axis.rotate_box(figure.box), loops) for figure in figures]
    layout = arrange(boxes, [edge.link for edge in edges])
    size = axis.rotate(
        Point(layout.width + (LOOP_WIDTH if loops else 0.0), layout.height)
    )
    isolated_nodes = [node for node in ast.nodes.values() if node.is_isolated]
    isolated_figures = _place_isolated(
        [_node_figure(node, axis) for node in isolated_nodes], size
    )
    sizes = [
        (at.x + f.box.width / 2, at.y + f.box.height / 2) for f, at in isolated_figures
    ]
    centres = {key: axis.rotate(at) for key, at in layout.centres.items()}
    return Scene(
        figures=[
            *((figure, centres[figure.box.key]) for figure in figures),
            *isolated_figures,
        ],
        lines=layout.lines,
        edges={id(edge.link): edge for edge in edges},
        width=max([size.x, *(width for width, _ in sizes)]),
        height=max([size.y, *(height for _, height in sizes)]),
    )


LATE_RANKS = 3
"""Ranks beyond the first root, or before the last end, that are drawn with a line."""


def late_roots(keys: Sequence[str], edges: Sequence[SceneEdge]) -> set[str]:
    """Return the roots that are far below the start, beside their successors.

    A line to each would pass every rank between, and need room in all of them.
    """
    entries = [edge.link.target for edge in edges if edge.link.source == "start"]
    if len(entries) < 2:
        return set()
    links = [edge.link for edge in edges if edge.link.source != "start"]
    ranks = assign_ranks(keys, remove_cycles(keys, links))
    first = min(ranks[key] for key in entries)
    return {key for key in entries if ranks[key] - first > LATE_RANKS}


def early_ends(keys: Sequence[str], edges: Sequence[SceneEdge]) -> set[str]:
    """Return the steps that end a path far above the end; lines would pass the rest."""
    exits = [edge.link.source for edge in edges if edge.link.target == "end"]
    if len(exits) < 2:
        return set()
    links = [edge.link for edge in edges if edge.link.target != "end"]
    ranks = assign_ranks(keys, remove_cycles(keys, links))
    last = max(ranks[key] for key in exits)
    return {key for key in exits if last - ranks[key] > LATE_RANKS}


def _with_side_space(box: Box, loops: set[str]) -> Box:
    return attrs.evolve(box, side_space=LOOP_WIDTH) if box.key in loops else box


# -- figures


def _figures(ast: VisualAST, axis: Axis) -> Iterator[Figure]:
    yield from _hooks("startup", ast.startup_hooks)
    connected = ast.connected
    if connected:
        yield Figure(Box("start", MARKER_SIZE, MARKER_SIZE), FigureKind.START)
    for node in _in_order(ast, connected):
        yield _node_figure(node, axis)
        if node.has_unknown_routes:
            yield Figure(
                Box(f"any {node.id}", MARKER_SIZE, MARKER_SIZE), FigureKind.UNKNOWN, "?"
            )
    if ast.has_end:
        yield Figure(Box("end", MARKER_SIZE, MARKER_SIZE), FigureKind.END)
    yield from _hooks("shutdown", ast.shutdown_hooks)


def _in_order(ast: VisualAST, connected: Sequence[VisualNode]) -> list[VisualNode]:
    """Return nodes as their edges name them, which is how their author did."""
    named = [end for edge in ast.edges for end in (edge.source, edge.target)]
    positions = {name: index for index, name in enumerate(dict.fromkeys(named))}
    return sorted(connected, key=lambda node: positions.get(node.name, len(positions)))


def _hooks(role: str, names: Sequence[str]) -> Iterator[Figure]:
    for index, name in enumerate(names):
        text = shorten_middle(name)
        box = Box(f"{role} {index}", text_width(text, LABEL_FONT_SIZE) + 24, 24.0)
        yield Figure(box, FigureKind.HOOK, text)


def _node_figure(node: VisualNode, axis: Axis) -> Figure:
    text = shorten_middle(node.name)
    if node.barrier_type is BarrierType.ANY:
        text += " (any)"
    width = text_width(text, NAME_FONT_SIZE) + _PADDING[node.kind]
    height = STEP_HEIGHT
    child_scene = None
    if node.sub_graph is not None:
        child_scene = build_scene(node.sub_graph, axis)
        side_space, above, below = CHILD_PADDING
        width = max(width, child_scene.width + 2 * side_space)
        height = child_scene.height + above + below
    extra = 2 * STACK_OFFSET if node.is_map_target else 0.0
    box = Box(node.id, width + extra, height + extra)
    return Figure(box, FigureKind.NODE, text, node, child_scene)


def _place_isolated(
    figures: Sequence[Figure], above: Point
) -> list[tuple[Figure, Point]]:
    """Put unconnected steps in rows below the others."""
    gap = 18.0
    max_width = max([above.x, *(figure.box.width for figure in figures)])
    x, y, row = 0.0, above.y + (40.0 if above.y else 0.0), 0.0
    placed: list[tuple[Figure, Point]] = []
    for figure in figures:
        box = figure.box
        if x and x + box.width > max_width:
            x, y, row = 0.0, y + row + gap, 0.0
        placed.append((figure, Point(x + box.width / 2, y + box.height / 2)))
        x, row = x + box.width + gap, max(row, box.height)
    return placed
