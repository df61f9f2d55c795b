"""A drawing as SVG: one self-contained text, made without a browser or a program.

Colours are attributes and not a style sheet, so several drawings on one page leave each
other and the page alone.  The background is transparent, and lines are grey enough to be
seen on white and on black.
"""

from __future__ import annotations

from collections.abc import Iterator

from .ast import VisualAST
from .layout import Point
from .picture import INSIDE, Axis, Figure, Picture, picture_of
from .renderer import ThemedRenderer
from .shapes import draw_figure, number
from .strokes import draw_label, draw_line, draw_loop
from .theme import MermaidTheme
from .wording import xml


MARGIN = 12.0
"""Pixels around the drawing."""

FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
"""Whatever the reader's machine shows its own text in."""

SIDEWAYS = ("LR", "RL")
"""Directions that are drawn from left to right; the others from top to bottom."""


class SvgRenderer(ThemedRenderer):
    """Draws a pipeline as SVG."""

    def render_ast(self, ast: VisualAST) -> str:
        """Return a drawing that exists already, as text."""
        axis = Axis.RIGHT if self._theme.direction in SIDEWAYS else Axis.DOWN
        picture = picture_of(ast, axis)
        lines = [
            _opening(max(picture.width, MARGIN), max(picture.height, MARGIN)),
            f"<title>{xml(_summary(ast))}</title>",
            f'<g transform="translate({number(MARGIN)} {number(MARGIN)})">',
            *_drawn(picture, self._theme, axis),
            "</g>",
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def _opening(width: float, height: float) -> str:
    width, height = width + 2 * MARGIN, height + 2 * MARGIN
    return (
        '<svg xmlns="http://www.w3.org/2000/svg"'
        f' viewBox="0 0 {number(width)} {number(height)}"'
        f' width="{number(width)}" height="{number(height)}"'
        f' role="img" font-family="{FONTS}" text-anchor="middle">'
    )


def _summary(ast: VisualAST) -> str:
    return f"Pipeline of {len(ast.nodes)} steps: {', '.join(ast.nodes)}"


def _drawn(picture: Picture, theme: MermaidTheme, axis: Axis) -> Iterator[str]:
    for line in picture.lines:
        yield draw_line(line, picture.ties[id(line.link)], theme, axis)
    for figure, at in picture.figures:
        yield from draw_figure(figure, at, theme)
        if figure.inside is not None:
            yield f'<g transform="{_inside(figure, figure.inside, at)}">'
            yield from _drawn(figure.inside, theme, axis)
            yield "</g>"
    yield from _loops(picture, theme, axis)
    for line in picture.lines:
        if line.label is not None:
            tie = picture.ties[id(line.link)]
            yield from draw_label(axis.turn(line.label), tie, theme)


def _inside(figure: Figure, inside: Picture, at: Point) -> str:
    x = at.x - (inside.width + figure.cards) / 2
    y = at.y + figure.box.height / 2 - figure.cards - inside.height - INSIDE[2]
    return f"translate({number(x)} {number(y)})"


def _loops(picture: Picture, theme: MermaidTheme, axis: Axis) -> Iterator[str]:
    ties = {
        tie.link.source: tie
        for tie in picture.ties.values()
        if tie.link.source == tie.link.target
    }
    for figure, at in picture.figures:
        if figure.box.key in ties:
            yield draw_loop(figure.box, at, ties[figure.box.key], theme, axis)
