"""Resources as the user wrote them, and which of them a parameter stands for.

A parameter with a resource's name receives that resource.  Any other parameter is
matched by type with the declared values of the resources.  Types such as ``str`` and
``dict`` are too general to identify a resource and are never matched by type.
"""

from __future__ import annotations

import collections.abc
import contextlib
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .._util.arguments import check_seconds
from .._util.callables import definition_of, is_coroutine_function
from .._util.lazy_classes import frozen
from ..errors import DefinitionError
from ..specs import resolve_name
from .injection import (
    RESERVED_NAMES,
    fits,
    parameter_types_of,
    return_type_of,
    type_text,
    union_members,
)


AMBIGUOUS_TYPES = (
    *(object, type(None), bool, int, float, complex, str, bytes, bytearray),
    *(dict, list, tuple, set, frozenset),
)
"""Types too general to identify a resource; these match by name only."""

_WRAPPERS = (
    contextlib.AbstractAsyncContextManager,
    contextlib.AbstractContextManager,
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.Iterable,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)


@frozen(eq=False, kw_only=True)
class ResourceDef:
    """A registered resource."""

    name: str
    """Unique in the pipe; parameters of this name receive it."""
    func: Callable[..., Any]
    """Returns a context manager, or is a generator function; both sync or async."""
    value_type: object
    """The declared type of its value; ``Any`` when nothing is declared."""
    parameter_types: Mapping[str, object]
    """Its own parameters, each another resource, and their types."""
    eager: bool = False
    """True if it is opened with its owner, before the first use."""
    shutdown: float = 5.0
    """Seconds it may take to close."""
    start_timeout: float = 60.0
    """Seconds it may take to open."""


def check_resource(definition: ResourceDef) -> None:
    """Refuse a resource that no parameter could ever receive.

    Raises:
        DefinitionError: its name is no parameter name, or is reserved.
    """
    name = definition.name
    if not name.isidentifier():
        msg = f"Resource '{name}': pass name=, a name that a parameter can have."
        raise DefinitionError(msg)
    if name in RESERVED_NAMES:
        msg = (
            f"A resource cannot be called '{name}': such a parameter receives something "
            "else already. Pass another name=."
        )
        raise DefinitionError(msg)


_NO_MANAGERS = frozenset(AMBIGUOUS_TYPES) - {object} | {None}
"""Declared results of a function that are certainly no context managers."""


def check_resource_function(func: Any) -> None:
    """Refuse what certainly opens nothing.

    What a function without annotations returns is known when it is called.

    Raises:
        DefinitionError: it is an object, a context manager that was made already, a class
            of other objects, or a function that is declared to return some.
    """
    if isinstance(func, contextlib.ContextDecorator | contextlib.AsyncContextDecorator):
        msg = (
            "A resource is opened by a function, which may be called again, and this is "
            f"the {type(func).__name__} that such a function returned. Pass the function "
            "itself, without a call: pipe.resource(connect, name='db')."
        )
    elif not callable(func):
        msg = (
            "A resource is opened by a function, and this is an object of "
            f"{type(func).__name__}. Decorate a function that yields it with "
            "@pipe.resource, or pass it as the context: run(state, context)."
        )
    elif isinstance(func, type):
        if _is_manager_type(func):
            return
        msg = (
            f"{func.__name__} is no context manager, so it cannot be a resource. Write a "
            "function that yields an object of it."
        )
    else:
        declared = return_type_of(func)
        kind = typing.get_origin(declared) or declared
        is_wrong = isinstance(kind, typing.Hashable) and kind in _NO_MANAGERS
        if not is_wrong or is_coroutine_function(func):
            return
        msg = (
            f"Resource '{resolve_name(func)}'{definition_of(func)} is declared to return "
            f"{type_text(declared)}, which is no context manager. Yield the value instead "
            "of returning it."
        )
    raise DefinitionError(msg)


def _is_manager_type(kind: type) -> bool:
    """Tell whether objects of a class are context managers, asynchronous or not."""
    is_async = hasattr(kind, "__aenter__") and hasattr(kind, "__aexit__")
    return is_async or (hasattr(kind, "__enter__") and hasattr(kind, "__exit__"))


def define_resource(name: str, func: Callable[..., Any], **options: Any) -> ResourceDef:
    """Read a resource's function.

    Raises:
        DefinitionError: its signature cannot be read, its name is not allowed, an option
            is no time, or it is asynchronous and does not yield.
    """
    if is_coroutine_function(func) and not isinstance(func, type):
        msg = (
            f"Resource '{name}' is an async function without 'yield'. Yield the value, or "
            "write a plain function that returns a context manager."
        )
        raise DefinitionError(msg)
    for option in ("shutdown", "start_timeout"):
        try:
            check_seconds(f"Resource '{name}': {option}", options.get(option, 0))
        except (TypeError, ValueError) as error:
            raise DefinitionError(str(error)) from None
    definition = ResourceDef(
        name=name,
        func=func,
        value_type=_value_type_of(func),
        parameter_types=parameter_types_of(func, f"resource {name}"),
        **options,
    )
    check_resource(definition)
    return definition


def matching_resources(
    parameter: str, hint: object, resources: Mapping[str, ResourceDef]
) -> tuple[str, ...]:
    """Return the resources that fit a parameter by its name, else by its type."""
    if parameter in resources:
        return (parameter,)
    return tuple(_of_type(hint, resources.values()))


def _of_type(hint: object, resources: Iterable[ResourceDef]) -> Iterator[str]:
    specific = [member for member in union_members(hint) if _is_specific(member)]
    for resource in resources:
        if any(_matches(resource.value_type, member) for member in specific):
            yield resource.name


def _matches(value_type: object, hint: object) -> bool:
    return value_type is not Any and (value_type == hint or fits(value_type, hint))


def _is_specific(hint: object) -> bool:
    origin = typing.get_origin(hint) or hint
    return hint is not Any and origin not in AMBIGUOUS_TYPES


def _value_type_of(func: Callable[..., Any]) -> object:
    """Return the declared type of the value that entering the resource returns."""
    if isinstance(func, type):
        return func
    declared = return_type_of(func)
    origin = typing.get_origin(declared)
    if origin in _WRAPPERS:
        return (typing.get_args(declared) or (Any,))[0]
    if isinstance(declared, type) and declared not in _WRAPPERS:
        is_manager = hasattr(declared, "__aenter__") or hasattr(declared, "__enter__")
        return declared if is_manager else Any
    return Any
