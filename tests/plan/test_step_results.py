"""What every value means that a step may return."""

from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors import Raise, Retry, Skip, Stop, Suspend
from justpipe_actors._plan import step_results as answers
from justpipe_actors._plan.step_results import interpret_result
from justpipe_actors.types import _Map, _Next, _Run


ERROR = ValueError("mine")


def target() -> None:
    """Stand for a step."""


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (None, answers.PROCEED),
        ("x", answers.StartNamedStep("x")),
        ("", answers.StartNamedStep("")),
        (_Next("x"), answers.StartNamedStep("x")),
        (_Next(target), answers.StartNamedStep("target")),
        (Stop, answers.StopRun()),
        (Stop(), answers.StopRun()),
        (Suspend("why"), answers.SuspendRun("why")),
        (Skip(), answers.SkipSuccessors()),
        (Retry(), answers.RetryStep()),
        (0, answers.Proceed(ignored=0)),
        (False, answers.Proceed(ignored=False)),
        (Retry, answers.Proceed(ignored=Retry)),
        (Skip, answers.Proceed(ignored=Skip)),
    ],
)
def test_the_language_of_results(value: Any, answer: answers.StepResult) -> None:
    """Every row of the table; only instances of Retry and Skip count."""
    assert interpret_result(value, "s") == answer


def test_raise_carries_its_exception() -> None:
    """Raise(e) fails with e itself, Raise() with an error that names the step."""
    mine, worded = interpret_result(Raise(ERROR), "s"), interpret_result(Raise(), "s")

    assert isinstance(mine, answers.FailStep)
    assert mine.error is ERROR
    assert isinstance(worded, answers.FailStep)
    assert "'s'" in str(worded.error)


def test_maps_and_children() -> None:
    """_Map and _Run carry what they were given."""
    fan, child = (
        interpret_result(_Map([1], target), "s"),
        interpret_result(_Run("pipe", 1), "s"),
    )

    assert isinstance(fan, answers.StartMap)
    assert (fan.items, fan.target) == ([1], "target")
    assert isinstance(child, answers.StartChildRun)
    assert (child.pipe, child.state) == ("pipe", 1)


def test_a_target_that_names_nothing_fails() -> None:
    """A target that is neither a name nor callable is a failure of the step."""
    assert isinstance(interpret_result(_Next(5), "s"), answers.FailStep)
