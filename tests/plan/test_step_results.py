"""The meaning of each value that a step may return."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from justpipe_actors import Ask, Raise, Retry, Skip, Stop, Suspend
from justpipe_actors._plan import step_results as answers
from justpipe_actors._plan.step_results import interpret_collected, interpret_result
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
def test_the_meaning_of_each_result(value: Any, answer: answers.StepResult) -> None:
    """Every row of the table is tested; only instances of Retry and Skip are signals."""
    assert interpret_result(value, "s") == answer


def test_a_next_without_a_target_goes_on() -> None:
    """The static successors follow."""
    value = _Next(None)

    assert interpret_result(value, "s") == answers.Proceed(ignored=value)


@pytest.mark.parametrize(
    ("raised", "kind", "text"),
    [
        (None, RuntimeError, "Step 's' returned Raise() without an exception."),
        (KeyError, KeyError, ""),
        ("x", TypeError, "Step 's' returned Raise() with str, not an exception."),
        (int, TypeError, "Step 's' returned Raise() with type, not an exception."),
    ],
)
def test_raise_always_fails_the_step(
    raised: Any, kind: type[Exception], text: str
) -> None:
    """A class is raised as an instance, and any other object is an error that names it."""
    failed = interpret_result(Raise(raised), "s")

    assert isinstance(failed, answers.FailStep)
    assert type(failed.error) is kind
    assert str(failed.error) == text


def test_raise_has_the_exception_that_fails_the_step() -> None:
    """Raise(e) fails with e itself, and the failure belongs to the step that returned it."""
    failed = interpret_result(Raise(ERROR), "s")

    assert isinstance(failed, answers.FailStep)
    assert failed.error is ERROR
    assert failed.step is None


@pytest.mark.parametrize("raised", [KeyboardInterrupt, KeyboardInterrupt()])
def test_raise_with_a_base_exception_raises_it(raised: Any) -> None:
    """It is raised at once, as if the step had raised it."""
    with pytest.raises(KeyboardInterrupt):
        interpret_result(Raise(raised), "s")


def test_a_collected_worker_may_return_any_value() -> None:
    """Text and None are results there; signals keep their meaning."""
    for value in (None, "x", 0, [1]):
        kept = interpret_collected(value, "s")
        assert isinstance(kept, answers.CollectValue)
        assert kept.value is value
        assert kept.stored is None
    assert interpret_collected(Skip(), "s") == answers.SkipSuccessors()
    assert interpret_collected(_Next("x"), "s") == answers.StartNamedStep("x")
    failed = interpret_collected(Raise("x"), "s")  # type: ignore[arg-type]
    assert isinstance(failed, answers.FailStep)
    assert "'s'" in str(failed.error)


def test_an_ask_has_resolved_targets() -> None:
    """Targets become names, and the time becomes seconds."""
    ask = Ask(
        int,
        "How many?",
        to=target,
        timeout=timedelta(minutes=1),
        on_timeout="late",
        key="n",
    )
    asking = interpret_result(ask, "s")

    assert isinstance(asking, answers.AskBetween)
    assert asking.form is not None
    assert asking.form.hint is int
    assert (asking.note, asking.to, asking.seconds) == ("How many?", "target", 60.0)
    assert (asking.on_timeout, asking.key) == ("late", "n")


def test_an_ask_without_options_stays_open_and_goes_on() -> None:
    """Without ``to=`` the static successors follow; without a timeout it waits for ever."""
    asking = interpret_result(Ask(int), "s")

    assert isinstance(asking, answers.AskBetween)
    assert (asking.to, asking.seconds, asking.on_timeout) == (None, None, None)


def test_an_ask_without_a_form_needs_a_timeout() -> None:
    """Without either, nothing could end the wait."""
    waiting = interpret_result(Ask(None, timeout=2.5), "s")
    assert isinstance(waiting, answers.AskBetween)
    assert (waiting.form, waiting.seconds) == (None, 2.5)

    refused = interpret_result(Ask(None), "s")
    assert isinstance(refused, answers.FailStep)
    assert str(refused.error) == "Ask(None, ...) waits for a moment: give it timeout=."


@pytest.mark.parametrize("ask", [Ask(int, to=5), Ask(int, on_timeout=5), Ask(object())])
def test_an_invalid_ask_fails_its_step(ask: Ask) -> None:
    """Examples are a target that names no step and a form that is no type."""
    failed = interpret_result(ask, "s")

    assert isinstance(failed, answers.FailStep)
    assert isinstance(failed.error, (TypeError, ValueError))


def test_maps_and_children_keep_their_arguments() -> None:
    """_Map and _Run have the values that they were given."""
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
    for value in (_Next(5), _Map([1], 5)):
        failed = interpret_result(value, "s")
        assert isinstance(failed, answers.FailStep)
        assert isinstance(failed.error, ValueError)
