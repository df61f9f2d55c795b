"""A join decides once, from the reports of its parents."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from justpipe_actors._engine.joins import (
    Decision,
    JoinGate,
    Report,
    StepEntry,
    Wave,
)
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
def test_the_table_of_decisions(
    join: BarrierType, said: list[Report], decision: Decision | None
) -> None:
    """Each combination of two parents' reports has the decision that the table says."""
    gate = JoinGate(("p0", "p1"), join)
    for number, report in enumerate(said):
        gate.report(f"p{number}", report)

    assert gate.decision is decision


@given(said=reports, join=st.sampled_from(BarrierType), data=st.data())
def test_a_join_decides_once_in_any_order(
    said: list[Report], join: BarrierType, data: st.DataObject
) -> None:
    """One decision is made, in whatever order and however often the parents report."""
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


def test_a_join_that_timed_out_stays_closed() -> None:
    """A parent that reports after the timeout does not start the join."""
    gate = JoinGate(("p", "q"))
    gate.report("p", A)
    gate.close()

    assert gate.missing() == ("q",)
    assert gate.report("q", A) is None
    assert gate.decision is Decision.PRUNED


def test_a_join_counts_one_report_of_each_parent() -> None:
    """A parent that reports twice counts once, by its first report."""
    gate = JoinGate(("p", "q"))
    gate.report("p", A)

    assert gate.report("p", P) is None
    assert gate.reports == {"p": A}
    assert gate.missing() == ("q",)
    assert gate.report("q", A) is Decision.OPEN


def test_a_join_waits_for_a_parent_that_is_added() -> None:
    """A route into the join adds one parent, once, and only before the decision."""
    gate = JoinGate(("p",))
    gate.expect("router")
    gate.expect("router")
    assert gate.parents == ("p", "router")
    assert gate.report("p", A) is None
    assert gate.report("router", A) is Decision.OPEN

    gate.expect("late")
    assert gate.parents == ("p", "router")


def test_a_join_names_its_pruned_parents() -> None:
    """Only parents that reported PRUNED are named, in the order of the graph."""
    gate = JoinGate(("p", "q", "r", "s"))
    for parent, report in (("r", P), ("p", P), ("q", A)):
        gate.report(parent, report)

    assert gate.pruned_parents() == ("p", "r")


@pytest.mark.parametrize(
    ("gate", "routers", "report"),
    [
        (None, {}, B),
        (None, {"s": A}, B),
        (None, {"s": B}, B),
        (None, {"s": P, "t": B}, P),
        (None, {"s": None}, None),
        (None, {"s": B, "t": None}, None),
        ([A], {}, None),
        ([A], {"s": P}, None),
        ([B], {}, B),
        ([P], {}, P),
        ([B], {"s": P}, P),
        ([P], {"s": B}, P),
        ([P], {"s": None}, None),
        ([None], {}, None),
        ([None], {"s": P}, None),
    ],
)
def test_a_step_that_can_no_longer_start_is_reported_to_its_successors(
    gate: list[Report | None] | None,
    routers: dict[str, Report | None],
    report: Report | None,
) -> None:
    """That is so when its join cannot open and no switch can choose it any more."""
    names = [f"p{number}" for number in range(len(gate or ()))]
    entry = StepEntry(None if gate is None else JoinGate(tuple(names)), tuple(routers))
    for name, said in zip(names, gate or (), strict=True):
        if entry.gate is not None and said is not None:
            entry.gate.report(name, said)
    entry.router_reports.update(
        {name: said for name, said in routers.items() if said is not None}
    )

    assert entry.dead_report() is report


def test_a_wave_knows_the_steps_that_started() -> None:
    """Steps of the waves before it count, and a new start is seen at once."""
    wave = Wave(2, frozenset({"r"}))
    assert wave.started_so_far() == {"r"}

    wave.start("a")
    wave.start("a")
    assert wave.started == {"a"}
    assert wave.started_so_far() == {"r", "a"}
    assert wave.started_so_far() is wave.started_so_far()

    wave.start("b")
    assert wave.started_so_far() == {"r", "a", "b"}


def test_what_follows_a_closing_step_belongs_to_the_wave_around_the_loop() -> None:
    """A lap ends at its closing step."""
    outer = Wave(1)
    first = Wave(2, parent_wave=outer, closing_step="close", loop=7)
    second = Wave(3, parent_wave=first, closing_step="close", loop=7)
    other = Wave(4, parent_wave=second, closing_step="other", loop=8)

    assert second.wave_after("close") is outer
    assert second.wave_after("body") is second
    assert other.wave_after("close") is other
    assert other.wave_after("other") is second
    assert outer.wave_after("close") is outer


def test_a_wave_around_a_loop_is_outside_of_all_its_laps() -> None:
    """The search for it ends at the laps of another loop."""
    outer = Wave(1, loop=7)
    first = Wave(2, parent_wave=outer, closing_step="close", loop=7)
    second = Wave(3, parent_wave=first, closing_step="close", loop=7)
    other = Wave(4, parent_wave=second, closing_step="other", loop=8)

    assert second.outside(7) is outer
    assert other.outside(8) is second
    assert other.outside(7) is other


def test_a_wave_names_each_step_that_can_no_longer_start() -> None:
    """Each is named once; started steps and steps that may still start are not named."""
    wave = Wave(1)
    for name, said in (
        ("chosen", {"s": A}),
        ("started", {"s": B}),
        ("absent", {"s": B, "t": A}),
        ("pruned", {"s": B, "t": P}),
        ("silent", {}),
    ):
        wave.add_entry(name, StepEntry(None, ("s", "t")))
        wave.entries[name].router_reports.update(said)
    wave.start("started")

    assert wave.unreported_death() == ("absent", B)
    assert wave.unreported_death() == ("pruned", P)
    assert wave.unreported_death() is None


def test_a_wave_names_the_joins_that_wait() -> None:
    """A join waits from the first report of a parent until its decision."""
    wave = Wave(1)
    for name in ("waits", "untouched", "open"):
        wave.add_entry(name, StepEntry(JoinGate(("p", "q")), ()))
    wave.add_entry("no_join", StepEntry(None, ("s",)))
    for name, parents in (("waits", "p"), ("open", "pq")):
        gate = wave.entries[name].gate
        assert gate is not None
        for parent in parents:
            gate.report(parent, A)

    assert wave.waiting() == ["waits"]
