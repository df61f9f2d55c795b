"""Schedules as lists: drawn alike from one seed, and shortened to what matters."""

from __future__ import annotations

from itertools import islice

from hypothesis import given, strategies as st

from justpipe_actors.testing.schedules import DELAYS, Delay, schedules, shrink


@given(st.integers(), st.integers(1, 30))
def test_one_seed_draws_one_series_of_schedules(seed: int, length: int) -> None:
    """Schedules depend on the seed and the length of the run, and on nothing else."""
    first = list(islice(schedules(seed, length), 50))

    assert first == list(islice(schedules(seed, length), 50))
    assert all(len(choices) <= length for choices in first)
    assert all(0 <= choice < len(DELAYS) for choices in first for choice in choices)


@given(st.integers(), st.integers(1, 30))
def test_each_moment_is_once_the_unlucky_one(seed: int, length: int) -> None:
    """Within twice as many schedules as a run crosses seams, each was held long, alone."""
    seen = {tuple(choices) for choices in islice(schedules(seed, length), 2 * length)}

    assert {(*[0] * place, 5) for place in range(length)} <= seen


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=40),
    st.data(),
)
def test_shortening_ends_with_the_holds_that_matter(
    choices: list[int], data: st.DataObject
) -> None:
    """If one hold of a certain strength is what fails, only that one is left."""
    place = data.draw(st.integers(0, len(choices) - 1))
    needed = data.draw(st.integers(1, 5))
    choices[place] = max(needed, choices[place])

    def fails(fewer: list[int]) -> bool:
        return len(fewer) > place and fewer[place] >= needed

    best = shrink(choices, fails, budget=1000)

    assert best == [0] * place + [needed]


def test_two_holds_that_make_up_for_each_other_give_way_to_one() -> None:
    """Delta debugging alone would keep both: neither can go without the other."""

    def fails(choices: list[int]) -> bool:
        padded = [*choices, 0, 0, 0, 0]
        return padded[3] - padded[0] - padded[1] > 0 or padded[:4] == [5, 5, 0, 5]

    assert shrink([5, 5, 0, 5], fails, budget=100) == [0, 0, 0, 1]


def test_shortening_keeps_to_its_budget() -> None:
    """A slow pipeline is not run for ever."""
    tries = 0

    def fails(choices: list[int]) -> bool:
        nonlocal tries
        tries += 1
        return False

    shrink([1, 2, 3, 4, 5] * 10, fails, budget=7)

    assert tries == 7


def test_a_hold_says_how_long_it_is() -> None:
    """Traces name holds in words."""
    assert [str(hold) for hold in DELAYS[1:]] == [
        "1 turn",
        "3 turns",
        "0.001 s",
        "0.1 s",
        "1 s",
    ]
    assert DELAYS[0] == Delay()
