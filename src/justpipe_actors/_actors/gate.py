"""When a step may start that waits for others, and when it never will.

Every node reports to its static successors exactly once per wave: it has *arrived*, or
its branch is *absent* (somebody chose another way), or it was *pruned* (skipped, failed,
cut off).  A gate collects the reports for one join in one wave:

    ====  ===============================================  ==========================
    join  opens                                            otherwise
    ====  ===============================================  ==========================
    ALL   all reported, one arrived at least, none pruned  any pruned: PRUNED;
                                                           all absent: ABSENT
    ANY   at the first arrived                             all reported: PRUNED if any
                                                           was, else ABSENT
    ====  ===============================================  ==========================

A gate decides once.  What comes later in the same wave is noted and changes nothing.

A node that will not run passes its own state on, so reports travel through whole dead
branches and no join waits for somebody who took another road.  A step may also be
started directly by a switch, past its gate; it is dead only when the gate has said so
*and* every switch that could start it has gone elsewhere.  ``Doorway`` keeps both.

Rejected: counting arrivals by name over the whole run (a loop mixes its laps), and
letting a timeout find out that nobody is coming (it reports a failure where there is
none).
"""

from __future__ import annotations

from enum import Enum
from typing import assert_never

import attrs

from ..shape import BarrierType


class Report(Enum):
    """What a parent says to a successor, once per wave."""

    ARRIVED = "arrived"
    ABSENT = "absent"
    PRUNED = "pruned"


class Decision(Enum):
    """What a gate made of the reports."""

    OPEN = "open"
    ABSENT = "absent"
    PRUNED = "pruned"


@attrs.define(eq=False, repr=False)
class Gate:
    """The waiting of one step for its parents, in one wave."""

    parents: tuple[str, ...]
    """Whom it waits for."""
    join: BarrierType = BarrierType.ALL
    """How many of them."""
    decision: Decision | None = attrs.field(default=None, init=False)
    """None while it waits."""
    reports: dict[str, Report] = attrs.field(factory=dict, init=False)
    """What has been said so far."""
    _has_arrived: bool = attrs.field(default=False, init=False)
    _has_pruned: bool = attrs.field(default=False, init=False)

    def report(self, parent: str, report: Report) -> Decision | None:
        """Note a report and return the decision if this one brought it about."""
        if parent not in self.reports:
            self.reports[parent] = report
            self._has_arrived = self._has_arrived or report is Report.ARRIVED
            self._has_pruned = self._has_pruned or report is Report.PRUNED
        if self.decision is None:
            self.decision = self._decide()
            return self.decision
        return None

    def close(self) -> None:
        """Decide that the step will not run through this gate: it waited too long."""
        self.decision = Decision.PRUNED

    def missing(self) -> tuple[str, ...]:
        """Return the parents that have not reported."""
        return tuple(name for name in self.parents if name not in self.reports)

    def at_fault(self) -> tuple[str, ...]:
        """Return the parents that were pruned."""
        return tuple(n for n in self.parents if self.reports.get(n) is Report.PRUNED)

    def _decide(self) -> Decision | None:
        if self.join is BarrierType.ANY:
            if self._has_arrived:
                return Decision.OPEN
        elif self._has_pruned:
            return Decision.PRUNED
        if len(self.reports) < len(self.parents):
            return None
        if self.join is BarrierType.ALL and self._has_arrived:
            return Decision.OPEN
        return Decision.PRUNED if self._has_pruned else Decision.ABSENT


@attrs.define(eq=False, repr=False)
class Doorway:
    """Both ways into one step, in one wave: through its gate, and past it."""

    gate: Gate | None
    """The wait for its static parents; None when it has none."""
    routers: tuple[str, ...]
    """Switches that may start it directly."""
    elsewhere: dict[str, Report] = attrs.field(factory=dict, init=False)
    """What the switches said that did not choose it."""
    dead: bool = attrs.field(default=False, init=False)
    """Whether its death has been passed on."""

    def death(self) -> Report | None:
        """Return what to tell the successors if the step can no longer start."""
        if len(self.elsewhere) < len(self.routers):
            return None
        if self.gate is not None and self.gate.decision is None:
            return None
        reasons = set(self.elsewhere.values())
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
