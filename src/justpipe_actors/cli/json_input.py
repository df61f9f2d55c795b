"""JSON to the state or context that a pipe wants.

A type is filled as its library would do it: pydantic's by itself, attrs classes,
dataclasses, typed dicts and containers by cattrs, and any other class by calling it with
what its ``__init__`` asks for.
"""

from __future__ import annotations

import inspect
import json
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, get_origin, get_type_hints, is_typeddict
from uuid import UUID

import attrs
from cattrs import ForbiddenExtraKeysError, transform_error
from cattrs.cols import is_any_set, is_sequence
from cattrs.preconf.json import JsonConverter, make_converter

from .errors import WrongValue, close_to


Hook = Callable[[Any, Any], Any]

KINDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "an object",
    types.NoneType: "null",
}
"""What JSON calls them."""


def kind_of(value: object) -> str:
    """Return what JSON calls a value."""
    return KINDS.get(type(value), type(value).__name__)


def strict_converter() -> JsonConverter:
    """Return a converter that refuses what JSON did not say, unknown keys included."""
    made = make_converter(forbid_extra_keys=True)
    for plain in (str, bool, int):
        made.register_structure_hook(plain, _exactly(plain))
    made.register_structure_hook(float, _number)
    for spelt in (Decimal, UUID):
        made.register_structure_hook(spelt, _from_text(spelt))
    made.register_structure_hook_func(lambda wanted: wanted is object, _as_it_is)
    _believe_containers(made)
    return made


def _believe_containers(made: JsonConverter) -> None:
    """Let nothing but a list fill a list, and nothing but an object a class."""
    asking: set[Any] = set()

    def guarded(wanted: Any) -> Hook:
        # What cattrs itself would do is what it answers while we are not asked.
        asking.add(wanted)
        try:
            structure = made.get_structure_hook(wanted, cache_result=False)
        finally:
            asking.discard(wanted)
        container = _container(wanted)
        assert container is not None

        def only_containers(value: Any, kind: Any) -> Any:
            return structure(_checked(value, container), kind)

        return only_containers

    made.register_structure_hook_factory(
        lambda wanted: wanted not in asking and _container(wanted) is not None, guarded
    )


def _container(wanted: Any) -> type | None:
    """Return what JSON has to say for a type, if it is a container."""
    plain = get_origin(wanted) or wanted
    if attrs.has(plain) or is_dataclass(plain):
        return dict
    is_many = plain is tuple or is_sequence(wanted) or is_any_set(wanted)
    return list if is_many else None


def _exactly(kind: type) -> Hook:
    return lambda value, _: _checked(value, kind)


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        msg = f"expected {KINDS[kind]} and not {kind_of(value)}"
        raise TypeError(msg)
    return value


def _number(value: Any, _: Any) -> float:
    return float(value if type(value) is int else _checked(value, float))


def _from_text(kind: Callable[[str], Any]) -> Hook:
    return lambda value, _: kind(value if isinstance(value, str) else str(value))


def _as_it_is(value: Any, _: Any) -> Any:
    return value


ANYTHING: tuple[Any, ...] = (Any, object, type(None))
"""Types that take a JSON value as it is."""

EMPTY = inspect.Parameter.empty
HOW_TO_PASS = "Pass JSON, @FILE, or - for standard input."

converter = strict_converter()


@attrs.frozen
class Given:
    """A JSON value and the option that brought it."""

    option: str
    """Such as ``--state``."""
    value: object
    """What JSON made of it."""


def read_json(text: str, option: str) -> Given:
    """Parse an option's JSON; ``@file`` reads a file and ``-`` standard input.

    Raises:
        WrongValue: it cannot be read, or is not JSON.
    """
    try:
        return Given(option, json.loads(_source(text)))
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise WrongValue(option, [problem], HOW_TO_PASS) from error
    except (OSError, UnicodeDecodeError) as error:
        raise WrongValue(option, [f"{error}."], HOW_TO_PASS) from error


def _source(text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    return Path(text[1:]).read_text("utf-8") if text.startswith("@") else text


def build(wanted: Any, given: Given) -> Any:
    """Make a value of the wanted type.

    Raises:
        WrongValue: it does not fit; every problem is named.
    """
    if wanted in ANYTHING:
        return given.value
    try:
        return _fill(wanted, given.value)
    except Exception as error:
        raise WrongValue(given.option, _problems(error), describe(wanted)) from error


def build_default(wanted: Any, option: str) -> Any:
    """Make the value of a type nobody gave JSON for.

    Raises:
        WrongValue: the type cannot be made of nothing.
    """
    if wanted in ANYTHING:
        return None
    needed = [one.name for one in _fields(wanted) if one.default is EMPTY]
    if needed:
        problem = f"missing, and {_name(wanted)} needs {', '.join(needed)}."
        raise WrongValue(option, [problem], describe(wanted))
    return build(wanted, Given(option, {}))


def describe(wanted: Any) -> str:
    """Say what a type is made of."""
    fields = [_field_text(one) for one in _fields(wanted)]
    if not fields:
        return f"{_name(wanted)} is made of a JSON value. {HOW_TO_PASS}"
    return f"{_name(wanted)} has: {', '.join(fields)}. {HOW_TO_PASS}"


# -- filling


def _fill(wanted: Any, value: object) -> Any:
    if hasattr(wanted, "model_validate"):
        return wanted.model_validate(value)
    if _is_called(wanted):
        return _call(wanted, value)
    return converter.structure(value, wanted)


def _is_called(wanted: Any) -> bool:
    """Tell whether only the class's own ``__init__`` knows how to fill it."""
    return (
        isinstance(wanted, type)
        and inspect.isfunction(_init(wanted))
        and not attrs.has(wanted)
        and not hasattr(wanted, "__dataclass_fields__")
    )


def _init(wanted: type) -> Callable[..., None]:
    init: Callable[..., None] = getattr(wanted, "__init__")  # noqa: B009 - see mypy
    return init


def _call(wanted: type, value: object) -> Any:
    if not isinstance(value, dict):
        msg = f"expected an object and not {kind_of(value)}"
        raise TypeError(msg)
    hints = get_type_hints(_init(wanted))
    fields = {one.name: one.default is EMPTY for one in _fields(wanted)}
    missing = [name for name, needed in fields.items() if needed and name not in value]
    errors: list[Exception] = [TypeError(f"{name}: missing") for name in missing]
    arguments: dict[str, Any] = {}
    for name, item in value.items():
        try:
            arguments[name] = _argument(name, item, fields, hints)
        except Exception as error:  # noqa: BLE001 - raised together below
            errors.append(error)
    if errors:
        msg = "arguments"
        raise ExceptionGroup(msg, errors)
    return wanted(**arguments)


def _argument(
    name: str, value: object, fields: Iterable[str], hints: Mapping[str, Any]
) -> Any:
    if name not in fields:
        msg = f"there is no {name!r}.{close_to(name, fields)}"
        raise TypeError(msg)
    hint = hints.get(name, Any)
    try:
        return value if hint in ANYTHING else converter.structure(value, hint)
    except Exception as error:
        raise TypeError("; ".join(_by_path(error, name))) from error


# -- wording


def _problems(error: BaseException) -> list[str]:
    listed: Any = getattr(error, "errors", None)
    if listed is not None:  # pydantic's
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in listed()]
    if type(error) is ExceptionGroup:
        return [str(one) for one in error.exceptions]
    return _by_path(error, "")


def _by_path(error: BaseException, root: str) -> list[str]:
    """Return what cattrs complains about, the place in front of the problem."""
    said = (one.rpartition(" @ ") for one in transform_error(error, root, _reason))
    placed = ((path.lstrip("."), problem) for problem, _, path in said)
    return [f"{path}: {problem}" if path else problem for path, problem in placed]


def _reason(error: BaseException, _: type | None) -> str:
    match error:
        case KeyError():
            return "missing"
        case ForbiddenExtraKeysError():
            extra = sorted(error.extra_fields)
            guess = close_to(extra[0], inspect.signature(error.cl).parameters)
            return f"there is no {', '.join(map(repr, extra))}.{guess}"
        case _:
            return str(error)


def _fields(wanted: Any) -> Iterator[inspect.Parameter]:
    if is_typeddict(wanted):
        for name, hint in get_type_hints(wanted).items():
            default = EMPTY if name in wanted.__required_keys__ else None
            yield _parameter(name, hint, default)
        return
    if getattr(wanted, "__module__", "builtins") == "builtins":
        return
    try:
        parameters = inspect.signature(wanted).parameters.values()
    except (TypeError, ValueError):
        return
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    yield from (one for one in parameters if one.kind not in fixed)


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=hint)


def _field_text(one: inspect.Parameter) -> str:
    hint = one.annotation
    kind = (
        "" if hint is EMPTY else f": {hint if isinstance(hint, str) else _name(hint)}"
    )
    return f"{one.name}{kind}{'' if one.default is EMPTY else ' (optional)'}"


def _name(wanted: Any) -> str:
    is_plain = isinstance(wanted, type) and not getattr(wanted, "__args__", ())
    return wanted.__name__ if is_plain else str(wanted).replace("typing.", "")
