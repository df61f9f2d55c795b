"""Checks of middleware: its signature, and the function that it returns for a step.

A middleware is called once for each step when a pipe is compiled, and returns what is
called in place of the step's function.  A wrong one is refused then, because in a run the
error of Python would name neither the middleware nor its mistake.

Not refused is a returned function that does not call the step's: it may have a reason,
such as a cached result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from typing import Any, cast

from .._util.callables import (
    accepts,
    definition_of,
    is_async_generator_function,
    is_coroutine_function,
    is_generator_function,
)
from .._util.user_objects import call_or
from ..abc import Middleware
from ..errors import DefinitionError
from ..specs import StepContext, resolve_name


_FORM = (
    "Write a plain function of (func, context), and return from it the function that is "
    "called instead: 'async def call(**arguments)'."
)


def check_middleware(middleware: object) -> None:
    """Refuse what cannot be called with a function and a ``StepContext``.

    Raises:
        DefinitionError: it is not callable, is asynchronous, yields, or takes other
            arguments.
    """
    if not callable(middleware):
        msg = f"A middleware must be callable, not {type(middleware).__name__}."
        raise DefinitionError(msg)
    if is_coroutine_function(middleware) or is_async_generator_function(middleware):
        problem = "is asynchronous, but it is called once for each step, without await"
    elif is_generator_function(middleware):
        problem = "yields, but its call has to return a function"
    elif not accepts(middleware, 2):
        problem = "does not take two arguments, a function and a StepContext"
    else:
        return
    msg = f"{_named(middleware)} {problem}. {_FORM}"
    raise DefinitionError(msg)


def checked_middleware(middleware: object) -> list[Middleware]:
    """Return the middleware of a pipe as a list.

    Raises:
        DefinitionError: it is no collection, or one of it is no middleware.
    """
    if not isinstance(middleware, Iterable):
        name = getattr(middleware, "__name__", type(middleware).__name__)
        msg = f"Pipe(middleware=...) takes a list: write middleware=[{name}]."
        raise DefinitionError(msg)
    layers = list(middleware)
    for layer in layers:
        check_middleware(layer)
    return layers


def wrap(
    middleware: Middleware,
    func: Callable[..., Any],
    context: StepContext,
    parameters: Collection[str],
) -> Callable[..., Any]:
    """Return what a middleware makes of a step's function.

    Args:
        middleware: one that was checked; if it returns None, the function is unchanged.
        func: the function, or what the middleware inside of this one has returned.
        context: the facts about the step.
        parameters: the keyword arguments with which the result is called.

    Raises:
        DefinitionError: it returned something that cannot be called with them.
    """
    try:
        wrapped: Any = middleware(func, context)
    except Exception as error:
        call_or(None, error.add_note, _note(middleware, context.name, error))
        raise
    if wrapped is None or wrapped is func:
        return func
    if not callable(wrapped):
        problem = _not_callable(wrapped, context.name)
    elif not accepts(wrapped, 0, parameters):
        problem = _other_arguments(wrapped, context.name, parameters)
    else:
        return cast("Callable[..., Any]", wrapped)
    msg = f"{_named(middleware)} returned {problem}"
    raise DefinitionError(msg, step_name=context.name)


def _named(middleware: object) -> str:
    return f"Middleware '{resolve_name(middleware)}'{definition_of(middleware)}"


def _note(middleware: object, step: str, error: Exception) -> str:
    """Return the note of an exception that a middleware has raised."""
    text = f"{_named(middleware)} was wrapping the function of step '{step}'."
    if isinstance(error, TypeError):
        text += (
            " It returns what is called in place of the function, and does not call it."
        )
    return text


def _not_callable(wrapped: Any, step: str) -> str:
    kind = type(wrapped).__name__
    if inspect.iscoroutine(wrapped):
        wrapped.close()  # it would warn that it was never awaited
        kind = f"a coroutine of '{wrapped.__name__}'"
    return (
        f"{kind} for step '{step}', and has to return a function. Write "
        "'async def call(**arguments)' in it, which calls the step's function, and "
        "return that."
    )


def _other_arguments(
    wrapped: Callable[..., Any], step: str, parameters: Collection[str]
) -> str:
    name = getattr(wrapped, "__name__", type(wrapped).__name__)
    names = ", ".join(f"{one}=" for one in parameters)
    passed = f"with {names}" if names else "without arguments"
    return (
        f"'{name}'{definition_of(wrapped)} for step '{step}', which is called {passed} "
        "and does not accept that. Write '(**arguments)' as its parameters, "
        "and pass them on: 'func(**arguments)'."
    )
