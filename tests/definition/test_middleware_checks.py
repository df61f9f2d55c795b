"""Wrong middleware is refused with its own name, before the first event of a run."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from justpipe_actors import DefinitionError, Pipe
from justpipe_actors.types import StepContext


AnyPipe = Pipe[Any, Any]
Func = Callable[..., Any]


async def asynchronous(func: Func, _context: StepContext) -> Func:
    """Return the function later."""
    return func


async def streaming(func: Func, _context: StepContext) -> AsyncIterator[Func]:
    """Yield the function later."""
    yield func


def generator(func: Func, _context: StepContext) -> Iterator[Func]:
    """Yield the function."""
    yield func


class Logging:
    """Not called with the function, as in web frameworks."""

    async def dispatch(self, request: Any, call_next: Func) -> Any: ...


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (asynchronous, "'asynchronous' (test_middleware_checks.py:"),
        (asynchronous, "is asynchronous, but it is called once for each step"),
        (streaming, "is asynchronous, but it is called once for each step"),
        (generator, "yields, but its call has to return a function"),
        (
            lambda func: func,
            "does not take two arguments, a function and a StepContext",
        ),
        (lambda a, b, c: a, "Middleware '<lambda>' (test_middleware_checks.py:"),
        (lambda a, b, *, c: a, "does not take two"),
        (Logging, "Middleware 'Logging' does not take two arguments"),
        (Logging(), "A middleware must be callable, not Logging."),
        ("retry", "A middleware must be callable, not str."),
    ],
)
def test_what_cannot_wrap_a_function_is_refused_when_it_is_added(
    wrong: Any, problem: str
) -> None:
    """A list for ``Pipe`` and ``add_middleware`` are checked alike."""
    with pytest.raises(DefinitionError) as of_list:
        AnyPipe(middleware=[wrong])
    with pytest.raises(DefinitionError) as of_method:
        AnyPipe().add_middleware(wrong)

    assert problem in str(of_list.value)
    assert str(of_method.value) == str(of_list.value)


def test_one_middleware_in_place_of_a_list_is_refused() -> None:
    """The message shows the list."""

    def timing(func: Func, _context: StepContext) -> Func:
        return func

    with pytest.raises(DefinitionError, match=r"write middleware=\[timing\]"):
        AnyPipe(middleware=timing)  # type: ignore[arg-type]


class Counting:
    """A class whose objects are called in place of the function."""

    def __init__(self, func: Func, _context: StepContext) -> None:
        self.func = func

    def __call__(self, state: Any) -> Any:
        return self.func(state=state)


def tagged(func: Func, _context: StepContext, tag: str = "") -> Func:
    """Have a further parameter, with a default."""
    return func


def replacing(_func: Func, _context: StepContext) -> Func:
    """Return a class, which is called in place of the function."""
    return dict


def with_state_only(func: Func, _context: StepContext) -> Func:
    """Wrap with the parameters of the function itself."""

    @functools.wraps(func)
    async def call(state: Any) -> Any:
        return func(state=state)

    return call


@pytest.mark.parametrize(
    "middleware",
    [
        Counting,
        tagged,
        functools.partial(tagged, tag="a"),
        lambda *both: both[0],
        with_state_only,
        replacing,
    ],
)
async def test_every_callable_that_takes_the_arguments_is_accepted(
    middleware: Any,
) -> None:
    """A class, a partial, and functions of other forms may be right."""
    pipe = AnyPipe(dict, middleware=[middleware])
    pipe.step("a")(lambda state: None)

    assert (await pipe.run({}).wait()).error is None


async def refusal(middleware: Any, func: Func) -> str:
    """Return the message with which a run of one step is refused."""
    pipe = AnyPipe(dict, middleware=[middleware])
    pipe.step("load")(func)
    with pytest.raises(DefinitionError) as caught:
        await pipe.run({}).wait()
    assert caught.value.step_name == "load"
    return str(caught.value)


async def load(state: Any) -> None:
    """Do nothing."""


async def test_a_middleware_that_calls_the_function_at_once_is_named() -> None:
    """It returns a coroutine then, which would be called in every invocation."""

    def eager(func: Func, context: StepContext) -> Any:
        return func(context)

    message = await refusal(eager, load)

    assert message.startswith("Middleware 'eager' (test_middleware_checks.py:")
    assert "returned a coroutine of 'load' for step 'load'" in message
    assert message.endswith("return that.")


@contextlib.contextmanager
def managing(_func: Func, _context: StepContext) -> Iterator[None]:
    """Take a middleware for a context manager."""
    yield


def without_parameters(func: Func, _context: StepContext) -> Func:
    """Forget the arguments."""

    async def call() -> Any:
        return await func()

    return call


def with_positional_parameters(func: Func, _context: StepContext) -> Func:
    """Take arguments by position only."""

    async def call(*arguments: Any) -> Any:
        return await func(*arguments)

    return call


def with_a_name_of_its_own(func: Func, _context: StepContext) -> Func:
    """Name the state otherwise than the function does."""

    @functools.wraps(func)
    async def call(page: Any) -> Any:
        return await func(page)

    return call


@pytest.mark.parametrize(
    "middleware",
    [managing, without_parameters, with_positional_parameters, with_a_name_of_its_own],
)
async def test_a_returned_function_with_other_parameters_is_named(
    middleware: Any,
) -> None:
    """The message says how it is called, also if it looks like the step's function."""
    message = await refusal(middleware, load)

    assert f"Middleware '{middleware.__name__}'" in message
    assert "for step 'load', which is called with state= and does not accept" in message
    assert "'func(**arguments)'" in message


async def test_a_function_without_parameters_is_described_as_such() -> None:
    """There is nothing to list then."""

    def needing(_func: Func, _context: StepContext) -> Func:
        return lambda state: None

    message = await refusal(needing, lambda: None)

    assert "which is called without arguments and does not accept that" in message


async def test_the_error_of_a_middleware_names_it_and_the_step() -> None:
    """The function that it called at once says only that an argument is missing."""

    def eager(func: Func, _context: StepContext) -> Any:
        return func()

    pipe = AnyPipe(dict, middleware=[eager])
    pipe.step(load)
    with pytest.raises(TypeError) as caught:
        await pipe.run({}).wait()

    (note,) = caught.value.__notes__
    assert note.startswith("Middleware 'eager' (test_middleware_checks.py:")
    assert note.endswith(
        "was wrapping the function of step 'load'. It returns what is called in place "
        "of the function, and does not call it."
    )
