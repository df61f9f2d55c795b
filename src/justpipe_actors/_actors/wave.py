"""One pass through the graph, and what waits in it.

An activation belongs to the wave of what caused it.  Joins are kept per (step, wave), so
two laps of a loop, two items of a map, two branches to one name never meet in the same
gate.  A new wave is opened by

- a map, for every item;
- a step that names one which leads back to it, and so *closes* a loop: the next *lap*.
  What follows from the closing step when it names nobody any more belongs to the wave
  around the laps::

      r -> [b, c] -> d        b answers "b" twice, then nothing

      wave 1   r, c, b                          d: waits for b and c, runs once
      lap           b (laps are freed as they end)
      lap              b ------------------------^

- starting a step that has already started in its wave (two branches to one name).

A wave counts what is alive in it, its laps included.  When that falls to zero nothing can
start in it any more, and the joins that still wait in it must be decided then or never.

Rejected: a lap whose exits stay in the lap.  The join behind a loop then runs without
the looping branch when the first lap ends, and again without the others after the last.
"""

from __future__ import annotations

import attrs

from .gate import Doorway


@attrs.define(eq=False, repr=False)
class Wave:
    """The state of one pass."""

    number: int
    """1 for the pass the run begins with."""
    background: frozenset[str] = frozenset()
    """Steps that had started when it began, in the waves that led to it."""
    outer: Wave | None = None
    """The wave around it, when it is a lap."""
    closer: str = ""
    """The step that closes the loop, when it is a lap."""
    started: set[str] = attrs.field(factory=set)
    """Steps that have started in it."""
    doorways: dict[str, Doorway] = attrs.field(factory=dict)
    """Ways into steps, for those that were told of."""
    live: int = 0
    """Messages and activations of this wave, and laps in it."""
    _seen: frozenset[str] | None = attrs.field(default=None, init=False)

    def start(self, step: str) -> None:
        """Note that a step starts in it."""
        if step not in self.started:
            self.started.add(step)
            self._seen = None

    def seen(self) -> frozenset[str]:
        """Return the steps that have started in it and before it."""
        if self._seen is None:
            self._seen = self.background | self.started
        return self._seen

    def beyond(self, step: str) -> Wave:
        """Return the wave of what follows from a step of this one."""
        wave = self
        while wave.outer is not None and wave.closer == step:
            wave = wave.outer
        return wave

    def waiting(self) -> list[str]:
        """Return the joins that have heard of a parent and are undecided."""
        return [
            name
            for name, doorway in self.doorways.items()
            if doorway.gate is not None
            and doorway.gate.decision is None
            and doorway.gate.reports
        ]
