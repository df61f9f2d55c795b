"""Data types of layouts: boxes and links as input, positions and lines as output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import attrs


class Point(NamedTuple):
    """A place in the drawing, in pixels; y grows downwards."""

    x: float
    y: float


@attrs.frozen
class Box:
    """A rectangle to be placed."""

    key: str
    """Identifies the box in links."""
    width: float
    """Pixels."""
    height: float
    """Pixels."""
    side_space: float = 0.0
    """Pixels that must be free beside it."""


@attrs.frozen(eq=False)
class Link:
    """A line from one box to another."""

    source: str
    """Key of the box it leaves."""
    target: str
    """Key of the box it points at."""
    label: tuple[float, float] | None = None
    """Width and height of the text on it."""
    weight: int = 2
    """How strongly it pulls its boxes together; 0 is not at all."""
    ranks: int = 1
    """Least number of ranks between its boxes."""
    may_reverse: bool = False
    """Whether it may point upwards to break a cycle."""


@attrs.frozen(eq=False)
class Line:
    """The course of one link."""

    link: Link
    points: Sequence[Point]
    """Points from the border of the source to that of the target."""
    label: Point | None = None
    """Centre of its text."""


@attrs.frozen(eq=False)
class Layout:
    """A finished arrangement; nothing of it has negative coordinates."""

    centres: Mapping[str, Point]
    """Centre of every box."""
    lines: Sequence[Line]
    """One for every link, in their order; those from a box to itself are left out."""
    width: float
    """Pixels."""
    height: float
    """Pixels."""
