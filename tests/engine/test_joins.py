"""A join decides once, by a table of reports and decisions."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from justpipe_actors._engine.joins import Decision, JoinGate, Report, StepEntry
from justpipe_actors.types import BarrierType


A, B, P = Report.ARRIVED, Report.ABSENT, Report.PRUNED
reports = st.lists(st.sampled_from(Report), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("join", "said", "decision"),
    [
        (BarrierType.ALL, [A, A], Decision.OPEN),
        (BarrierType.ALL, [A, B], Decision.OPEN),
        (BarrierType.ALL, [B, B], Decision.ABSENT),
        (BarrierType.ALL, [A, P], Decision.PRUNED),
        (BarrierType.ALL, [P], Decision.PRUNED),
        (BarrierType.ALL, [A], None),
        (BarrierType.ANY, [A], Decision.OPEN),
        (BarrierType.ANY, [P, A], Decision.OPEN),
        (BarrierType.ANY, [P, B], Decision.PRUNED),
        (BarrierType.ANY, [B, B], Decision.ABSENT),
        (BarrierType.ANY, [B], None),
    ],
)
def test_the_table(
    join: BarrierType, said: list[Report], decision: Decision | None
) -> None:
    """Two parents, every row of the table of joins."""
    gate = JoinGate(("p0", "p1"), join)
    for number, report in enumerate(said):
        gate.report(f"p{number}", report)

    assert gate.decision is decision


@given(said=reports, join=st.sampled_from(BarrierType), data=st.data())
def test_it_decides_once_whatever_the_order(
    said: list[Report], join: BarrierType, data: st.DataObject
) -> None:
    """In any order, and however often a parent repeats itself, there is one decision."""
    parents = [f"p{number}" for number in range(len(said))]
    order = data.draw(st.permutations([*zip(parents, said, strict=True)] * 2))
    gate = JoinGate(tuple(parents), join)
    decisions = [gate.report(parent, report) for parent, report in order]

    made = [decision for decision in decisions if decision is not None]
    assert made == [gate.decision]
    straight = JoinGate(tuple(parents), join)
    for parent, report in zip(parents, said, strict=True):
        straight.report(parent, report)
    assert straight.decision is gate.decision


def test_a_closed_gate_stays_closed() -> None:
    """A join that waited too long is not opened by a late parent."""
    gate = JoinGate(("p", "q"))
    gate.report("p", A)
    gate.close()

    assert gate.missing() == ("q",)
    assert gate.report("q", A) is None
    assert gate.decision is Decision.PRUNED


def test_a_doorway_is_dead_when_both_ways_are() -> None:
    """A step that a switch may still start is not dead, whatever its gate says."""
    entry = StepEntry(JoinGate(("p",)), ("s", "t"))
    assert entry.gate is not None
    entry.gate.report("p", B)
    entry.router_reports["s"] = B
    assert entry.dead_report() is None

    entry.router_reports["t"] = P
    assert entry.dead_report() is P
