"""The decision after a child's end, by table and by property, without a loop."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest
from hypothesis import given, strategies as st

from justpipe_actors._supervision.restart_policy import (
    GiveUp,
    Leave,
    Member,
    Policy,
    Restart,
    Restarts,
    Revive,
    Standing,
    Strategy,
    backoff,
    comes_back,
    decide,
    recent,
)


UP, DUE, GONE = Standing.UP, Standing.DUE, Standing.GONE


def family(*kinds: tuple[Restart, Standing]) -> tuple[Member, ...]:
    """Return children a, b, c ... of these kinds."""
    return tuple(Member("abcdefgh"[i], *kind) for i, kind in enumerate(kinds))


FOUR = tuple(Member(name, "permanent", UP) for name in "abcd")


def verdict(strategy: Strategy, members: tuple[Member, ...] = FOUR) -> Revive:
    """Return what follows from a failure of b."""
    policy = Policy(strategy=strategy)
    found = decide(policy, members, "b", normally=False, restarts=(), now=0.0)
    assert isinstance(found, Revive)
    return found


@pytest.mark.parametrize(
    ("strategy", "stop", "start"),
    [
        ("one_for_one", "", "b"),
        ("rest_for_one", "dc", "bcd"),
        ("one_for_all", "dca", "abcd"),
    ],
)
def test_a_strategy_says_who_goes_along(
    strategy: Strategy, stop: str, start: str
) -> None:
    """Neighbours are stopped backwards and started forwards, the failed one in its place."""
    members = family(
        ("permanent", UP), ("permanent", GONE), ("permanent", UP), ("permanent", UP)
    )
    found = verdict(strategy, members)

    assert found == Revive(tuple(stop), tuple(start), ((0.0, "b"),))


@pytest.mark.parametrize(
    ("restart", "after_failure", "after_return"),
    [
        ("permanent", True, True),
        ("transient", True, False),
        ("temporary", False, False),
    ],
)
def test_the_restart_type_says_who_comes_back(
    restart: Restart, after_failure: bool, after_return: bool
) -> None:
    """Permanent always, transient after a failure, temporary never."""
    assert comes_back(restart, normally=False) is after_failure
    assert comes_back(restart, normally=True) is after_return


def test_nothing_happens_to_the_others_when_a_child_stays_away() -> None:
    """A temporary child's failure stops nobody, whatever the strategy."""
    members = family(("permanent", UP), ("temporary", GONE))
    for strategy in get_args(Strategy):
        policy = Policy(strategy=strategy, intensity=0)
        found = decide(policy, members, "b", normally=False, restarts=(), now=0)
        assert found == Leave()


def test_a_temporary_neighbour_is_taken_down_and_stays_down() -> None:
    """It is stopped with the others and not started with them."""
    members = family(("temporary", UP), ("permanent", GONE), ("transient", UP))
    found = verdict("one_for_all", members)

    assert (found.stop, found.start) == (("c", "a"), ("b", "c"))


def test_finished_work_is_not_done_again() -> None:
    """A transient neighbour that has returned stays finished."""
    members = family(("transient", GONE), ("permanent", GONE))

    assert verdict("one_for_all", members).start == ("b",)


def test_a_neighbour_that_was_to_come_back_comes_back_with_the_others() -> None:
    """Who waits for its own restart need not be stopped, and is not forgotten."""
    members = family(("permanent", UP), ("permanent", GONE), ("permanent", DUE))
    found = verdict("rest_for_one", members)

    assert (found.stop, found.start) == ((), ("b", "c"))


def test_intensity_counts_within_the_period() -> None:
    """Three within five seconds are allowed; the fourth is one too many, unless later."""
    past: Restarts = ((0.0, "b"), (1.0, "a"), (2.0, "b"))
    policy = Policy(intensity=3, period=5)

    def at(now: float) -> object:
        return decide(policy, FOUR, "b", normally=False, restarts=past, now=now)

    assert at(5.0) == GiveUp(4)
    later = at(5.5)
    assert isinstance(later, Revive)
    assert later.restarts == ((1.0, "a"), (2.0, "b"), (5.5, "b"))


def test_intensity_zero_allows_no_restart() -> None:
    """The first end of a permanent child is one too many."""
    policy = Policy(intensity=0)
    found = decide(policy, FOUR, "a", normally=True, restarts=(), now=0)

    assert found == GiveUp(1)


@given(
    streak=st.integers(1, 10_000),
    draw=st.floats(0, 1),
    shortest=st.floats(0.001, 10),
    longest=st.floats(0.001, 100),
)
def test_a_wait_is_at_most_the_longest_and_at_least_half_of_the_shortest(
    streak: int, draw: float, shortest: float, longest: float
) -> None:
    """Chance only shortens a wait, and by half at most."""
    wait = backoff(streak, draw, shortest=shortest, longest=longest)

    assert min(shortest, longest) / 2 <= wait <= longest


def test_waits_double() -> None:
    """Without luck the waits are 0.1, 0.2, 0.4, 0.8 and then the longest."""
    waits = [backoff(n, 0, shortest=0.1, longest=1) for n in range(1, 6)]

    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1])


@given(
    intensity=st.integers(0, 20),
    period=st.floats(0.01, 1000),
    draws=st.lists(st.floats(0, 1), min_size=21, max_size=21),
)
def test_a_crash_loop_always_exceeds_the_intensity(
    intensity: int, period: float, draws: list[float]
) -> None:
    """However long the waits, a child that fails as soon as it is up cannot go on for ever."""
    policy = Policy(intensity=intensity, period=period)
    now = 0.0
    restarts: Restarts = ()
    for streak, draw in zip(itertools.count(1), draws, strict=False):
        found = decide(policy, FOUR, "b", normally=False, restarts=restarts, now=now)
        if isinstance(found, GiveUp):
            assert streak == intensity + 1
            return
        assert isinstance(found, Revive)
        restarts = found.restarts
        now += backoff(streak, draw, shortest=policy.shortest, longest=policy.cap)
    pytest.fail("it went on for ever")


members_of_any_kind = st.lists(
    st.tuples(st.sampled_from(get_args(Restart)), st.sampled_from(Standing)),
    min_size=1,
    max_size=8,
).map(lambda kinds: family(*kinds))


@given(
    members=members_of_any_kind,
    strategy=st.sampled_from(get_args(Strategy)),
    normally=st.booleans(),
    data=st.data(),
)
def test_what_every_verdict_keeps(
    members: tuple[Member, ...],
    strategy: Strategy,
    normally: bool,
    data: st.DataObject,
) -> None:
    """Only who is up is stopped, only backwards; who is started comes back by its type."""
    ended = data.draw(st.sampled_from(members))
    found = decide(
        Policy(strategy=strategy),
        members,
        ended.name,
        normally=normally,
        restarts=(),
        now=1.0,
    )
    if not isinstance(found, Revive):
        assert found == Leave()
        assert not comes_back(ended.restart, normally=normally)
        return
    by_name = {member.name: member for member in members}
    order = [member.name for member in members]
    assert ended.name in found.start
    assert ended.name not in found.stop
    assert all(by_name[name].standing is UP for name in found.stop)
    assert list(found.stop) == sorted(found.stop, key=order.index, reverse=True)
    assert list(found.start) == sorted(found.start, key=order.index)
    for name in set(found.start) - {ended.name}:
        assert by_name[name].restart != "temporary"
        assert by_name[name].standing is not GONE
    if strategy == "rest_for_one":
        assert all(order.index(n) > order.index(ended.name) for n in found.stop)


def test_old_restarts_are_forgotten() -> None:
    """What lies further back than the period no longer counts."""
    assert recent(((0.0, "a"), (5.0, "b")), 5.0, 5.1) == ((5.0, "b"),)
