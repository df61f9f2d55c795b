"""The function of a service: what it may be, and which parameter gets the status.

A service takes nothing, or its status: by a parameter ``task_status``, as functions for
``nursery.start`` have one, else by its only required parameter.  What cannot be called
that way is refused when the service is added, and not when it is started.  Whether a
plain function returns an awaitable is known only when it is called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .._util.text import safe_repr
from ..errors import DefinitionError


POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def check_service_function(name: str, func: object) -> None:
    """Refuse what cannot be called as a service.

    Raises:
        DefinitionError: it is no function, a generator, or has other required
            parameters than the status.
    """
    if inspect.iscoroutine(func):
        func.close()  # else Python warns as well that it was never awaited
        called = func.__name__
        msg = f"was called; pass the function itself, '{called}' without parentheses."
    elif not callable(func):
        msg = f"must be an async function, and {safe_repr(func)} is not one."
    elif inspect.isasyncgenfunction(func) or inspect.isgeneratorfunction(func):
        msg = "is a generator; a service is an async function without 'yield'."
    else:
        others = _other_parameters(func)
        if not others:
            return
        msg = (
            f"has parameters that nothing supplies: {', '.join(others)}. A service gets "
            "its task_status only; pass the rest with functools.partial."
        )
    text = f"Service '{name}' {msg}"
    raise DefinitionError(text)


def status_parameter(func: Callable[..., Any]) -> inspect.Parameter | None:
    """Return the parameter that gets the status, or None if there is none."""
    parameters = inspect.signature(func).parameters
    named = parameters.get("task_status")
    if named is not None and named.kind is not named.POSITIONAL_ONLY:
        return named
    return next((p for p in _required(func) if p.kind in POSITIONAL), None)


def _required(func: Callable[..., Any]) -> list[inspect.Parameter]:
    return [
        parameter
        for parameter in inspect.signature(func).parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in VARIADIC
    ]


def _other_parameters(func: Callable[..., Any]) -> list[str]:
    """Return the names of the required parameters beside the one for the status."""
    try:
        status = status_parameter(func)
        required = _required(func)
    except (TypeError, ValueError):  # no signature; its start shows problems
        return []
    return [p.name for p in required if status is None or p.name != status.name]
