"""What every value means that a step may return."""

from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors import Raise, Retry, Skip, Stop, Suspend
from justpipe_actors._plan import step_results as answers
from justpipe_actors._plan.step_results import interpret
from justpipe_actors.types import _Map, _Next, _Run


ERROR = ValueError("mine")


def target() -> None:
    """Stand for a step."""


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (None, answers.PROCEED),
        ("x", answers.GoTo("x")),
        ("", answers.GoTo("")),
        (_Next("x"), answers.GoTo("x")),
        (_Next(target), answers.GoTo("target")),
        (Stop, answers.Halt()),
        (Stop(), answers.Halt()),
        (Suspend("why"), answers.Pause("why")),
        (Skip(), answers.Cut()),
        (Retry(), answers.Again()),
        (0, answers.Proceed(ignored=0)),
        (False, answers.Proceed(ignored=False)),
        (Retry, answers.Proceed(ignored=Retry)),
        (Skip, answers.Proceed(ignored=Skip)),
    ],
)
def test_the_language_of_results(value: Any, answer: answers.Answer) -> None:
    """Every row of the table; only instances of Retry and Skip count."""
    assert interpret(value, "s") == answer


def test_raise_carries_its_exception() -> None:
    """Raise(e) fails with e itself, Raise() with an error that names the step."""
    mine, worded = interpret(Raise(ERROR), "s"), interpret(Raise(), "s")

    assert isinstance(mine, answers.Fail)
    assert mine.error is ERROR
    assert isinstance(worded, answers.Fail)
    assert "'s'" in str(worded.error)


def test_maps_and_children() -> None:
    """_Map and _Run carry what they were given."""
    fan, child = interpret(_Map([1], target), "s"), interpret(_Run("pipe", 1), "s")

    assert isinstance(fan, answers.FanOut)
    assert (fan.items, fan.target) == ([1], "target")
    assert isinstance(child, answers.Descend)
    assert (child.pipe, child.state) == ("pipe", 1)


def test_a_target_that_names_nothing_fails() -> None:
    """A target that is neither a name nor callable is a failure of the step."""
    assert isinstance(interpret(_Next(5), "s"), answers.Fail)
