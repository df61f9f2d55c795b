"""Hints that are added, as notes, to the errors that beginners meet most often.

Some mistakes can be seen only when a function has failed: a state of another type or a
frozen one; a context that was not passed; a function of asyncio in a run on trio, or an
object of another event loop; a middleware that awaits what a plain function returns; a
decorator that hides the parameters.  The error of Python names none of them, so a note
of the exception does.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from typing import Any

import sniffio

from .._definition.injection import union_members, without_annotation
from .._util.callables import definition_of, unwrap_function
from .._util.text import safe_str
from .._util.user_objects import call_or
from .run_state import RunState


_BY_WRONG_OBJECT = (AttributeError, KeyError, TypeError)
"""What a function raises that works with an object of another type."""

_NO_ASYNCIO = ("no running event loop", "There is no current event loop")
"""How functions of asyncio refuse to work outside of it."""

_NO_TRIO = ("must be called from async context",)
"""How functions of trio refuse to work outside of it."""


_NO_EXCEPTION = "exceptions must derive from BaseException"
"""How ``raise`` refuses what is no exception."""

_LOOP_RUNS = (
    "asyncio.run() cannot be called from a running event loop",
    "This event loop is already running",
    "Already running ",
    "Attempted to call run() from inside a run()",
)
"""How a second event loop is refused in a thread: by asyncio, anyio and trio."""

_OTHER_LOOP = (
    "bound to a different event loop",
    "attached to a different loop",
    "Event loop is closed",
)
"""How asyncio refuses an object that was used in another event loop."""

_NO_AWAITABLE = ("can't be used in 'await' expression", "can't be awaited")
"""How ``await`` refuses a value; the second one since Python 3.14."""


def add_hints(error: Exception, func: object, run_state: RunState) -> None:
    """Add notes to an exception that a user's function has raised.

    The exception, the state and their classes are the user's: one that raises an error
    of its own when it is looked at gets no hint.
    """
    call_or(None, _add_hints, error, func, run_state)


def _add_hints(error: Exception, func: object, run_state: RunState) -> None:
    known = getattr(error, "__notes__", ())
    for hint in find_hints(error, func, run_state):
        if hint not in known:
            error.add_note(hint)


def find_hints(error: Exception, func: object, run_state: RunState) -> Iterator[str]:
    """Yield what may be behind an exception that a user's function has raised."""
    if isinstance(error, _BY_WRONG_OBJECT):
        yield from _state_hint(run_state)
        yield from _context_hint(error, func, run_state)
        yield from _middleware_hint(error, func, run_state)
    if isinstance(error, TypeError) and safe_str(error).startswith(_NO_EXCEPTION):
        yield "Stop, Skip, Retry and Suspend are returned and not raised: 'return Skip()'."
    if isinstance(error, TypeError | LookupError):
        yield from _parameter_hint(func, run_state)
    if _is_of_frozen_object(error):
        yield (
            "Steps change the state in place, and what is frozen cannot be changed: "
            "remove the option frozen, or assign a changed copy to a field of the state."
        )
    if isinstance(error, RuntimeError):
        yield from _loop_hint(safe_str(error))


def _state_hint(run_state: RunState) -> Iterator[str]:
    declared = run_state.plan.state_type
    if _is_object_of(run_state.state, declared):
        return
    is_child = run_state.publisher.sink.parent is not None
    name = _name_of(declared)
    yield (
        f"The state of this run is {_kind_of(run_state.state)}, and the pipe "
        f"'{run_state.plan.name}' declares {name}: "
        f"{'return' if is_child else 'pass'} an object of {name} "
        f"{'from the function of @pipe.sub' if is_child else 'to run()'}."
    )


def _context_hint(error: Exception, func: object, run_state: RunState) -> Iterator[str]:
    if run_state.context is not None or "NoneType" not in safe_str(error):
        return
    declared = run_state.plan.context_type
    is_declared = not _is_object_of(None, declared)
    code = getattr(unwrap_function(func), "__code__", None)
    if is_declared or (code is not None and "context" in code.co_varnames):
        yield "This run has no context; pass one to run(state, context)."


def _middleware_hint(
    error: Exception, func: object, run_state: RunState
) -> Iterator[str]:
    if not safe_str(error).endswith(_NO_AWAITABLE):
        return
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None or last.tb_frame.f_code is not getattr(func, "__code__", None):
        return
    if (step := _wrapped_step(func, run_state)) is not None:
        yield (
            f"A middleware awaits what the function of step '{step}' returns, and that is "
            "no awaitable: the function is not async, or it yields. Write 'return await "
            "result if inspect.isawaitable(result) else result', and call a function that "
            "yields without await."
        )


def _parameter_hint(func: object, run_state: RunState) -> Iterator[str]:
    code = getattr(unwrap_function(func), "__code__", None)
    if code is None or code.co_argcount or code.co_kwonlyargcount:
        return
    is_variadic = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    if is_variadic and _wrapped_step(func, run_state) is None:
        yield (
            f"'{code.co_name}'{definition_of(func)} names no parameter, so nothing is "
            "passed to it. Name what it needs; if a decorator made it, use "
            "functools.wraps there."
        )


def _wrapped_step(func: object, run_state: RunState) -> str | None:
    """Return the step that a middleware has wrapped in a function."""
    nodes = run_state.plan.nodes.values()
    return next((n.name for n in nodes if n.is_wrapped and n.func is func), None)


def _is_of_frozen_object(error: Exception) -> bool:
    """Tell whether a frozen object of dataclasses, attrs or pydantic was assigned to."""
    name = type(error).__name__
    return name in {"FrozenInstanceError", "FrozenAttributeError"} or (
        name == "ValidationError" and "Instance is frozen" in safe_str(error)
    )


def _loop_hint(text: str) -> Iterator[str]:
    loop = sniffio.current_async_library()
    foreign, refusals = (
        ("asyncio", _NO_ASYNCIO) if loop == "trio" else ("trio", _NO_TRIO)
    )
    if text.startswith(_LOOP_RUNS):
        yield (
            "Steps run in an event loop, which cannot run another one: make the function "
            "async, and await what it runs."
        )
    if any(refusal in text for refusal in _OTHER_LOOP):
        yield (
            "An object that is used here belongs to another event loop, in which it was "
            "used before. Make it in a @pipe.resource, which is opened in the run's loop."
        )
    if text.startswith(refusals):
        yield (
            f"This run is on {loop}, where functions of {foreign} do not work; use those "
            f"of anyio, or run it on {foreign}."
        )


def _is_object_of(value: object, declared: object) -> bool:
    """Tell whether a value may be an object of a declared type; True if unknown."""
    declared = without_annotation(declared)
    members = union_members(declared)
    if value is None and type(None) in typing.get_args(declared):
        return True
    return any(_is_instance(value, member) for member in members)


def _is_instance(value: object, declared: object) -> bool:
    kind: Any = typing.get_origin(declared) or declared
    if kind is Any or not isinstance(kind, type) or typing.is_typeddict(kind):
        return True
    try:
        return isinstance(value, kind)
    except Exception:  # noqa: BLE001 - a metaclass may do anything
        return True


def _kind_of(value: object) -> str:
    return "None" if value is None else f"an object of {_name_of(type(value))}"


def _name_of(kind: object) -> str:
    return getattr(kind, "__name__", str(kind))
