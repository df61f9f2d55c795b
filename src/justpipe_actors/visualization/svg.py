"""A drawing as SVG: one self-contained text, made without a browser or a program.

Colours are attributes and not a style sheet, so that drawings on one page do not affect
each other or the page.  The background is transparent, and lines are grey enough to be
seen on white and on black.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from .ast import VisualAST, VisualNode, VisualNodeKind
from .labels import LABEL_FONT_SIZE, NAME_FONT_SIZE, escape_xml
from .layout import Box, Line, Point
from .renderer import MermaidTheme, Paint, ThemedRenderer
from .svg_scene import (
    CHILD_PADDING,
    LOOP_WIDTH,
    STACK_OFFSET,
    Axis,
    EdgeStyle,
    Figure,
    FigureKind,
    Scene,
    SceneEdge,
    build_scene,
)


OUTLINE_COLOR = "#64748b"
"""Outline colour of figures other than steps."""


def number(value: float) -> str:
    """Return a coordinate in as few characters as it needs."""
    return f"{value:.1f}".removesuffix(".0")


def draw_figure(figure: Figure, at: Point, theme: MermaidTheme) -> Iterator[str]:
    """Yield the elements of one figure around its centre."""
    match figure.kind:
        case FigureKind.NODE:
            assert figure.node is not None
            yield from _draw_node(figure, figure.node, at, theme)
        case FigureKind.START:
            yield from _terminal_marker(
                at, theme.paint("startEnd"), "M-3.5 -5L5.5 0L-3.5 5Z", "start"
            )
        case FigureKind.END:
            yield from _terminal_marker(
                at, theme.paint("startEnd"), "M-4 -4H4V4H-4Z", "end"
            )
        case FigureKind.HOOK:
            yield from _hook(figure, at)
        case FigureKind.UNKNOWN:
            yield from _unknown_marker(at, theme.paint("switch"))


def _draw_node(
    figure: Figure, node: VisualNode, at: Point, theme: MermaidTheme
) -> Iterator[str]:
    group = "isolated" if node.is_isolated else node.kind.value
    paint = theme.paint(group)
    width, height = figure.box.width, figure.box.height
    kind = "worker" if node.is_map_target else node.kind.value
    yield f'<g data-step="{escape_xml(node.name)}" data-kind="{kind}">'
    yield f"<title>{escape_xml(_tooltip(node))}</title>"
    if figure.stack_offset:
        width, height = width - figure.stack_offset, height - figure.stack_offset
        at = Point(at.x - STACK_OFFSET, at.y - STACK_OFFSET)
        for shift in (2 * STACK_OFFSET, STACK_OFFSET):
            behind = Point(at.x + shift, at.y + shift)
            yield _shape(node, behind, width, height, paint)
    yield _shape(node, at, width, height, paint, is_main=True)
    yield from _kind_marks(node, at, width, height, paint)
    yield _name_text(figure, node, at, height, paint)
    if figure.is_late_root:
        yield _corner_mark(at, -width, -height, "start", theme)
    if figure.is_early_end:
        yield _corner_mark(at, width, height, "end", theme)
    yield "</g>"


def _corner_mark(
    at: Point, width: float, height: float, kind: str, theme: MermaidTheme
) -> str:
    """Return a small start or end marker in a corner, for a line that is not drawn."""
    inset = -4 if kind == "end" else 4
    x, y = number(at.x + width / 2 + inset), number(at.y + height / 2 + inset)
    paint = theme.paint("startEnd")
    width_text = "3" if kind == "end" else "1.6"
    return (
        f'<circle data-kind="{kind}" cx="{x}" cy="{y}" r="5"'
        f' fill="{paint.fill}" stroke="{paint.stroke}" stroke-width="{width_text}"/>'
    )


def _tooltip(node: VisualNode) -> str:
    kind = "worker of a map" if node.is_map_target else node.kind.value
    doc = str(node.metadata.get("doc", ""))
    return f"{node.name} ({kind})" + (f": {doc}" if doc else "")


def _shape(
    node: VisualNode,
    at: Point,
    width: float,
    height: float,
    paint: Paint,
    *,
    is_main: bool = False,
) -> str:
    """Return one shape; a page shows the status of a step on its main one."""
    dash = ' stroke-dasharray="5 4"' if node.is_isolated else ""
    style = f'fill="{paint.fill}" stroke="{paint.stroke}" stroke-width="1.6"{dash}'
    if is_main:
        style = f'data-main="" {style}'
    if node.kind is VisualNodeKind.SWITCH:
        return (
            f'<path d="{_hexagon(at, width, height)}" {style} stroke-linejoin="round"/>'
        )
    radius = height / 2 if node.kind is VisualNodeKind.STREAMING else 7.0
    return _rectangle(at, width, height, radius, style)


def _rectangle(
    at: Point, width: float, height: float, radius: float, style: str
) -> str:
    return (
        f'<rect x="{number(at.x - width / 2)}" y="{number(at.y - height / 2)}"'
        f' width="{number(width)}" height="{number(height)}" rx="{number(radius)}" {style}/>'
    )


def _hexagon(at: Point, width: float, height: float) -> str:
    left, right = at.x - width / 2, at.x + width / 2
    top, bottom = at.y - height / 2, at.y + height / 2
    inset = height / 2
    return (
        f"M{number(left)} {number(at.y)}L{number(left + inset)} {number(top)}"
        f"H{number(right - inset)}L{number(right)} {number(at.y)}"
        f"L{number(right - inset)} {number(bottom)}H{number(left + inset)}Z"
    )


def _kind_marks(
    node: VisualNode, at: Point, width: float, height: float, paint: Paint
) -> Iterator[str]:
    """Yield the marks that show the kind of a figure, besides shape and colour."""
    left, right = at.x - width / 2, at.x + width / 2
    top, bottom = at.y - height / 2, at.y + height / 2
    line = f'fill="none" stroke="{paint.stroke}" stroke-width="1.4"'
    if node.kind is VisualNodeKind.MAP:
        for x in (left + 8, right - 8):
            yield f'<path d="M{number(x)} {number(top)}V{number(bottom)}" {line}/>'
    elif node.kind is VisualNodeKind.STREAMING:
        wave = f"M{number(right - 27)} {number(at.y)}q3 -6 6 0t6 0t6 0"
        yield f'<path d="{wave}" {line} stroke-linecap="round"/>'
    elif node.kind is VisualNodeKind.SUB and node.sub_graph is None:
        for x in (left + 8, right - 8):
            yield f'<circle cx="{number(x)}" cy="{number(at.y)}" r="2" {line}/>'


def _name_text(
    figure: Figure, node: VisualNode, at: Point, height: float, paint: Paint
) -> str:
    is_streaming = node.kind is VisualNodeKind.STREAMING
    x = at.x - 9 if is_streaming else at.x
    y = at.y if figure.child_scene is None else at.y - height / 2 + 17
    return (
        f'<text x="{number(x)}" y="{number(y + NAME_FONT_SIZE * 0.35)}" font-size="{number(NAME_FONT_SIZE)}"'
        f' font-weight="600" fill="{paint.color}">{escape_xml(figure.text)}</text>'
    )


def _terminal_marker(at: Point, paint: Paint, icon: str, kind: str) -> Iterator[str]:
    yield (
        f'<g data-kind="{kind}" transform="translate({number(at.x)} {number(at.y)})">'
        f'<circle r="12" fill="{paint.fill}" stroke="{paint.stroke}" stroke-width="1.8"/>'
        f'<path d="{icon}" fill="{paint.stroke}"/></g>'
    )


def _hook(figure: Figure, at: Point) -> Iterator[str]:
    style = f'fill="#f8fafc" stroke="{OUTLINE_COLOR}" stroke-width="1" stroke-dasharray="3 2"'
    yield '<g data-kind="hook">'
    yield _rectangle(at, figure.box.width, figure.box.height, 4.0, style)
    yield (
        f'<text x="{number(at.x)}" y="{number(at.y + LABEL_FONT_SIZE * 0.35)}"'
        f' font-size="{number(LABEL_FONT_SIZE)}" fill="#475569">{escape_xml(figure.text)}</text></g>'
    )


def _unknown_marker(at: Point, paint: Paint) -> Iterator[str]:
    yield (
        f'<circle cx="{number(at.x)}" cy="{number(at.y)}" r="12" fill="{paint.fill}"'
        f' stroke="{paint.stroke}" stroke-width="1.4" stroke-dasharray="4 3"/>'
    )
    yield (
        f'<text x="{number(at.x)}" y="{number(at.y + NAME_FONT_SIZE * 0.35)}"'
        f' font-size="{number(NAME_FONT_SIZE)}" fill="{paint.color}">?</text>'
    )


ARROW_HEAD = (8.0, 4.0)
"""An arrow head's length and half its width."""


def draw_line(line: Line, edge: SceneEdge, theme: MermaidTheme, axis: Axis) -> str:
    """Return a line and its arrow head; it leaves and arrives at right angles."""
    points = list(line.points)
    tip, before = points[-1], points[-2]
    side = 1.0 if tip.y < before.y else -1.0
    points[-1] = Point(tip.x, tip.y + side * 6)
    path = "M" + _coordinates(axis.rotate(points[0]))
    for start, end in pairwise(points):
        path += _segment(start, end, axis)
    length, half = ARROW_HEAD
    base = tip.y + side * length
    ends = [tip, Point(tip.x - half, base), Point(tip.x + half, base)]
    return _stroke(path, [axis.rotate(end) for end in ends], edge.style, theme)


def draw_loop(
    box: Box, at: Point, edge: SceneEdge, theme: MermaidTheme, axis: Axis
) -> str:
    """Return a line from a step to itself, beside its box."""
    box, at = axis.rotate_box(box), axis.rotate(at)
    x = at.x + box.width / 2
    far, length, half = x + LOOP_WIDTH * 1.25, *ARROW_HEAD
    begin, tip = Point(x, at.y + 9), Point(x, at.y - 9)
    bends = (Point(far, begin.y), Point(far, tip.y), Point(x + 6, tip.y))
    path = f"M{_coordinates(axis.rotate(begin))}C" + " ".join(
        _coordinates(axis.rotate(b)) for b in bends
    )
    ends = [tip, Point(x + length, tip.y - half), Point(x + length, tip.y + half)]
    return _stroke(path, [axis.rotate(end) for end in ends], edge.style, theme)


def draw_label(at: Point, edge: SceneEdge, theme: MermaidTheme) -> Iterator[str]:
    """Yield the text on a line, on a plate that hides the line behind it."""
    paint = theme.paint("switch")
    height, width = sorted(edge.link.label or (0.0, 0.0))
    yield (
        f'<rect x="{number(at.x - width / 2)}" y="{number(at.y - height / 2)}"'
        f' width="{number(width)}" height="{number(height)}" rx="{number(height / 2)}"'
        f' fill="#ffffff" stroke="{paint.stroke}" stroke-width="0.8"/>'
    )
    yield (
        f'<text x="{number(at.x)}" y="{number(at.y + LABEL_FONT_SIZE * 0.35)}"'
        f' font-size="{number(LABEL_FONT_SIZE)}" fill="{paint.color}">{escape_xml(edge.text)}</text>'
    )


def _segment(start: Point, end: Point, axis: Axis) -> str:
    if abs(start.x - end.x) < 0.5:
        return f"L{_coordinates(axis.rotate(end))}"
    middle = (start.y + end.y) / 2
    bends = (Point(start.x, middle), Point(end.x, middle), end)
    return "C" + " ".join(_coordinates(axis.rotate(bend)) for bend in bends)


def _stroke(path: str, head: list[Point], style: EdgeStyle, theme: MermaidTheme) -> str:
    color, width, dash = _style(style, theme)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    tip, *ends = head
    return (
        f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width}"{dashes}/>'
        f'<path d="M{_coordinates(tip)}{"".join(f"L{_coordinates(end)}" for end in ends)}Z"'
        f' fill="{color}"/>'
    )


def _style(style: EdgeStyle, theme: MermaidTheme) -> tuple[str, str, str]:
    match style:
        case EdgeStyle.FLOW:
            return OUTLINE_COLOR, "1.6", ""
        case EdgeStyle.TERMINAL:
            return "#94a3b8", "1.3", ""
        case EdgeStyle.MAP:
            return theme.map_stroke, "1.8", "2 4"
        case EdgeStyle.DYNAMIC:
            return theme.switch_stroke, "1.4", "6 4"


def _coordinates(point: Point) -> str:
    return f"{number(point.x)} {number(point.y)}"


MARGIN = 12.0
"""Pixels around the drawing."""

FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
"""Font stack with the system's user interface font first."""

HORIZONTAL_DIRECTIONS = ("LR", "RL")
"""Directions that are drawn from left to right; the others from top to bottom."""


class SvgRenderer(ThemedRenderer):
    """Draws a pipeline as SVG.

    Args:
        theme: colours and direction; None is ``MermaidTheme(direction=direction)``.
        direction: used when there is no theme: ``TD`` from top to bottom, or ``LR``
            from left to right.

    Examples:
        >>> from justpipe_actors import Pipe
        >>> from justpipe_actors.visualization import SvgRenderer
        >>> pipe = Pipe()
        >>> @pipe.step(to="greet")
        ... async def find_name(): ...
        >>> @pipe.step
        ... async def greet(): ...
        >>> pipe.graph(SvgRenderer()).splitlines()[1]
        '<title>Pipeline of 2 steps: find_name, greet</title>'
    """

    def render_ast(self, ast: VisualAST) -> str:
        """Return an existing visual AST as text.

        Args:
            ast: the drawing as data.
        """
        axis = (
            Axis.RIGHT if self._theme.direction in HORIZONTAL_DIRECTIONS else Axis.DOWN
        )
        scene = build_scene(ast, axis)
        lines = [
            _svg_tag(max(scene.width, MARGIN), max(scene.height, MARGIN)),
            f"<title>{escape_xml(_summary(ast))}</title>",
            f'<g transform="translate({number(MARGIN)} {number(MARGIN)})">',
            *_draw_scene(scene, self._theme, axis),
            "</g>",
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def _svg_tag(width: float, height: float) -> str:
    width, height = width + 2 * MARGIN, height + 2 * MARGIN
    return (
        '<svg xmlns="http://www.w3.org/2000/svg"'
        f' viewBox="0 0 {number(width)} {number(height)}"'
        f' width="{number(width)}" height="{number(height)}"'
        f' role="img" font-family="{FONTS}" text-anchor="middle">'
    )


def _summary(ast: VisualAST) -> str:
    return f"Pipeline of {len(ast.nodes)} steps: {', '.join(ast.nodes)}"


def _draw_scene(scene: Scene, theme: MermaidTheme, axis: Axis) -> Iterator[str]:
    names = {
        figure.box.key: figure.node.name
        for figure, _ in scene.figures
        if figure.node is not None
    }
    for line in scene.lines:
        link = line.link
        source = names.get(link.source, link.source)
        target = names.get(link.target, link.target)
        yield (
            f'<g data-from="{escape_xml(source)}" data-to="{escape_xml(target)}">'
            f"{draw_line(line, scene.edges[id(link)], theme, axis)}</g>"
        )
    for figure, at in scene.figures:
        yield from draw_figure(figure, at, theme)
        if figure.child_scene is not None:
            yield f'<g transform="{_child_transform(figure, figure.child_scene, at)}">'
            yield from _draw_scene(figure.child_scene, theme, axis)
            yield "</g>"
    yield from _loops(scene, theme, axis)
    for line in scene.lines:
        if line.label is not None:
            edge = scene.edges[id(line.link)]
            yield from draw_label(axis.rotate(line.label), edge, theme)


def _child_transform(figure: Figure, child_scene: Scene, at: Point) -> str:
    x = at.x - (child_scene.width + figure.stack_offset) / 2
    y = (
        at.y
        + figure.box.height / 2
        - figure.stack_offset
        - child_scene.height
        - CHILD_PADDING[2]
    )
    return f"translate({number(x)} {number(y)})"


def _loops(scene: Scene, theme: MermaidTheme, axis: Axis) -> Iterator[str]:
    edges = {
        edge.link.source: edge
        for edge in scene.edges.values()
        if edge.link.source == edge.link.target
    }
    for figure, at in scene.figures:
        if figure.box.key in edges:
            yield draw_loop(figure.box, at, edges[figure.box.key], theme, axis)
