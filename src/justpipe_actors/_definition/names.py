"""Resolve a step's name from a name, a function or a partial."""

from __future__ import annotations

from .._util.callables import (
    is_async_generator_function,
    is_coroutine_function,
    is_generator_function,
)
from ..errors import DefinitionError
from ..specs import resolve_name as resolve_name


def name_of(target: object, *, role: str, step: str) -> str:
    """Resolve a name in a definition.

    Raises:
        DefinitionError: it names nothing.
    """
    if isinstance(target, str) or callable(target):
        return resolve_name(target)
    msg = (
        f"Step '{step}': {role} must be a step's name or function, "
        f"not {type(target).__name__}."
    )
    raise DefinitionError(msg, step_name=step)


def check_plain_function(func: object, role: str) -> None:
    """Refuse a function that returns a coroutine or a generator when it is called.

    Raises:
        DefinitionError: it is asynchronous, or it yields.
    """
    if is_coroutine_function(func) or is_async_generator_function(func):
        problem = "is asynchronous"
    elif is_generator_function(func):
        problem = "yields"
    else:
        return
    msg = (
        f"{role} {problem}, and its call has to return the value. Use a plain function."
    )
    raise DefinitionError(msg)


def check_step_name(name: object) -> None:
    """Refuse a name that is no string, such as an object that is no function.

    Raises:
        DefinitionError: it is no string.
    """
    if not isinstance(name, str):
        msg = f"A step's name must be a string, not {type(name).__name__}."
        raise DefinitionError(msg)


def step_name_of(name: object, func: object) -> str:
    """Return the name of a decorated function's step.

    Raises:
        DefinitionError: the name is no string, or the function is not callable.
    """
    if name:
        check_step_name(name)
    label = str(name or "")
    if not callable(func):
        msg = f"A step must be callable, not {type(func).__name__}."
        if isinstance(func, classmethod | property):
            msg += " Define a function outside of the class."
        raise DefinitionError(msg, step_name=label or "system")
    return label or resolve_name(func)


def target_names(to: object, step: str, role: str = "to=") -> tuple[str, ...]:
    """Return the steps that an argument names, in order.

    Raises:
        DefinitionError: it is a dict (that is what switches are for) or of another type.
    """
    if to is None:
        return ()
    if isinstance(to, dict):
        msg = f"Step '{step}': {role} is a dict; use @pipe.switch to route by value."
        raise DefinitionError(msg, step_name=step)
    if isinstance(to, list):
        return tuple(name_of(one, role=role, step=step) for one in to)
    if isinstance(to, str) or callable(to):
        return (name_of(to, role=role, step=step),)
    msg = (
        f"Step '{step}': {role} must be a name, a function or a list of them, "
        f"not {type(to).__name__}."
    )
    raise DefinitionError(msg, step_name=step)


def start_name(start: object) -> str | None:
    """Resolve the ``start`` of a run; None starts at the roots.

    Raises:
        DefinitionError: it names nothing.
    """
    if start is None:
        return None
    try:
        return resolve_name(start)
    except ValueError as error:
        msg = f"run(start=...) must be a step's name or function, not {start!r}."
        raise DefinitionError(msg) from error
