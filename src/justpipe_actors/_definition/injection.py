"""A function's parameters, and where the value of each comes from.

The type of a parameter takes precedence over its name, with two exceptions.  If the
types of the state and of the context both fit, the name decides between them.  If a
parameter has the state's name, another one of the same generic type is an item, because
programs map over ``dict[str, Any]`` with a state of that type.  Hints are resolved one
by one, so a forward reference that cannot be resolved affects only its own parameter.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import Any

from .._util.callables import unwrap_function
from .._util.text import safe_repr
from .._util.user_objects import call_or, resolve_hint, type_hints_of
from ..cancellation import CancellationToken
from ..errors import DefinitionError
from ..meta import Meta
from ..specs import InjectionMetadata, InjectionSource


_NAMES = {
    "s": InjectionSource.STATE,
    "state": InjectionSource.STATE,
    "c": InjectionSource.CONTEXT,
    "ctx": InjectionSource.CONTEXT,
    "context": InjectionSource.CONTEXT,
    "e": InjectionSource.ERROR,
    "error": InjectionSource.ERROR,
    "exception": InjectionSource.ERROR,
    "step_name": InjectionSource.STEP_NAME,
    "stage": InjectionSource.STEP_NAME,
    "cancel": InjectionSource.CANCEL,
    "cancellation_token": InjectionSource.CANCEL,
}

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


RESERVED_NAMES = frozenset(_NAMES)
"""Names of parameters that have a meaning of their own."""

ResourcePredicate = Callable[[str, object], bool]
"""Whether a parameter of a name and type stands for something else, a resource."""


def _never_resource(_name: str, _hint: object) -> bool:
    return False


def analyze_parameters(
    func: Callable[..., object],
    state_type: object,
    context_type: object,
    *,
    unknown_allowed: int,
    step: str,
    is_resource: ResourcePredicate = _never_resource,
    items: Collection[str] = (),
) -> InjectionMetadata:
    """Say where each parameter without a default gets its value.

    ``items`` are further unknown parameters that are allowed: a handler's may have the
    names of its step's.

    Raises:
        DefinitionError: more parameters are unknown than allowed.
    """
    hints = parameter_types_of(func, step)
    found = {
        name: InjectionSource.RESOURCE
        if is_resource(name, hint)
        else _source_of(name, hint, state_type, context_type)
        for name, hint in hints.items()
    }
    if any(_NAMES.get(name) is InjectionSource.STATE for name in found):
        found |= _items_of_state_type(found, hints)
    unknown = [
        name
        for name, source in found.items()
        if source is InjectionSource.UNKNOWN and name not in items
    ]
    if len(unknown) > unknown_allowed:
        msg = (
            f"'{step}' has unrecognized parameters: {', '.join(unknown)}. "
            f"{_mismatch([hints[n] for n in unknown], state_type, context_type)}"
            "Name them state, context, error, step_name or cancel, "
            "annotate them with the pipe's types, define a resource of that name "
            "above, or give them defaults."
        )
        if unknown_allowed:
            msg += (
                f" A map worker gets its item in one parameter, not in {len(unknown)}."
            )
        raise DefinitionError(msg, step_name=step)
    return found


def _items_of_state_type(
    found: InjectionMetadata, hints: dict[str, object]
) -> InjectionMetadata:
    """Return the parameters that match the state by a generic type alone, as unknown."""
    return {
        name: InjectionSource.UNKNOWN
        for name, source in found.items()
        if source is InjectionSource.STATE
        and name not in _NAMES
        and not isinstance(hints[name], type)
    }


def _mismatch(hints: list[object], state_type: object, context_type: object) -> str:
    """Return a sentence about declared types that fit nothing; empty without a type."""
    declared = [type_text(hint) for hint in hints if hint is not Any]
    if not declared:
        return ""
    pipe_types = f"{type_text(state_type)} and {type_text(context_type)}"
    return f"{', '.join(declared)} fits none of the pipe's types {pipe_types}. "


def type_text(hint: object) -> str:
    """Return a type as messages show it."""
    return "None" if hint is type(None) else inspect.formatannotation(hint)


def check_is_type(declared: object, role: str) -> None:
    """Refuse a value where a pipe takes a type; a state belongs to a run.

    Raises:
        DefinitionError: it is an object of a class, or text.
    """
    if declared is None or isinstance(declared, type) or callable(declared):
        return
    if type(declared).__module__.partition(".")[0] in _TYPING:
        return  # a union, a generic, an alias
    remedy = "Pass the object itself to run()"
    if isinstance(declared, str):
        remedy = f"A name is passed as name={declared!r}"
    msg = (
        f"Pipe() takes the type of the {role}, such as dict or a dataclass, and this is "
        f"an object of type {type(declared).__name__}: {safe_repr(declared, limit=80)}. "
        f"{remedy}."
    )
    raise DefinitionError(msg)


_TYPING = frozenset({"typing", "typing_extensions", "types", "annotationlib"})
"""Modules of the objects that stand for types and are none."""


def parameter_types_of(func: Callable[..., object], step: str) -> dict[str, object]:
    """Return the parameters without a default, in order, and their types.

    Raises:
        DefinitionError: the signature cannot be read, or is one of values by position.
    """
    return dict(_injectable(func, step))


def return_type_of(func: Callable[..., object]) -> object:
    """Return the declared type of a function's result; ``Any`` when it has none."""
    annotations = getattr(func, "__annotations__", None) or {}  # a mock's are None
    annotation = annotations.get("return", Any)
    return _resolved(annotation, _namespace_of(func))


def _injectable(func: Callable[..., object], step: str) -> Iterator[tuple[str, object]]:
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError) as error:
        msg = f"'{step}': cannot read the signature of {func!r}."
        raise DefinitionError(msg, step_name=step) from error
    scope = _namespace_of(func)
    for parameter in parameters:
        if parameter.kind in _VARIADIC or parameter.default is not parameter.empty:
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            msg = (
                f"'{step}' has a positional-only parameter '{parameter.name}', and every "
                "value is passed by name: write it without the '/'."
            )
            raise DefinitionError(msg, step_name=step)
        yield parameter.name, _hint_of(parameter, scope)


def _hint_of(parameter: inspect.Parameter, scope: dict[str, Any]) -> object:
    hint = parameter.annotation
    return Any if hint is parameter.empty else _resolved(hint, scope)


def _resolved(hint: object, scope: dict[str, Any]) -> object:
    return call_or(Any if isinstance(hint, str) else hint, resolve_hint, hint, scope)


def _namespace_of(func: Callable[..., object]) -> dict[str, Any]:
    inner = unwrap_function(func)
    found = getattr(inner, "__globals__", None)
    if found is None:
        module = sys.modules.get(type(func).__module__)
        return dict(vars(module)) if module else {}
    return {**found, **_closure_variables(inner)}


def _closure_variables(func: Any) -> dict[str, Any]:
    """Return the enclosing variables that have a value by now.

    ``inspect.getclosurevars`` gives up on the first that has none, and a step that
    mentions a later one of the same block is a normal thing to write.
    """
    names = getattr(getattr(func, "__code__", None), "co_freevars", ())
    cells = getattr(func, "__closure__", None) or ()
    found = {}
    for name, cell in zip(names, cells, strict=False):
        with contextlib.suppress(ValueError):
            found[name] = cell.cell_contents
    return found


def _source_of(
    name: str, hint: object, state_type: object, context_type: object
) -> InjectionSource:
    by_name = _NAMES.get(name, InjectionSource.UNKNOWN)
    is_state, is_context = fits(state_type, hint), fits(context_type, hint)
    if is_state and is_context and by_name is InjectionSource.CONTEXT:
        return InjectionSource.CONTEXT
    if is_state:
        return InjectionSource.STATE
    if is_context:
        return InjectionSource.CONTEXT
    if fits(CancellationToken, hint):
        return InjectionSource.CANCEL
    if fits(Exception, hint):
        return InjectionSource.ERROR
    return by_name


def union_members(hint: object) -> tuple[object, ...]:
    """Return the members of a union without None; any other type is its only member."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return tuple(
            member for member in typing.get_args(hint) if member is not type(None)
        )
    return (hint,)


def without_annotation(hint: object) -> object:
    """Return the type inside of ``Annotated``; any other hint unchanged."""
    if typing.get_origin(hint) is typing.Annotated:
        return typing.get_args(hint)[0]
    return hint


def fits(declared: object, hint: object) -> bool:
    """Tell whether a value of the declared type fits a parameter with the hint.

    A plain class does not fit a generic alias of it: with ``dict`` as the state's type,
    a parameter of the type ``dict[str, Any]`` is as likely an item.
    """
    declared, hint = without_annotation(declared), without_annotation(hint)
    if declared is Any or hint is Any:
        return False
    choices = union_members(declared)
    if choices != (declared,):
        return all(fits(choice, hint) for choice in choices)
    members = union_members(hint)
    if members != (hint,):
        return any(fits(declared, member) for member in members)
    hint = type(None) if hint is None else hint
    if declared is hint:
        return True
    arguments = typing.get_args(hint)
    if arguments and arguments != typing.get_args(declared):
        return False
    declared = typing.get_origin(declared) or declared
    hint = typing.get_origin(hint) or hint
    if not (isinstance(declared, type) and isinstance(hint, type)):
        return False
    try:
        return issubclass(declared, hint)
    except TypeError:
        return False


@lru_cache(maxsize=256)
def meta_attributes(kind: type) -> tuple[str, ...]:
    """Return the attributes of a context's class with the hint ``Meta``.

    The result is kept, because resolving hints is slow.
    """
    return tuple(
        name
        for name, hint in (type_hints_of(kind) or {}).items()
        if hint is Meta or (_is_union(hint) and Meta in typing.get_args(hint))
    )


def _is_union(hint: object) -> bool:
    return isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
