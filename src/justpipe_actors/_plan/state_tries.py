"""A fresh copy of an isolated state for each call of a function by its middleware."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any


current_start_try: ContextVar[Callable[[object], object]] = ContextVar(
    "justpipe_actors_start_try"
)
"""Returns the state for one more call of the same function, from the state of the first.

It is set in invocations that count their tries.
"""


def with_state_per_try(func: Callable[..., Any], state: str) -> Callable[..., Any]:
    """Return a function that has a fresh copy of the state whenever it is called again.

    Args:
        func: the function; middleware may call it several times.
        state: the parameter that receives the state.
    """
    if inspect.isasyncgenfunction(func) or inspect.isgeneratorfunction(func):
        return func  # its tokens are published; it is not called again
    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def call_async(**arguments: Any) -> Any:
            _refresh(arguments, state)
            return await func(**arguments)

        return call_async

    @functools.wraps(func)
    def call(**arguments: Any) -> Any:
        _refresh(arguments, state)
        return func(**arguments)

    return call


def _refresh(arguments: dict[str, Any], state: str) -> None:
    start_try = current_start_try.get(None)
    if start_try is not None and state in arguments:
        arguments[state] = start_try(arguments[state])
