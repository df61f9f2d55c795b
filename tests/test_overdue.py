from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from . import overdue


@settings(max_examples=1)
@given(number=st.just(3))
def test_the_example_that_is_running_is_named(number: int) -> None:
    """A property that is overdue is named with the values that it is stuck with."""
    assert overdue.words("test_it") == "Overdue: test_it\nIts example: number=3"


@settings(max_examples=1)
@given(number=st.just(4))
async def test_the_example_of_a_coroutine_is_named(number: int) -> None:
    """The same of one that an event loop runs."""
    assert overdue.words("test_it").endswith("Its example: number=4")


def test_without_examples_only_the_test_is_named() -> None:
    """What an earlier test was tried with is forgotten."""
    assert overdue.words("test_it") == "Overdue: test_it"


def test_it_is_said_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """pytest-timeout prints what was written there, with the stacks."""
    overdue.watch("test_slow", overdue.MOMENT)
    overdue._timers["test_slow"].join()
    overdue.unwatch("test_slow")

    assert capsys.readouterr().err == "Overdue: test_slow\n"
