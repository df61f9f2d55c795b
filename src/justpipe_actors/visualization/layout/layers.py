"""The boxes in their layers, and the lines that pass through.

A line that crosses layers gets a spot in each of them, so that it is given room and can
be drawn straight.  Labels are spots, too: they stand in layers of their own, between two
ranks, where no box can touch them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import attrs

from .boxes import Box, Link
from .ranks import Arc


@attrs.define(eq=False)
class Spot:
    """What takes room in a layer: a box, a label, or a line that passes."""

    width: float
    """Pixels."""
    height: float
    """Pixels."""
    layer: int
    """Which layer."""
    box: str | None = None
    """The box, when it is one."""
    beside: float = 0.0
    """Pixels that must be free beside it."""
    label: Link | None = None
    """The link whose label it is, when it is one."""
    above: list[Spot] = attrs.field(factory=list)
    """Spots of the layer above that lead here."""
    below: list[Spot] = attrs.field(factory=list)
    """Spots of the layer below that it leads to."""
    place: int = 0
    """Where in its layer, from the left."""
    x: float = 0.0
    """Centre."""

    @property
    def is_passing(self) -> bool:
        """Whether it belongs to a line and not to a box."""
        return self.box is None


@attrs.frozen(eq=False)
class Chain:
    """A line, spot by spot downwards."""

    arc: Arc
    """Whose line."""
    spots: Sequence[Spot]
    """The upper box, what it passes, the lower box."""


@attrs.frozen(eq=False)
class Layers:
    """All spots, in layers."""

    layers: list[list[Spot]]
    """From top to bottom; each from left to right."""
    chains: list[Chain]
    """One for every arc."""


def layered(
    boxes: Sequence[Box], arcs: Sequence[Arc], ranks: Mapping[str, int]
) -> Layers:
    """Return spots for the boxes and for what passes between them."""
    level = _levels(arcs, ranks)
    layers: list[list[Spot]] = [[] for _ in range(max(level.values(), default=-1) + 1)]

    def put(spot: Spot) -> Spot:
        layers[spot.layer].append(spot)
        return spot

    spots = {box.key: put(_standing(box, level[2 * ranks[box.key]])) for box in boxes}
    chains: list[Chain] = []
    for arc in arcs:
        upper, lower = spots[arc.upper], spots[arc.lower]
        line = [upper]
        for layer in range(upper.layer + 1, lower.layer):
            is_first = layer == upper.layer + 1
            line.append(put(_passing(arc.link, layer, has_label=is_first)))
        line.append(lower)
        for one, next_ in pairwise(line):
            one.below.append(next_)
            next_.above.append(one)
        chains.append(Chain(arc, line))
    return Layers(layers, chains)


def _levels(arcs: Sequence[Arc], ranks: Mapping[str, int]) -> dict[int, int]:
    """Number the layers: rank r is 2r, labels below it are 2r + 1, the rest is left out."""
    used = {2 * rank for rank in ranks.values()}
    used |= {2 * ranks[arc.upper] + 1 for arc in arcs if arc.link.label is not None}
    return {half: level for level, half in enumerate(sorted(used))}


def _standing(box: Box, layer: int) -> Spot:
    return Spot(box.width, box.height, layer, box.key, box.beside)


def _passing(link: Link, layer: int, *, has_label: bool) -> Spot:
    if has_label and link.label is not None:
        return Spot(*link.label, layer, label=link)
    return Spot(0.0, 0.0, layer)
