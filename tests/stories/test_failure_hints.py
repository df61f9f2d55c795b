"""What a beginner reads when a run fails: the log and a note name the mistake."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

import anyio
import attrs
import pytest

import trio
from justpipe_actors import Pipe, Skip
from justpipe_actors.errors import DefinitionError


AnyPipe = Pipe[Any, Any]


@dataclass
class Page:
    """The state of most tests here."""

    words: int = 0


class Clients:
    """A context."""

    url = "x"


async def notes_of(pipe: AnyPipe, state: Any, context: Any = None) -> list[str]:
    """Run a pipe that fails, and return the notes of its error."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its notes are checked
        await pipe.run(state, context).result()
    return getattr(caught.value, "__notes__", [])


def page_pipe() -> AnyPipe:
    """Return a pipe with a step that uses a field of the state."""
    pipe: AnyPipe = Pipe(Page, name="pages")

    @pipe.step
    def count(page: Page) -> None:
        page.words += 1

    return pipe


# -- the state


async def test_a_failure_with_a_state_of_another_type_names_both() -> None:
    """A run accepts any object, so the mistake shows in a step."""
    notes = await notes_of(page_pipe(), {"words": 1})

    expected = (
        "The state of this run is an object of dict, and the pipe 'pages' declares "
        "Page: pass an object of Page to run()."
    )
    assert notes == [expected]


async def test_a_failure_without_a_state_says_so() -> None:
    """None is a state like any other."""
    (note,) = await notes_of(page_pipe(), None)

    assert note.startswith("The state of this run is None, and the pipe 'pages'")


async def test_a_sub_pipeline_whose_function_returns_nothing_gets_the_remedy() -> None:
    """The child has no state then; its failure is also that of the step around it."""
    pipe: AnyPipe = Pipe(dict)
    pipe.sub("inner", pipeline=page_pipe())(lambda state: None)

    (note,) = await notes_of(pipe, {})

    assert note.endswith("return an object of Page from the function of @pipe.sub.")


class _HasName(Protocol):
    name: str


class _Row(TypedDict):
    name: str


@pytest.mark.parametrize("declared", [_HasName, _Row, Any, None, dict[str, int] | None])
async def test_a_type_that_says_nothing_of_an_objects_class_gives_no_hint(
    declared: Any,
) -> None:
    """No hint is better than a wrong one."""
    pipe: AnyPipe = Pipe(declared)
    pipe.step("a")(lambda state: state["missing"])

    assert await notes_of(pipe, {}) == []


async def test_a_state_that_may_be_none_gives_no_hint() -> None:
    """The pipe's author has thought of it."""
    declared: Any = Page | None
    pipe: AnyPipe = Pipe(declared)
    pipe.step("a")(lambda state: state.words)

    assert await notes_of(pipe, None) == []


async def test_an_error_of_another_kind_gets_no_hint() -> None:
    """An object of another type does not raise it."""
    pipe: AnyPipe = Pipe(Page)
    pipe.step("a")(lambda state: 1 / 0)

    assert await notes_of(pipe, {}) == []


async def test_the_class_in_place_of_the_state_is_refused() -> None:
    """Steps would change the attributes of the class, for all runs."""
    wrong: Any = Page

    with pytest.raises(TypeError, match=r"an object of Page as its state.*Page\(\)"):
        page_pipe().run(wrong)


# -- the context


async def test_a_failure_without_the_declared_context_says_so() -> None:
    """``'NoneType' object has no attribute 'url'`` does not name the context."""
    pipe: AnyPipe = Pipe(dict, Clients)

    @pipe.step
    def fetch(clients: Clients) -> str:
        return clients.url

    hint = "This run has no context; pass one to run(state, context)."
    assert await notes_of(pipe, {}) == [hint]


async def test_a_hook_that_fills_a_context_that_is_none_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log of the failed hook has the hint, too."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: None)

    @pipe.on_startup
    def connect(context: Any) -> None:
        context.db = 1

    hint = "This run has no context; pass one to run(state, context)."
    assert await notes_of(pipe, {}) == [hint]
    assert hint in caplog.text


# -- the loop


async def test_functions_of_the_other_loop_are_explained() -> None:
    """``no running event loop`` does not say that the run is on trio."""
    pipe: AnyPipe = Pipe(dict)
    on_trio = _is_on_trio()

    @pipe.step
    async def wait() -> None:
        if on_trio:
            await asyncio.sleep(0.01)
        else:
            await trio.sleep(0.01)

    loop, foreign = ("trio", "asyncio") if on_trio else ("asyncio", "trio")
    hint = (
        f"This run is on {loop}, where functions of {foreign} do not work; use those of "
        f"anyio, or run it on {foreign}."
    )
    assert await notes_of(pipe, {}) == [hint]


def _is_on_trio() -> bool:
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


# -- hooks


@pytest.mark.parametrize("kind", ["startup", "shutdown"])
async def test_a_hook_that_fails_is_logged(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A program that only waits for the run would not notice it."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(lambda: None)

    async def connect() -> None:
        raise ConnectionError("the database\nis down")

    getattr(pipe, f"on_{kind}")(connect)

    with caplog.at_level(logging.ERROR):
        async with pipe.run({}) as run:
            await run.wait()

    (record,) = caplog.records
    assert record.getMessage() == (
        f"{kind.capitalize()} hook 'connect' failed with ConnectionError: "
        r"the database\nis down"
    )
    assert (record.name, record.levelname) == ("justpipe_actors.steps", "ERROR")
    assert record.exc_info is not None
    assert vars(record)["run"] == run.run_id


# -- parameters


def test_a_parameter_that_nothing_supplies_gets_the_ways_to_supply_it() -> None:
    """Beginners expect to get what the step before has returned."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("fetch", to="clean")(lambda state: {"rows": []})
    pipe.step("clean")(lambda rows: None)

    with pytest.raises(DefinitionError) as caught:
        pipe.validate()

    assert str(caught.value) == (
        "Step 'clean' has a parameter 'rows' that nothing supplies: only map workers "
        "get an item. For the state, which carries values from step to step, name it "
        "state or annotate it with dict; for anything else, define a resource of its "
        "name above, or give it a default."
    )


# -- middleware


def awaiting(func: Any, _context: Any) -> Any:
    """Wrap functions, and take all of them for coroutine functions."""

    async def call(**arguments: Any) -> Any:
        return await func(**arguments)

    return call


async def stream(state: Any) -> AsyncIterator[int]:
    """Yield one item."""
    yield 1


@pytest.mark.parametrize("func", [lambda state: None, stream])
async def test_a_middleware_that_awaits_every_function_gets_the_remedy(
    func: Any,
) -> None:
    """Python's error names a type, and neither the middleware nor the step."""
    pipe: AnyPipe = Pipe(dict, middleware=[awaiting])
    pipe.step("load")(func)

    (note,) = await notes_of(pipe, {})

    assert note.startswith(
        "A middleware awaits what the function of step 'load' returns"
    )
    assert "inspect.isawaitable(result)" in note


async def test_a_step_that_awaits_a_wrong_object_gets_no_note_on_middleware() -> None:
    """The mistake is in the step, and the line that Python shows is the right one."""
    pipe: AnyPipe = Pipe(dict, middleware=[awaiting])

    @pipe.step
    async def load(state: Any) -> None:
        await state["count"]

    assert await notes_of(pipe, {"count": 1}) == []


# -- parameters, frozen objects and event loops


async def test_a_decorator_that_hides_the_parameters_gets_the_remedy() -> None:
    """Nothing is passed to a function of ``*args, **kwargs`` alone."""

    def timed(func: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            return func(*args, **named)

        return call

    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    @timed
    def load(state: Any) -> None: ...

    (note,) = await notes_of(pipe, {})

    assert note.startswith("'call' (test_failure_hints.py:")
    assert note.endswith("if a decorator made it, use functools.wraps there.")


@dataclass(frozen=True)
class Fixed:
    """A state that cannot be changed."""

    words: int = 0


@attrs.frozen
class AttrsFixed:
    """A state that cannot be changed."""

    words: int = 0


@pytest.mark.parametrize("state", [Fixed(), AttrsFixed()])
async def test_a_change_of_a_frozen_state_gets_the_remedy(state: Any) -> None:
    """The error of dataclasses says only that a field cannot be assigned."""
    pipe: AnyPipe = Pipe(type(state))

    @pipe.step
    def count(state: Any) -> None:
        state.words = 1

    (note,) = await notes_of(pipe, state)

    assert note.startswith("Steps change the state in place, and what is frozen cannot")


async def test_an_event_loop_inside_of_a_step_gets_the_remedy() -> None:
    """A step may be called in an event loop only."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    def load(state: Any) -> None:
        anyio.run(anyio.sleep, 0)

    (note,) = await notes_of(pipe, {})

    assert note.endswith("make the function async, and await what it runs.")


@pytest.mark.parametrize(
    "text", ["<Lock> is bound to a different event loop", "Event loop is closed"]
)
async def test_an_object_of_another_event_loop_gets_the_remedy(text: str) -> None:
    """Clients and locks of asyncio belong to the loop in which they were used first."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    def load(state: Any) -> None:
        raise RuntimeError(text)

    (note,) = await notes_of(pipe, {})

    assert "Make it in a @pipe.resource" in note


async def test_a_signal_that_is_raised_gets_the_remedy() -> None:
    """Python says only that it is no exception."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    def load(state: Any) -> None:
        raise Skip()  # type: ignore[misc]  # noqa: RSE102 - no class is meant

    assert await notes_of(pipe, {}) == [
        "Stop, Skip, Retry and Suspend are returned and not raised: 'return Skip()'."
    ]
