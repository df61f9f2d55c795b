"""From what a user names a step with to the step's name."""

from __future__ import annotations

from ..errors import DefinitionError


def resolve_name(target: object) -> str:
    """Return the step name that a string, function or partial stands for.

    Raises:
        ValueError: it is neither a string nor callable.
    """
    if isinstance(target, str):
        return target
    inner = getattr(target, "func", None)
    for named in (inner, target):
        name = getattr(named, "__name__", None)
        if isinstance(name, str):
            return name
    if callable(target):
        return type(target).__name__
    msg = (
        f"A step is named by a string or its function, not by {type(target).__name__}."
    )
    raise ValueError(msg)


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


def label_of(name: object, func: object) -> str:
    """Return what a decorated function's step is called.

    Raises:
        DefinitionError: the name is no string, or the function is not callable.
    """
    if name and not isinstance(name, str):
        msg = f"A step's name must be a string, not {type(name).__name__}."
        raise DefinitionError(msg)
    label = str(name or "")
    if not callable(func):
        msg = f"A step must be callable, not {type(func).__name__}."
        raise DefinitionError(msg, step_name=label or "system")
    return label or resolve_name(func)


def names_of(to: object, step: str) -> tuple[str, ...]:
    """Return the static successors that a ``to`` argument names, in order.

    Raises:
        DefinitionError: it is a dict (that is what switches are for) or of another type.
    """
    if to is None:
        return ()
    if isinstance(to, dict):
        msg = f"Step '{step}': to= is a dict; use @pipe.switch to route by value."
        raise DefinitionError(msg, step_name=step)
    if isinstance(to, list):
        return tuple(name_of(one, role="to=", step=step) for one in to)
    if isinstance(to, str) or callable(to):
        return (name_of(to, role="to=", step=step),)
    msg = (
        f"Step '{step}': to= must be a name, a function or a list of them, "
        f"not {type(to).__name__}."
    )
    raise DefinitionError(msg, step_name=step)


def start_of(start: object) -> str | None:
    """Resolve where a run is asked to begin; None is at the roots.

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
