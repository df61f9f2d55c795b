"""Waves and joins: one pass through the graph, and the joins that wait in it.

An invocation belongs to the wave of what caused it.  Joins are kept per (step, wave), so
two laps of a loop, two items of a map, two branches to one name never meet in the same
gate.  A new wave is opened by

- a map, for every item;
- a step that names one which leads back to it, and so *closes* a loop: the next *lap*.
  When the closing step no longer names that step, its successors belong to the wave
  around the laps::

      r -> [b, c] -> d        b answers "b" twice, then nothing

      wave 1   r, c, b                          d: waits for b and c, runs once
      lap           b (laps are freed as they end)
      lap              b ------------------------^

- starting a step that has already started in its wave (two branches to one name).

A wave counts its live messages and invocations, those of its laps included.  When the
count is zero, nothing can start in the wave any more, so the joins that still wait in
it are decided at that point.

Rejected: keeping a lap's exits in the lap.  The join after a loop then runs without
the looping branch when the first lap ends, and again without the others after the last.
"""

from __future__ import annotations

from enum import Enum
from typing import assert_never

import attrs

from .._util.lazy_classes import define
from ..specs import BarrierType


class Report(Enum):
    """What a parent reports to a successor, once per wave."""

    ARRIVED = "arrived"
    ABSENT = "absent"
    PRUNED = "pruned"


class Decision(Enum):
    """The decision of a gate, from the reports."""

    OPEN = "open"
    ABSENT = "absent"
    PRUNED = "pruned"


# perf: globals, see ``_publishing.lazy_events`` (bench: fan).
ARRIVED, PRUNED = Report.ARRIVED, Report.PRUNED
_OPEN = Decision.OPEN
_ALL, _ANY = BarrierType.ALL, BarrierType.ANY


@define(eq=False, repr=False)
class JoinGate:
    """The join of one step: it collects the reports of its parents in one wave."""

    parents: tuple[str, ...]
    """Steps that the join waits for."""
    join: BarrierType = BarrierType.ALL
    """How many of the parents must report."""
    decision: Decision | None = attrs.field(default=None, init=False)
    """None while it waits."""
    reports: dict[str, Report] = attrs.field(factory=dict, init=False)
    """What the parents have reported so far."""
    _has_arrived: bool = attrs.field(default=False, init=False)
    _has_pruned: bool = attrs.field(default=False, init=False)

    def report(self, parent: str, report: Report) -> Decision | None:
        """Note a report and return the decision if this one brought it about."""
        if parent not in self.reports:
            self.reports[parent] = report
            self._has_arrived = self._has_arrived or report is ARRIVED
            self._has_pruned = self._has_pruned or report is PRUNED
        if self.decision is None:
            self.decision = self._decide()
            return self.decision
        return None

    def expect(self, parent: str) -> None:
        """Wait for one more parent, if nothing is decided yet."""
        if self.decision is None and parent not in self.parents:
            self.parents = (*self.parents, parent)

    def close(self) -> None:
        """Decide that the step will not run through this gate: it waited too long."""
        self.decision = Decision.PRUNED

    def missing(self) -> tuple[str, ...]:
        """Return the parents that have not reported."""
        return tuple(name for name in self.parents if name not in self.reports)

    def pruned_parents(self) -> tuple[str, ...]:
        """Return the parents that were pruned."""
        return tuple(n for n in self.parents if self.reports.get(n) is Report.PRUNED)

    def _decide(self) -> Decision | None:
        if self.join is _ANY:
            if self._has_arrived:
                return _OPEN
        elif self._has_pruned:
            return Decision.PRUNED
        if len(self.reports) < len(self.parents):
            return None
        if self.join is _ALL and self._has_arrived:
            return _OPEN
        return Decision.PRUNED if self._has_pruned else Decision.ABSENT


@define(eq=False, repr=False)
class StepEntry:
    """Both ways into one step, in one wave: through its gate, and past it."""

    gate: JoinGate | None
    """The wait for its static parents; None when it has none."""
    routers: tuple[str, ...]
    """Switches that may start it directly."""
    router_reports: dict[str, Report] = attrs.field(factory=dict, init=False)
    """Reports of the switches that did not choose the step."""
    dead: bool = attrs.field(default=False, init=False)
    """Whether it has reported to its successors that it cannot start."""

    def dead_report(self) -> Report | None:
        """Return the report to the successors if the step can no longer start."""
        if any(router not in self.router_reports for router in self.routers):
            return None
        if self.gate is not None and self.gate.decision is None:
            return None
        reasons = {r for r in self.router_reports.values() if r is not Report.ARRIVED}
        if self.gate is not None:
            match self.gate.decision:
                case None | Decision.OPEN:
                    return None
                case Decision.PRUNED:
                    reasons.add(Report.PRUNED)
                case Decision.ABSENT:
                    reasons.add(Report.ABSENT)
                case _:
                    assert_never(self.gate.decision)
        return Report.PRUNED if Report.PRUNED in reasons else Report.ABSENT


NO_STEPS: frozenset[str] = frozenset()
"""No step.  perf: each empty set is an object of 216 bytes (scale, idle run)."""


_NO_ENTRIES: dict[str, StepEntry] = {}
"""Shared table of all waves without a join so far; it stays empty."""


@define(eq=False, repr=False)
class Wave:
    """The state of one pass."""

    number: int
    """1 for the pass the run begins with."""
    started_before: frozenset[str] = NO_STEPS
    """Steps that had started when it began, in the waves that led to it."""
    parent_wave: Wave | None = None
    """The wave around it, when it is a lap."""
    closing_step: str = ""
    """The step that closes the loop, when it is a lap."""
    loop: int | None = None
    """The cycle of the plan that it is a lap of, when that is known."""
    started: set[str] = attrs.field(factory=set)
    """Steps that have started in it."""
    entries: dict[str, StepEntry] = _NO_ENTRIES
    """The entries of steps that have received a report, by step."""
    live_count: int = 0
    """Messages and invocations of this wave, and laps in it."""
    _started_so_far: frozenset[str] = attrs.field(default=NO_STEPS, init=False)
    _counted: int = attrs.field(default=-1, init=False)

    def start(self, step: str) -> None:
        """Note that a step starts in it."""
        self.started.add(step)

    def add_entry(self, step: str, entry: StepEntry) -> None:
        """Add the entry of a step that receives its first report."""
        if self.entries is _NO_ENTRIES:
            self.entries = {}
        self.entries[step] = entry

    def started_so_far(self) -> frozenset[str]:
        """Return the steps that have started in it and before it."""
        if self._counted != len(self.started):  # steps are only added
            self._counted = len(self.started)
            self._started_so_far = self.started_before | self.started
        return self._started_so_far

    def wave_after(self, step: str) -> Wave:
        """Return the wave of what follows from a step of this one."""
        wave = self
        while wave.parent_wave is not None and wave.closing_step == step:
            wave = wave.parent_wave
        return wave

    def outside(self, loop: int) -> Wave:
        """Return the wave around all laps of a cycle."""
        wave = self
        while wave.parent_wave is not None and wave.loop == loop:
            wave = wave.parent_wave
        return wave

    def unreported_death(self) -> tuple[str, Report] | None:
        """Return a step that can no longer start, and the report for its successors."""
        for name, entry in self.entries.items():
            if name in self.started or entry.dead:
                continue
            reports = {
                r for r in entry.router_reports.values() if r is not Report.ARRIVED
            }
            if reports:
                entry.dead = True
                is_pruned = Report.PRUNED in reports
                return name, Report.PRUNED if is_pruned else Report.ABSENT
        return None

    def waiting(self) -> list[str]:
        """Return the undecided joins that have a report of at least one parent."""
        return [
            name
            for name, entry in self.entries.items()
            if entry.gate is not None
            and entry.gate.decision is None
            and entry.gate.reports
        ]
