"""Options of a step: known to type checkers, checked at registration and validation.

The comments ``type: ignore`` are part of the tests: mypy reports one that it does not
need, so each says that a type checker refuses the line.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from justpipe_actors import DefinitionError, Pipe
from justpipe_actors.errors import PipelineValidationWarning
from justpipe_actors.middleware import reads
from justpipe_actors.specs import StepContext
from justpipe_actors.types import StepOptions


AnyPipe = Pipe[Any, Any]


def work() -> None:
    """Stand for a step."""


def test_checkers_refuse_a_value_of_another_type() -> None:
    """``timeout="3"`` is an error for the type checker, and at registration."""
    pipe = AnyPipe()

    with pytest.raises(
        DefinitionError, match="'a': timeout must be a number of seconds"
    ):
        pipe.step("a", timeout="3")(work)  # type: ignore[call-overload]
    with pytest.raises(DefinitionError, match="timeout"):
        pipe.map("m", each="a", timeout="3")(work)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="retries"):
        pipe.switch("s", to={1: "a"}, retries="2")(work)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="retry_reraise"):
        pipe.sub("u", AnyPipe(), retry_reraise=1)(work)  # type: ignore[arg-type]
    assert list(pipe.steps()) == []


def test_checkers_refuse_an_unknown_option() -> None:
    """``retry=3`` is an error for the type checker, and at validation."""
    pipe = AnyPipe()
    pipe.step("a", retry=3)(work)  # type: ignore[call-overload]

    with pytest.raises(DefinitionError, match="Did you mean 'retries'") as caught:
        pipe.validate()
    assert caught.value.step_name == "a"


def test_checkers_know_the_options_of_every_decorator() -> None:
    """The options are one typed dictionary, so they can be kept and passed on."""
    options: StepOptions = {"timeout": 3, "retries": 2, "concurrency": None}
    pipe = AnyPipe()
    pipe.step("a", **options)(work)
    pipe.map("m", each="a", **options)(work)
    pipe.switch("s", to={1: "a"}, **options)(work)
    pipe.sub("u", pipeline=AnyPipe(), **options)(work)

    assert [(info.timeout, info.retries) for info in pipe.steps()] == [(3, 2)] * 4


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", "3"),
        ("timeout", True),
        ("timeout", -1),
        ("timeout", float("nan")),
        ("timeout", timedelta(seconds=3)),
        ("barrier_timeout", "3"),
        ("barrier_type", "any"),
        ("retries", "3"),
        ("retries", -1),
        ("retries", 1.5),
        ("retry_wait_min", "1"),
        ("retry_wait_max", -1),
        ("retry_reraise", "no"),
        ("options", ["tag"]),
        ("options", {1: "tag"}),
        ("options", {"timeout": 3}),
    ],
)
def test_an_impossible_value_is_refused_at_once(option: str, value: object) -> None:
    """The error names the step and the option, and nothing is registered."""
    pipe = AnyPipe()
    given: Any = {option: value}

    with pytest.raises(DefinitionError, match=f"Step 'a': {option}") as caught:
        pipe.step("a", **given)(work)
    assert caught.value.step_name == "a"
    assert list(pipe.steps()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", None),
        ("timeout", 0),
        ("timeout", 1.5),
        ("barrier_timeout", None),
        ("retries", 0),
        ("retries", {"stop": None}),
        ("retry_wait_min", 0),
        ("retry_wait_max", timedelta(seconds=1)),
        ("retry_reraise", False),
        ("options", {}),
    ],
)
def test_possible_values_are_accepted(option: str, value: object) -> None:
    """None means no limit, and times may be a ``timedelta``."""
    pipe = AnyPipe()
    given: Any = {option: value}
    pipe.step("a", **given)(work)

    pipe.validate()


def test_options_of_middleware_can_be_given_as_a_dict() -> None:
    """A type checker accepts ``options=``; middleware sees them beside those given directly."""
    seen: list[dict[str, Any]] = []

    @reads("tag", "colour")
    def tagging(func: Callable[..., Any], ctx: StepContext) -> None:
        seen.append(ctx.kwargs)

    pipe = AnyPipe(middleware=[tagging])
    pipe.step("a", options={"tag": "slow"}, colour="red")(work)  # type: ignore[call-overload]
    pipe.validate()
    pipe.plan()

    assert seen == [{"tag": "slow", "colour": "red"}]


def test_an_option_in_the_dict_that_nothing_reads_is_an_error() -> None:
    """The dictionary is checked as the keyword arguments are."""
    pipe = AnyPipe()
    pipe.step("a", options={"tag": "slow"})(work)

    with pytest.raises(DefinitionError, match="'tag' that nothing reads"):
        pipe.validate()


def test_middleware_without_a_list_of_options_may_read_any() -> None:
    """An option that looks misspelt is then only a warning."""
    pipe = AnyPipe(middleware=[lambda func, ctx: func])
    pipe.step("a", options={"tag": "slow"})(work)
    pipe.validate()

    pipe = AnyPipe(middleware=[lambda func, ctx: func])
    pipe.step("b", retry=3)(work)  # type: ignore[call-overload]
    with pytest.warns(PipelineValidationWarning, match="Did you mean 'retries'"):
        pipe.validate()


@pytest.mark.parametrize(("retries", "calls"), [(True, 2), (False, 1), (0, 1), (1, 2)])
async def test_true_is_one_retry(retries: Any, calls: int) -> None:
    """``retries=True`` calls the function once more, as in justpipe."""
    made: list[int] = []
    pipe: Pipe[Any, Any] = Pipe(dict, log_state=False)

    @pipe.step(retries=retries, retry_wait_min=0, retry_wait_max=0)
    def work() -> None:
        made.append(1)
        raise ValueError

    await pipe.run({}).wait()

    assert len(made) == calls
