from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from . import overdue


@settings(max_examples=1)
@given(number=st.just(3))
def test_the_running_example_is_named(number: int) -> None:
    """An overdue property is named with its current values."""
    assert overdue.words("test_it") == "Overdue: test_it\nIts example: number=3"


@settings(max_examples=1)
@given(number=st.just(4))
async def test_the_example_of_a_coroutine_is_named(number: int) -> None:
    """This holds for an example that runs in an event loop."""
    assert overdue.words("test_it").endswith("Its example: number=4")


def test_without_examples_only_the_test_is_named() -> None:
    """The examples of an earlier test are forgotten."""
    assert overdue.words("test_it") == "Overdue: test_it"


def test_the_report_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """pytest-timeout prints it with the stacks."""
    overdue.watch("test_slow", overdue.MOMENT)
    overdue._timers["test_slow"].join()
    overdue.unwatch("test_slow")

    assert capsys.readouterr().err == "Overdue: test_slow\n"
