"""Restart decisions, by table and by property, without an event loop."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import pytest
from hypothesis import assume, given, strategies as st

from justpipe_actors._supervision.restart_policy import (
    ChildInfo,
    ChildPhase,
    GiveUp,
    NoRestart,
    Restart,
    RestartChildren,
    RestartPolicy,
    Restarts,
    Strategy,
    backoff,
    decide_restart,
    is_restarted,
    restarts_within,
)


RUNNING, PENDING, ENDED = ChildPhase.RUNNING, ChildPhase.PENDING, ChildPhase.ENDED


def family(*kinds: tuple[Restart, ChildPhase]) -> tuple[ChildInfo, ...]:
    """Return children a, b, c ... with these restart types and phases."""
    return tuple(ChildInfo("abcdefgh"[i], *kind) for i, kind in enumerate(kinds))


FOUR = tuple(ChildInfo(name, "permanent", RUNNING) for name in "abcd")


def verdict(
    strategy: Strategy, members: tuple[ChildInfo, ...] = FOUR
) -> RestartChildren:
    """Return the decision after a failure of b."""
    policy = RestartPolicy(strategy=strategy)
    found = decide_restart(policy, members, "b", normally=False, restarts=(), now=0.0)
    assert isinstance(found, RestartChildren)
    return found


@pytest.mark.parametrize(
    ("strategy", "stop", "start"),
    [
        ("one_for_one", "", "b"),
        ("rest_for_one", "dc", "bcd"),
        ("one_for_all", "dca", "abcd"),
    ],
)
def test_a_strategy_decides_which_siblings_are_restarted(
    strategy: Strategy, stop: str, start: str
) -> None:
    """Siblings stop in reverse order and start in order; the failed child keeps its place."""
    members = family(
        ("permanent", RUNNING),
        ("permanent", ENDED),
        ("permanent", RUNNING),
        ("permanent", RUNNING),
    )
    found = verdict(strategy, members)

    assert found == RestartChildren(tuple(stop), tuple(start), ((0.0, "b"),))


@pytest.mark.parametrize(
    ("restart", "after_failure", "after_return"),
    [
        ("permanent", True, True),
        ("transient", True, False),
        ("temporary", False, False),
    ],
)
def test_the_restart_type_decides_whether_a_child_is_restarted(
    restart: Restart, after_failure: bool, after_return: bool
) -> None:
    """Permanent always, transient after a failure, temporary never."""
    assert is_restarted(restart, normally=False) is after_failure
    assert is_restarted(restart, normally=True) is after_return


def test_siblings_keep_running_when_the_failed_child_is_not_restarted() -> None:
    """The failure of a temporary child stops no sibling, whatever the strategy."""
    members = family(("permanent", RUNNING), ("temporary", ENDED))
    for strategy in get_args(Strategy):
        policy = RestartPolicy(strategy=strategy, intensity=0)
        found = decide_restart(policy, members, "b", normally=False, restarts=(), now=0)
        assert found == NoRestart()


def test_a_temporary_sibling_is_stopped_and_not_restarted() -> None:
    """It is stopped with the other siblings and not started with them."""
    members = family(
        ("temporary", RUNNING), ("permanent", ENDED), ("transient", RUNNING)
    )
    found = verdict("one_for_all", members)

    assert (found.stop, found.start) == (("c", "a"), ("b", "c"))


def test_a_transient_sibling_that_returned_is_not_restarted() -> None:
    """Its work is done, so a restart of the others leaves it ended."""
    members = family(("transient", ENDED), ("permanent", ENDED))

    assert verdict("one_for_all", members).start == ("b",)


def test_a_sibling_that_waits_for_its_restart_is_started_with_the_others() -> None:
    """It need not be stopped, and its pending restart is not lost."""
    members = family(
        ("permanent", RUNNING), ("permanent", ENDED), ("permanent", PENDING)
    )
    found = verdict("rest_for_one", members)

    assert (found.stop, found.start) == ((), ("b", "c"))


def test_intensity_counts_restarts_within_the_period() -> None:
    """Three restarts within five seconds are allowed; a fourth in that time gives up."""
    past: Restarts = ((0.0, "b"), (1.0, "a"), (2.0, "b"))
    policy = RestartPolicy(intensity=3, period=5)

    def at(now: float) -> object:
        return decide_restart(policy, FOUR, "b", normally=False, restarts=past, now=now)

    assert at(5.0) == GiveUp(4)
    later = at(5.5)
    assert isinstance(later, RestartChildren)
    assert later.restarts == ((1.0, "a"), (2.0, "b"), (5.5, "b"))


def test_intensity_zero_allows_no_restart() -> None:
    """The first end of a permanent child gives up."""
    policy = RestartPolicy(intensity=0)
    found = decide_restart(policy, FOUR, "a", normally=True, restarts=(), now=0)

    assert found == GiveUp(1)


def test_a_return_and_a_failure_are_told_apart() -> None:
    """A transient child is not restarted after a return, and is restarted after a failure."""
    members = family(("transient", ENDED))
    policy = RestartPolicy()

    def after(*, normally: bool) -> object:
        return decide_restart(
            policy, members, "a", normally=normally, restarts=(), now=0
        )

    assert after(normally=True) == NoRestart()
    assert after(normally=False) == RestartChildren((), ("a",), ((0, "a"),))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"strategy": "all"},
            (
                "strategy must be one of ('one_for_one', 'rest_for_one', 'one_for_all'), "
                "not 'all'."
            ),
        ),
        (
            {"intensity": -1},
            (
                "intensity must be at least 0 and period more than 0 seconds, "
                "not -1 and 5; None restarts for ever."
            ),
        ),
        (
            {"period": 0},
            (
                "intensity must be at least 0 and period more than 0 seconds, "
                "not 3 and 0; None restarts for ever."
            ),
        ),
    ],
)
def test_a_policy_with_a_wrong_value_is_refused(
    options: dict[str, Any], text: str
) -> None:
    """The message names the values that are allowed and the one that was given."""
    with pytest.raises(ValueError, match=r"\.$") as refused:
        RestartPolicy(**options)

    assert str(refused.value) == text


def test_the_smallest_values_of_a_policy_are_allowed() -> None:
    """``intensity`` may be None or 0, and ``period`` any positive number."""
    for intensity in (None, 0):
        assert RestartPolicy(intensity=intensity, period=0.001).intensity is intensity


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({"intensity": None}, 30.0),
        ({"intensity": 4, "period": 5.0}, 1.0),
        ({"intensity": 4, "period": 500.0}, 30.0),
        ({"intensity": 49, "period": 5.0}, 0.1),
        ({"intensity": 99, "period": 5.0}, 30.0),
    ],
)
def test_the_delay_limit_is_an_equal_share_of_the_period(
    options: dict[str, Any], limit: float
) -> None:
    """Where that share is less than the first delay, it does not limit the delays."""
    assert RestartPolicy(**options).delay_limit == pytest.approx(limit)


def test_jitter_shortens_a_delay_by_up_to_half() -> None:
    """A jitter of 1 halves the delay, and 0.5 leaves three quarters."""
    waits = [backoff(2, jitter, min_delay=1, max_delay=9) for jitter in (0, 0.5, 1)]

    assert waits == [2, 1.5, 1]


@given(
    failures=st.integers(1, 10_000),
    jitter=st.floats(0, 1),
    min_delay=st.floats(0.001, 10),
    max_delay=st.floats(0.001, 100),
)
def test_a_delay_is_at_most_the_longest_and_at_least_half_of_the_shortest(
    failures: int, jitter: float, min_delay: float, max_delay: float
) -> None:
    """Jitter only shortens a delay, and by half at most."""
    wait = backoff(failures, jitter, min_delay=min_delay, max_delay=max_delay)

    assert min(min_delay, max_delay) / 2 <= wait <= max_delay


def test_delays_double() -> None:
    """Without jitter the delays are 0.1, 0.2, 0.4, 0.8 s, and then ``max_delay``."""
    waits = [backoff(n, 0, min_delay=0.1, max_delay=1) for n in range(1, 6)]

    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1])


@given(
    intensity=st.integers(0, 20),
    period=st.floats(0.01, 1000),
    draws=st.lists(st.floats(0, 1), min_size=21, max_size=21),
)
def test_a_crash_loop_always_exceeds_the_intensity(
    intensity: int, period: float, draws: list[float]
) -> None:
    """A child that always fails at its start gives up, however long the delays are."""
    policy = RestartPolicy(intensity=intensity, period=period)
    assume(period / (intensity + 1) >= policy.min_delay)
    now = 0.0
    restarts: Restarts = ()
    for failures, draw in zip(itertools.count(1), draws, strict=False):
        found = decide_restart(
            policy, FOUR, "b", normally=False, restarts=restarts, now=now
        )
        if isinstance(found, GiveUp):
            assert failures == intensity + 1
            return
        assert isinstance(found, RestartChildren)
        restarts = found.restarts
        now += backoff(
            failures,
            draw,
            min_delay=policy.min_delay,
            max_delay=policy.delay_limit,
        )
    pytest.fail("it went on for ever")


members_of_any_kind = st.lists(
    st.tuples(st.sampled_from(get_args(Restart)), st.sampled_from(ChildPhase)),
    min_size=1,
    max_size=8,
).map(lambda kinds: family(*kinds))


@given(
    members=members_of_any_kind,
    strategy=st.sampled_from(get_args(Strategy)),
    normally=st.booleans(),
    data=st.data(),
)
def test_every_decision_keeps_order_and_restart_types(
    members: tuple[ChildInfo, ...],
    strategy: Strategy,
    normally: bool,
    data: st.DataObject,
) -> None:
    """Only running children are stopped, in reverse; only children that may restart are
    started, in order.
    """
    ended = data.draw(st.sampled_from(members))
    found = decide_restart(
        RestartPolicy(strategy=strategy),
        members,
        ended.name,
        normally=normally,
        restarts=(),
        now=1.0,
    )
    if not isinstance(found, RestartChildren):
        assert found == NoRestart()
        assert not is_restarted(ended.restart, normally=normally)
        return
    by_name = {info.name: info for info in members}
    order = [info.name for info in members]
    assert ended.name in found.start
    assert ended.name not in found.stop
    assert all(by_name[name].phase is RUNNING for name in found.stop)
    assert list(found.stop) == sorted(found.stop, key=order.index, reverse=True)
    assert list(found.start) == sorted(found.start, key=order.index)
    for name in set(found.start) - {ended.name}:
        assert by_name[name].restart != "temporary"
        assert by_name[name].phase is not ENDED
    if strategy == "rest_for_one":
        assert all(order.index(n) > order.index(ended.name) for n in found.stop)


def test_restarts_before_the_period_are_dropped() -> None:
    """A restart exactly at the beginning of the period still counts."""
    past = ((0.0, "a"), (5.0, "b"))

    assert restarts_within(past, 5.0, 5.1) == ((5.0, "b"),)
    assert restarts_within(past, 5.0, 5.0) == past
