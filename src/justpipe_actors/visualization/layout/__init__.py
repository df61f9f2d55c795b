"""Layout of a layered drawing: the positions of its boxes and the course of its lines.

::

    boxes, links ─► acyclic ─► ranks ─► layers ─► order ─► columns ─► rows, lines
                   (turn some  (how far (lines    (fewest  (straight
                    around)     down)    that pass) crossings) lines)

This is the method of Sugiyama, Tagawa and Toda, one module per stage, pure and without
randomness, so a pipeline has the same drawing everywhere.  Coordinates are those of a
drawing from top to bottom; the caller rotates them for other directions.
"""

from __future__ import annotations

from .coordinates import arrange
from .model import Box, Layout, Line, Link, Point


__all__ = ["Box", "Layout", "Line", "Link", "Point", "arrange"]
