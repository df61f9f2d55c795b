"""One pass through the graph, and what waits in it.

An activation belongs to the wave of what caused it.  Starting a step that has already
started in this wave (a loop, a jump back, a second branch to the same name) opens a new
wave for what follows from it.  Joins are kept per (step, wave), so two laps of a loop,
two items of a map, two branches to one name never meet in the same gate.

A wave counts what is alive in it.  When that falls to zero nothing can start in it any
more, and the joins that still wait in it must be decided then or never.
"""

from __future__ import annotations

import attrs

from .gate import Doorway


@attrs.define(eq=False)
class Wave:
    """The state of one pass."""

    number: int
    """1 for the pass the run begins with."""
    started: set[str] = attrs.field(factory=set)
    """Steps that have started in it."""
    doorways: dict[str, Doorway] = attrs.field(factory=dict)
    """Ways into steps, for those that were told of."""
    live: int = 0
    """Messages and activations of this wave."""

    def waiting(self) -> list[str]:
        """Return the joins that have heard of a parent and are undecided."""
        return [
            name
            for name, doorway in self.doorways.items()
            if doorway.gate is not None
            and doorway.gate.decision is None
            and doorway.gate.reports
        ]
