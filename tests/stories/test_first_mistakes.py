"""Messages for wrong programs: the user's own thing, what is wrong, and the remedy."""

from __future__ import annotations

import gc
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, NewType, TypeVar

import pytest

from justpipe_actors import (
    DefinitionError,
    Pipe,
    Retry,
    Skip,
    Supervisor,
    Suspend,
    TestPipe,
)
from justpipe_actors.abc import Observer
from justpipe_actors.errors import (
    AsyncForNeeded,
    AsyncWithNeeded,
    IgnoredValueWarning,
    MapSourceError,
    NoRouteError,
    PipelineValidationWarning,
    ResultsRefused,
    UnknownAsk,
)


AnyPipe = Pipe[Any, Any]


@dataclass
class Sales:
    """A state."""

    rows: list[int]


def message_of(define: Callable[[], object]) -> str:
    """Return the message with which a definition is refused."""
    with pytest.raises(DefinitionError) as caught:
        define()
    return str(caught.value)


# -- definitions


@pytest.mark.parametrize("wrong", [Sales([]), {}, [1], 3])
def test_an_object_in_place_of_the_state_type_is_refused(wrong: Any) -> None:
    """This holds for a false object, too, such as an empty dict."""
    text = message_of(lambda: Pipe(wrong))

    assert type(wrong).__name__ in text
    assert "takes the type of the state" in text
    assert "Pass the object itself to run()" in text


def test_a_name_in_place_of_the_state_type_is_refused() -> None:
    """The remedy is the argument ``name=``."""
    wrong: Any = "shop"

    assert "A name is passed as name='shop'." in message_of(lambda: Pipe(wrong))


@pytest.mark.parametrize(
    "kind",
    [
        Sales,
        None,
        dict[str, Any],
        int | str,
        Any,
        TypeVar("TypeOfState"),
        NewType("Wrapped", int),
    ],
)
def test_anything_that_can_be_a_type_is_accepted(kind: Any) -> None:
    """Generics, unions, aliases and no type at all are accepted."""
    pipe: AnyPipe = Pipe(kind)

    pipe.step("a")(lambda state: None)
    pipe.validate()


def test_a_switch_without_routes_names_the_decorator() -> None:
    """The function is not known at this point."""
    pipe: AnyPipe = Pipe(dict)
    wrong: Any = ["a", "b"]

    text = message_of(lambda: pipe.switch(to=wrong))

    assert text.startswith("@pipe.switch needs to=, a dict")
    assert text.endswith("not list.")


def test_a_worker_with_two_parameters_gets_the_remedy() -> None:
    """Items are not unpacked, so one parameter gets the item."""
    pipe: AnyPipe = Pipe(dict)

    text = message_of(lambda: pipe.step("a")(lambda left, right: None))

    assert "unrecognized parameters: left, right" in text
    assert text.endswith("A map worker gets its item in one parameter, not in 2.")


def test_a_step_name_in_place_of_a_handler_gets_the_remedy() -> None:
    """A handler may return the name."""
    pipe: AnyPipe = Pipe(dict)
    wrong: Any = "repair"

    text = message_of(lambda: pipe.step("a", on_error=wrong)(lambda: None))

    assert text.startswith("a.on_error must be callable, not str.")
    assert "go to step 'repair'" in text


def test_a_misspelt_placement_gets_a_suggestion() -> None:
    """The nearest name is suggested."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a", placement="proces")(lambda: None)

    assert message_of(pipe.validate).endswith("Did you mean 'process'?")


def test_a_parameter_of_another_type_names_both_types() -> None:
    """The usual reason is a type that is nearly that of the state."""
    pipe: AnyPipe = Pipe(list[int])

    @pipe.step
    def total(numbers: list[str]) -> None: ...

    text = message_of(pipe.validate)

    assert "list[str] does not fit the state's type list[int]" in text


def test_a_decorated_method_has_a_message_of_its_own() -> None:
    """A pipe cannot supply ``self``."""
    pipe: AnyPipe = Pipe(dict)

    class Robot:
        @pipe.step
        def move(self, state: dict[str, Any]) -> None: ...

    assert "pass a bound method" in message_of(pipe.validate)


@pytest.mark.parametrize("kind", [classmethod, property])
def test_a_decorated_descriptor_is_refused_at_once(kind: Any) -> None:
    """It is no function, so nothing was registered."""
    pipe: AnyPipe = Pipe(dict)

    message = message_of(lambda: pipe.step(kind(lambda cls, state: None)))

    assert message == (
        f"A step must be callable, not {kind.__name__}. Define a function outside of the "
        "class."
    )


@pytest.mark.parametrize("wrong", [Pipe(dict), 5])
def test_an_object_in_place_of_a_function_is_refused_at_once(wrong: Any) -> None:
    """It would be the name of a step that is never defined."""
    message = message_of(lambda: Pipe[Any, Any](dict).step(wrong))

    assert message == f"A step's name must be a string, not {type(wrong).__name__}."


def test_a_path_in_place_of_a_renderer_gets_the_remedy() -> None:
    """A drawing is returned and not written."""
    with pytest.raises(TypeError, match="returns the text of the drawing") as caught:
        Pipe[Any, Any](dict).graph("graph.svg")  # type: ignore[arg-type]

    assert str(caught.value).endswith("Write the text to a file with Path.write_text.")


def test_a_positional_only_parameter_is_refused() -> None:
    """Values are passed by name, so such a step failed in every run."""
    pipe: AnyPipe = Pipe(dict)

    def load(state: Any, /) -> None: ...

    assert message_of(lambda: pipe.step(load)) == (
        "'load' has a positional-only parameter 'state', and every value is passed by "
        "name: write it without the '/'."
    )


def test_the_class_pipe_in_place_of_a_sub_pipeline_is_refused() -> None:
    """The message names the class."""
    pipe: AnyPipe = Pipe(dict)

    message = message_of(lambda: pipe.sub("inner", pipeline=Pipe))

    assert message == "@pipe.sub needs pipeline=, a Pipe and not the class Pipe."


def test_an_event_hook_with_two_parameters_is_refused() -> None:
    """It ended the run at the first event."""
    pipe: AnyPipe = Pipe(dict)

    def note(event: Any, run: Any) -> Any: ...

    message = message_of(lambda: pipe.add_event_hook(note))  # type: ignore[arg-type]

    assert message.startswith("Event hook 'note' (test_first_mistakes.py:")
    assert message.endswith("has to take one argument, an event, and return an event.")


def empty_state(state: Any = None) -> None:
    """Have a default where the state is meant."""


def empty_sales(sales: Sales = Sales([])) -> None:  # noqa: B008 - the mistake
    """Have a default for a parameter of the state's type."""


@pytest.mark.parametrize("func", [empty_state, empty_sales])
def test_a_default_for_the_state_is_a_warning_at_the_users_line(func: Any) -> None:
    """A parameter with a default is left alone, so such a step never sees the state."""
    with pytest.warns(PipelineValidationWarning) as caught:
        Pipe[Any, Any](Sales).step(func)

    (warning,) = caught
    assert "so it receives the default and not the state" in str(warning.message)
    assert warning.filename == __file__


def test_other_defaults_are_no_mistake() -> None:
    """A step that has its state, or wants none, may have parameters of its own."""
    pipe: AnyPipe = Pipe(Sales)

    @pipe.step("total")
    def total(state: Sales, other: Sales | None = None, limit: int = 3) -> None: ...

    @pipe.step("limit")
    def limited(limit: int = 3) -> None: ...

    assert list(pipe.registry.steps) == ["total", "limit"]


@pytest.mark.parametrize(
    ("option", "example"), [("stop", "stop_after_attempt"), ("wait", "wait_fixed")]
)
def test_a_number_in_place_of_a_strategy_of_tenacity_is_refused(
    option: str, example: str
) -> None:
    """At the first retry it would hide the step's own error."""
    pipe: AnyPipe = Pipe(dict)

    text = message_of(lambda: pipe.step("a", retries={option: 2})(lambda: None))

    assert f"Step 'a': retries['{option}'] must be a strategy" in text
    assert example in text


def test_an_option_that_tenacity_does_not_have_names_the_step() -> None:
    """The pipe is refused before anything runs."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a", retries={"attempts": 2})(lambda: None)

    with pytest.raises(TypeError, match=r"^Step 'a': tenacity does not take retries="):
        pipe.plan()


# -- runs


async def test_with_in_place_of_async_with_gets_the_remedy() -> None:
    """This holds for a run and for a supervisor; no warning about the run comes as well."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: None)
    run: Any = pipe.run({})
    supervisor: Any = Supervisor(pipe)

    with pytest.raises(AsyncWithNeeded, match=r"'async with pipe\.run"), run:
        pass
    with pytest.raises(AsyncWithNeeded, match=r"'async with Supervisor"), supervisor:
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del run
        gc.collect()


async def test_a_supervisor_refuses_what_is_no_pipe() -> None:
    """Examples are a list of pipes, and the arguments of submit in the wrong order."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: None)
    wrong: Any = [pipe]

    with pytest.raises(TypeError, match="takes pipes one by one"):
        Supervisor(wrong)
    async with Supervisor(pipe) as supervisor:
        state: Any = Sales([])
        with pytest.raises(TypeError, match=r"takes the pipe first.*Sales\(rows"):
            await supervisor.submit(state, pipe)


@pytest.mark.parametrize("items", [None, 3])
async def test_a_map_without_items_says_what_to_return(items: Any) -> None:
    """The usual reason is a forgotten ``return``."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("find", each="clean")(lambda state: items)
    pipe.step("clean")(lambda item: None)

    with pytest.raises(MapSourceError) as caught:
        await pipe.run({}).result()

    assert str(caught.value) == (
        f"Map 'find' returned {type(items).__name__}, which is not iterable. "
        "Return a list of the items, or yield them."
    )


async def test_results_without_a_state_for_them_name_map_and_field() -> None:
    """A run without a state cannot collect results."""
    pipe: AnyPipe = Pipe()
    pipe.map("find", each="clean", collect="rows")(lambda: [1])
    pipe.step("clean")(lambda item: item)

    with pytest.raises(ResultsRefused, match="'find' collects into 'rows'") as caught:
        await pipe.run(None).result()

    assert (caught.value.target, caught.value.state_type) == ("rows", "NoneType")


@pytest.mark.parametrize("signal", [Suspend, Skip, Retry])
async def test_the_class_of_a_signal_in_place_of_an_instance_is_named(
    signal: type,
) -> None:
    """``return Skip`` has no meaning, ``return Skip()`` has."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: signal)

    name = signal.__name__
    expected = rf"Step 'a' returned the class {name}.*return {name}\("
    with pytest.warns(IgnoredValueWarning, match=expected):
        await pipe.run({}).result()


async def test_an_ignored_result_of_a_handler_names_the_handler() -> None:
    """The step itself failed and returned nothing."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(on_error=lambda error: {"x": 1})
    def compute() -> float:
        return 1 / 0

    with pytest.warns(IgnoredValueWarning, match="error handler of step 'compute'"):
        await pipe.run({}).result()


async def test_a_returned_function_gets_the_remedy() -> None:
    """A step is returned by its name."""
    pipe: AnyPipe = Pipe(dict)

    def other() -> None: ...

    pipe.step("a")(lambda: other)

    with pytest.warns(IgnoredValueWarning, match="return the name 'other'"):
        await pipe.run({}).result()


@pytest.mark.parametrize("wrong", ["3", timedelta(seconds=3)])
async def test_a_timeout_that_is_no_number_is_refused_before_the_run(
    wrong: Any,
) -> None:
    """The message has the value and the allowed ones."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: None)

    with pytest.raises(TypeError, match="must be a number of seconds or None, not"):
        pipe.run({}, timeout=wrong)
    async with Supervisor(pipe) as supervisor:
        with pytest.raises(TypeError, match="must be a number of seconds or None, not"):
            await supervisor.submit(pipe, {}, timeout=wrong)


async def test_no_ask_is_open_before_the_first_step() -> None:
    """Right after the run is entered it has asked nothing."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: None)

    async with pipe.run({}) as run:
        assert run.asks() == []
        with pytest.raises(UnknownAsk):
            run.answer("publish", value=True)
        await run.wait()


def test_an_unknown_loop_is_refused_with_the_known_ones() -> None:
    """The message of anyio names only the unknown one."""
    pipe: AnyPipe = Pipe(dict)

    with pytest.raises(LookupError, match="'asyncio' or 'trio', not 'curio'"):
        pipe.run_sync({}, backend="curio")


@pytest.mark.parametrize("wrong", ["3", 2.5, True])
def test_a_limit_of_runs_that_is_no_count_is_refused(wrong: Any) -> None:
    """The error comes when the supervisor is made."""
    with pytest.raises(TypeError, match="max_runs must be a count or None"):
        Supervisor(max_runs=wrong)


def test_a_sub_pipeline_given_by_name_is_refused() -> None:
    """The error comes at registration, not in a run."""
    pipe: AnyPipe = Pipe(dict)
    wrong: Any = "child"

    text = message_of(lambda: pipe.sub(pipeline=wrong))

    assert text == (
        "@pipe.sub needs pipeline=, the Pipe itself and not its name 'child'."
    )


def test_a_harness_of_something_else_is_refused() -> None:
    """The error comes before a step is mocked."""
    wrong: Any = "shop"

    with pytest.raises(
        TypeError, match="takes the Pipe to test, not an object of type str"
    ):
        TestPipe(wrong)


async def test_for_in_place_of_async_for_gets_the_remedy() -> None:
    """No warning about a run that never began comes as well."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: None)
    run: Any = pipe.run({})

    with pytest.raises(AsyncForNeeded, match=r"'async for event in pipe\.run\(\.\.\."):
        list(run)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del run
        gc.collect()


class Colour(Enum):
    """Routes of a switch."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "routes", "hint"),
    [
        (None, {"a": "a"}, "A function without 'return' returns None."),
        (True, {"True": "a"}, "The route 'True' is str, and the value is bool."),
        ("1", {1: "a"}, "The route 1 is int, and the value is str."),
        (Colour.RED, {"red": "a"}, "The route 'red' is the member's value: return"),
        (["a"], {"a": "a"}, "['a'] matches no route"),
        ("aa", {"a": "a"}, "Did you mean 'a'?"),
    ],
)
async def test_a_value_that_matches_no_route_gets_the_likely_reason(
    value: Any, routes: Any, hint: str
) -> None:
    """The message has the value, the routes and what the author may have meant."""
    pipe: AnyPipe = Pipe(dict)
    pipe.switch("choose", to=routes)(lambda: value)
    pipe.step("a")(lambda: None)

    with pytest.raises(NoRouteError) as caught:
        await pipe.run({}).result()

    assert "Switch 'choose': " in str(caught.value)
    assert hint in str(caught.value)


class Incomparable:
    """An object like an array, which refuses to be compared as a whole."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _other: object) -> bool:
        msg = "ambiguous"
        raise ValueError(msg)


class Shape(Enum):
    """An enum of such objects."""

    ROUND = Incomparable()


async def test_a_value_that_cannot_be_compared_matches_no_route() -> None:
    """The search for a hint does not replace the error."""
    pipe: AnyPipe = Pipe(dict)
    pipe.switch("choose", to={"a": "a"})(lambda: Shape.ROUND)
    pipe.step("a")(lambda: None)

    with pytest.raises(NoRouteError, match="matches no route"):
        await pipe.run({}).result()


class ProtectedState:
    """A proxy without an object, which answers no question about itself."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        msg = "no object is bound"
        raise LookupError(msg)


class ProtectedError(AttributeError):
    """An exception with notes of its own."""

    __notes__: Any = None


@pytest.mark.parametrize("error", [AttributeError("x"), ProtectedError("x")])
async def test_odd_objects_of_the_user_get_no_hint(error: Exception) -> None:
    """The step fails with its own error, whatever the search for a hint meets."""

    def fail() -> None:
        raise error

    pipe: AnyPipe = Pipe(Sales)
    pipe.step("a")(fail)

    end = await pipe.run(ProtectedState()).wait()

    assert end.exceptions == (error,)


async def test_returned_names_of_several_steps_get_the_remedy() -> None:
    """One name is a route, several are not."""
    pipe: AnyPipe = Pipe(dict, allow_multi_root=True)
    pipe.step("b")(lambda: None)
    pipe.step("c")(lambda: None)
    pipe.step("a")(lambda: ["b", "c"])

    with pytest.warns(IgnoredValueWarning, match="start several steps with to="):
        await pipe.run({}, start="a").result()


async def test_a_map_without_items_shows_no_line_of_the_library() -> None:
    """The message says all there is to say."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("find", each="clean")(lambda: None)
    pipe.step("clean")(lambda item: None)

    with pytest.raises(MapSourceError) as caught:
        await pipe.run({}).result()

    assert caught.value.__cause__ is None


async def test_a_timeout_that_had_no_effect_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A function that does not wait cannot be interrupted; its step has not failed."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("each", each="compute")(lambda: [1, 2])

    @pipe.step(timeout=0.01)
    def compute(item: int) -> None:
        time.sleep(0.02)

    with caplog.at_level(logging.WARNING):
        await pipe.run({}).result()

    texts = [record.getMessage() for record in caplog.records]
    (text,) = [text for text in texts if "timeout of" in text]
    assert text.startswith("Step 'compute' (test_first_mistakes.py:")
    assert "its timeout of 10ms had no effect" in text
    assert text.endswith("Make it async, or run it with placement='thread'.")


# -- observers


class Watcher(Observer):
    """An observer that fails at each event."""

    async def on_event(self, *args: Any) -> None:
        raise LookupError("no such thing")


def test_the_class_of_an_observer_is_refused() -> None:
    """Its hooks would lack an argument at each event."""
    pipe: AnyPipe = Pipe(dict)
    wrong: Any = Watcher

    with pytest.raises(TypeError, match=r"not the class Watcher: pass Watcher\(\)"):
        pipe.add_observer(wrong)


def test_an_observer_whose_hook_takes_other_arguments_is_refused() -> None:
    """The message names those of the hook, and those that it takes."""

    class Deaf(Observer):
        async def on_event(self, event: Any) -> None:  # type: ignore[override]
            """Take the event alone."""

    pipe: AnyPipe = Pipe(dict)
    wrong: Any = Deaf()

    with pytest.raises(TypeError) as caught:
        pipe.add_observer(wrong)

    assert str(caught.value) == (
        "Deaf.on_event must take state, context, meta, event, and takes event."
    )


async def test_the_first_error_of_an_observer_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The others are lines without one: it fails at each event."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: None)
    pipe.add_observer(Watcher())

    await pipe.run({}).wait()

    first, *others = [r for r in caplog.records if "Watcher.on_event" in r.message]
    assert first.exc_info is not None
    assert first.exc_info[2] is not None
    assert first.exc_info[2].tb_frame.f_code.co_name == "on_event"
    assert others
    assert not any(record.exc_info for record in others)
