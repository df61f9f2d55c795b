"""Calls into users' objects that must not fail a run.

Comparing, copying, pickling or printing a user's object runs the user's code, and a
type hint may be any expression.  Where the library does so for its own purposes, an
exception must not fail the run: ``call_or`` returns a default instead.  Exceptions that
end a task, such as a cancellation, are not caught.

Functions of steps and hooks are called elsewhere: their exceptions are failures.
"""

from __future__ import annotations

import logging
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar


D = TypeVar("D")
P = ParamSpec("P")
T = TypeVar("T")

_logger = logging.getLogger("justpipe_actors")


def call_or(
    default: D, func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T | D:
    """Return the result of a function, or the default if it raises."""
    try:
        return func(*args, **kwargs)
    except Exception:  # noqa: BLE001 - a user's object may do anything
        return default


def type_hints_of(kind: type) -> dict[str, Any] | None:
    """Return the annotations of a class; None if one of them cannot be resolved."""
    return call_or(None, typing.get_type_hints, kind)


def annotations_of(kind: type) -> Iterator[tuple[type, str, Any]]:
    """Yield class, name and unresolved annotation, of base classes first.

    It is for classes of which ``type_hints_of`` cannot resolve every annotation.
    """
    for base in reversed(kind.__mro__):
        for name, hint in vars(base).get("__annotations__", {}).items():
            yield base, name, hint


def resolve_hint(
    hint: object,
    globals_: dict[str, Any],
    locals_: dict[str, Any] | None = None,
    *,
    include_extras: bool = False,
) -> Any:
    """Resolve one annotation, also inside ``Optional["S"]``.

    Raises:
        Exception: it names what does not exist, or is an expression that raises.
    """
    holder = types.SimpleNamespace(__annotations__={"it": hint})
    hints = typing.get_type_hints(
        holder, globals_, locals_, include_extras=include_extras
    )
    return hints["it"]


def module_names(kind: type) -> dict[str, Any]:
    """Return the global names of the module in which a class is defined."""
    return dict(vars(sys.modules.get(kind.__module__, typing)))


def warn_or_log(text: str, warn: Callable[..., object], *args: object) -> None:
    """Warn by a call; log the text where the user turns warnings into errors."""
    try:
        warn(*args)
    except Exception:  # noqa: BLE001 - the filter of the warning may raise anything
        _logger.warning("%s", text)
