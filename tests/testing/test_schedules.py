"""Schedules as lists of delays: drawn from a seed, and shortened to the needed ones."""

from __future__ import annotations

from itertools import islice

from hypothesis import given, strategies as st

from justpipe_actors.testing.schedules import DELAYS, Delay, schedules, shrink


@given(st.integers(), st.integers(1, 30))
def test_one_seed_draws_one_series_of_schedules(seed: int, length: int) -> None:
    """Schedules depend on the seed and the length of the run only."""
    first = list(islice(schedules(seed, length), 50))

    assert first == list(islice(schedules(seed, length), 50))
    assert all(len(choices) <= length for choices in first)
    assert all(0 <= choice < len(DELAYS) for choices in first for choice in choices)


@given(st.integers(), st.integers(1, 30))
def test_each_failpoint_is_delayed_alone_once(seed: int, length: int) -> None:
    """This happens within twice as many schedules as a run has failpoints."""
    seen = {tuple(choices) for choices in islice(schedules(seed, length), 2 * length)}

    assert {(*[0] * place, 5) for place in range(length)} <= seen


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=40),
    st.data(),
)
def test_shortening_keeps_the_delays_that_matter(
    choices: list[int], data: st.DataObject
) -> None:
    """If one delay of a certain length causes the failure, only that one is left."""
    place = data.draw(st.integers(0, len(choices) - 1))
    needed = data.draw(st.integers(1, 5))
    choices[place] = max(needed, choices[place])

    def fails(fewer: list[int]) -> bool:
        return len(fewer) > place and fewer[place] >= needed

    best = shrink(choices, fails, budget=1000)

    assert best == [0] * place + [needed]


def test_two_delays_that_replace_each_other_become_one() -> None:
    """Delta debugging alone would keep both, because neither can be removed alone."""

    def fails(choices: list[int]) -> bool:
        padded = [*choices, 0, 0, 0, 0]
        return padded[3] - padded[0] - padded[1] > 0 or padded[:4] == [5, 5, 0, 5]

    assert shrink([5, 5, 0, 5], fails, budget=100) == [0, 0, 0, 1]


def test_shortening_has_a_budget() -> None:
    """A slow pipeline is not run for ever."""
    tries = 0

    def fails(choices: list[int]) -> bool:
        nonlocal tries
        tries += 1
        return False

    shrink([1, 2, 3, 4, 5] * 10, fails, budget=7)

    assert tries == 7


def test_a_delay_has_a_text() -> None:
    """Traces name delays in words."""
    assert [str(hold) for hold in DELAYS[1:]] == [
        "1 turn",
        "3 turns",
        "0.001 s",
        "0.1 s",
        "1 s",
    ]
    assert DELAYS[0] == Delay()
