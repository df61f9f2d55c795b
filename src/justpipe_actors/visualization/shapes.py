"""What a figure looks like in SVG: one shape for each kind of step."""

from __future__ import annotations

from collections.abc import Iterator

from .ast import VisualNode, VisualNodeKind
from .layout import Point
from .picture import STACK, Figure, Sort
from .theme import MermaidTheme, Paint
from .wording import FONT, SMALL, xml


SLATE = "#64748b"
"""Outline of what is not a step."""


def number(value: float) -> str:
    """Return a coordinate in as few characters as it needs."""
    return f"{value:.1f}".removesuffix(".0")


def draw_figure(figure: Figure, at: Point, theme: MermaidTheme) -> Iterator[str]:
    """Yield the elements of one figure around its centre."""
    match figure.sort:
        case Sort.NODE:
            assert figure.node is not None
            yield from _draw_node(figure, figure.node, at, theme)
        case Sort.START:
            yield from _dot(at, theme.paint("startEnd"), "M-3.5 -5L5.5 0L-3.5 5Z")
        case Sort.END:
            yield from _dot(at, theme.paint("startEnd"), "M-4 -4H4V4H-4Z")
        case Sort.HOOK:
            yield from _hook(figure, at)
        case Sort.UNKNOWN:
            yield from _question(at, theme.paint("switch"))


def _draw_node(
    figure: Figure, node: VisualNode, at: Point, theme: MermaidTheme
) -> Iterator[str]:
    group = "isolated" if node.is_isolated else node.kind.value
    paint = theme.paint(group)
    width, height = figure.box.width, figure.box.height
    yield f'<g data-step="{xml(node.name)}">'
    yield f"<title>{xml(_about(node))}</title>"
    if figure.cards:
        width, height = width - figure.cards, height - figure.cards
        at = Point(at.x - STACK, at.y - STACK)
        for shift in (2 * STACK, STACK):
            behind = Point(at.x + shift, at.y + shift)
            yield _shape(node, behind, width, height, paint)
    yield _shape(node, at, width, height, paint)
    yield from _marks(node, at, width, height, paint)
    yield _name(figure, node, at, height, paint)
    yield "</g>"


def _about(node: VisualNode) -> str:
    kind = "worker of a map" if node.is_map_target else node.kind.value
    doc = str(node.metadata.get("doc", ""))
    return f"{node.name} ({kind})" + (f": {doc}" if doc else "")


def _shape(
    node: VisualNode, at: Point, width: float, height: float, paint: Paint
) -> str:
    dash = ' stroke-dasharray="5 4"' if node.is_isolated else ""
    style = f'fill="{paint.fill}" stroke="{paint.stroke}" stroke-width="1.6"{dash}'
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


def _marks(
    node: VisualNode, at: Point, width: float, height: float, paint: Paint
) -> Iterator[str]:
    """Yield what tells the kind at a glance, besides shape and colour."""
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


def _name(
    figure: Figure, node: VisualNode, at: Point, height: float, paint: Paint
) -> str:
    is_streaming = node.kind is VisualNodeKind.STREAMING
    x = at.x - 9 if is_streaming else at.x
    y = at.y if figure.inside is None else at.y - height / 2 + 17
    return (
        f'<text x="{number(x)}" y="{number(y + FONT * 0.35)}" font-size="{number(FONT)}"'
        f' font-weight="600" fill="{paint.color}">{xml(figure.text)}</text>'
    )


def _dot(at: Point, paint: Paint, sign: str) -> Iterator[str]:
    yield (
        f'<g transform="translate({number(at.x)} {number(at.y)})">'
        f'<circle r="12" fill="{paint.fill}" stroke="{paint.stroke}" stroke-width="1.8"/>'
        f'<path d="{sign}" fill="{paint.stroke}"/></g>'
    )


def _hook(figure: Figure, at: Point) -> Iterator[str]:
    style = f'fill="#f8fafc" stroke="{SLATE}" stroke-width="1" stroke-dasharray="3 2"'
    yield _rectangle(at, figure.box.width, figure.box.height, 4.0, style)
    yield (
        f'<text x="{number(at.x)}" y="{number(at.y + SMALL * 0.35)}"'
        f' font-size="{number(SMALL)}" fill="#475569">{xml(figure.text)}</text>'
    )


def _question(at: Point, paint: Paint) -> Iterator[str]:
    yield (
        f'<circle cx="{number(at.x)}" cy="{number(at.y)}" r="12" fill="{paint.fill}"'
        f' stroke="{paint.stroke}" stroke-width="1.4" stroke-dasharray="4 3"/>'
    )
    yield (
        f'<text x="{number(at.x)}" y="{number(at.y + FONT * 0.35)}"'
        f' font-size="{number(FONT)}" fill="{paint.color}">?</text>'
    )
