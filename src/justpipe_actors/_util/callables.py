"""Users' callables: functions, methods, partials and callable objects.

``unwrap_function`` finds the function with the source, for analyses and warnings.  The
predicates look at every layer, because ``inspect`` looks neither through a partial nor
into a callable object.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from os.path import basename
from types import MethodType
from typing import Any


def unwrap_function(func: object) -> Any:
    """Return the function inside partials, decorators, methods and callable objects."""
    while isinstance(func, functools.partial):
        func = getattr(func, "__wrapped__", func.func)
    if not (inspect.isroutine(func) or inspect.isclass(func)):
        func = _call_method(type(func), func)
    func = inspect.unwrap(func) if callable(func) else func
    return func.__func__ if isinstance(func, MethodType) else func


def definition_of(func: object) -> str:
    """Return the file and line of a function, in parentheses; empty if unknown."""
    code = getattr(unwrap_function(func), "__code__", None)
    return (
        "" if code is None else f" ({basename(code.co_filename)}:{code.co_firstlineno})"
    )


def is_coroutine_function(func: object) -> bool:
    """Tell whether a call returns a coroutine."""
    return _has_layer(func, inspect.iscoroutinefunction)


def is_generator_function(func: object) -> bool:
    """Tell whether a call returns a plain generator."""
    return _has_layer(func, inspect.isgeneratorfunction)


def is_async_generator_function(func: object) -> bool:
    """Tell whether a call returns an async generator."""
    return _has_layer(func, inspect.isasyncgenfunction)


def is_streaming_function(func: object) -> bool:
    """Tell whether a call returns a generator of either kind."""
    return is_generator_function(func) or is_async_generator_function(func)


def accepts(
    func: Callable[..., Any], positional: int, named: Collection[str] = ()
) -> bool:
    """Tell whether a callable takes these arguments; True if its signature is unknown."""
    code = getattr(func, "__code__", None)
    if not positional and code is not None and _takes_any(code):
        return True  # most are of this form, and reading a signature takes longer
    try:
        # That of a decorated function is not the one that is called.
        signature = inspect.signature(func, follow_wrapped=False)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*([None] * positional), **dict.fromkeys(named))
    except TypeError:
        return False
    return True


def _takes_any(code: Any) -> bool:
    return bool(
        code.co_flags & inspect.CO_VARKEYWORDS
        and not code.co_argcount
        and not code.co_kwonlyargcount
    )


def _has_layer(func: object, is_such: Callable[[object], bool]) -> bool:
    inner: object = getattr(func, "func", func)
    return any(is_such(layer) for layer in (func, inner, _call_method(inner, None)))


def _call_method(owner: object, default: object) -> object:
    """Return the ``__call__`` of an object, which is what ``inspect`` can look at."""
    return getattr(owner, "__call__", default)  # noqa: B004 - the method is wanted
