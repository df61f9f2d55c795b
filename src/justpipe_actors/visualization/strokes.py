"""What a line looks like in SVG: upright where it passes, curved where it moves aside."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from .layout import Box, Line, Point
from .picture import LOOP, Axis
from .shapes import SLATE, number
from .theme import MermaidTheme
from .ties import Tie, Way
from .wording import SMALL, xml


HEAD = (8.0, 4.0)
"""An arrow head's length and half its width."""


def draw_line(line: Line, tie: Tie, theme: MermaidTheme, axis: Axis) -> str:
    """Return a line and its arrow head; it leaves and arrives at right angles."""
    points = list(line.points)
    tip, before = points[-1], points[-2]
    side = 1.0 if tip.y < before.y else -1.0
    points[-1] = Point(tip.x, tip.y + side * 6)
    path = "M" + _xy(axis.turn(points[0]))
    for one, next_ in pairwise(points):
        path += _segment(one, next_, axis)
    length, half = HEAD
    base = tip.y + side * length
    ends = [tip, Point(tip.x - half, base), Point(tip.x + half, base)]
    return _stroke(path, [axis.turn(end) for end in ends], tie.way, theme)


def draw_loop(box: Box, at: Point, tie: Tie, theme: MermaidTheme, axis: Axis) -> str:
    """Return a line from a step to itself, beside its box."""
    box, at = axis.turned_box(box), axis.turn(at)
    x = at.x + box.width / 2
    far, length, half = x + LOOP * 1.25, *HEAD
    begin, tip = Point(x, at.y + 9), Point(x, at.y - 9)
    bends = (Point(far, begin.y), Point(far, tip.y), Point(x + 6, tip.y))
    path = f"M{_xy(axis.turn(begin))}C" + " ".join(_xy(axis.turn(b)) for b in bends)
    ends = [tip, Point(x + length, tip.y - half), Point(x + length, tip.y + half)]
    return _stroke(path, [axis.turn(end) for end in ends], tie.way, theme)


def draw_label(at: Point, tie: Tie, theme: MermaidTheme) -> Iterator[str]:
    """Yield the text on a line, on a plate that hides the line behind it."""
    paint = theme.paint("switch")
    height, width = sorted(tie.link.label or (0.0, 0.0))
    yield (
        f'<rect x="{number(at.x - width / 2)}" y="{number(at.y - height / 2)}"'
        f' width="{number(width)}" height="{number(height)}" rx="{number(height / 2)}"'
        f' fill="#ffffff" stroke="{paint.stroke}" stroke-width="0.8"/>'
    )
    yield (
        f'<text x="{number(at.x)}" y="{number(at.y + SMALL * 0.35)}"'
        f' font-size="{number(SMALL)}" fill="{paint.color}">{xml(tie.text)}</text>'
    )


def _segment(one: Point, next_: Point, axis: Axis) -> str:
    if abs(one.x - next_.x) < 0.5:
        return f"L{_xy(axis.turn(next_))}"
    middle = (one.y + next_.y) / 2
    bends = (Point(one.x, middle), Point(next_.x, middle), next_)
    return "C" + " ".join(_xy(axis.turn(bend)) for bend in bends)


def _stroke(path: str, head: list[Point], way: Way, theme: MermaidTheme) -> str:
    color, width, dash = _style(way, theme)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    tip, *ends = head
    return (
        f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width}"{dashes}/>'
        f'<path d="M{_xy(tip)}{"".join(f"L{_xy(end)}" for end in ends)}Z"'
        f' fill="{color}"/>'
    )


def _style(way: Way, theme: MermaidTheme) -> tuple[str, str, str]:
    match way:
        case Way.FLOW:
            return SLATE, "1.6", ""
        case Way.EDGE:
            return "#94a3b8", "1.3", ""
        case Way.EACH:
            return theme.map_stroke, "1.8", "2 4"
        case Way.MAYBE:
            return theme.switch_stroke, "1.4", "6 4"


def _xy(point: Point) -> str:
    return f"{number(point.x)} {number(point.y)}"
