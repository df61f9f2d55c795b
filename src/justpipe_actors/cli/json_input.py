"""JSON to the state or context of a pipe.

A type is filled as its library would do it: pydantic's by itself, attrs classes,
dataclasses, typed dicts and containers by cattrs, and any other class by calling it with
what its ``__init__`` asks for.
"""

from __future__ import annotations

import inspect
import json
import os
import stat
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any, TextIO, get_origin, get_type_hints, is_typeddict
from uuid import UUID

import attrs
from cattrs import ForbiddenExtraKeysError, transform_error
from cattrs.cols import is_any_set, is_sequence
from cattrs.preconf.json import JsonConverter, make_converter

from .errors import InvalidValue, suggestion


Hook = Callable[[Any, Any], Any]

JSON_NAMES: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "an object",
    types.NoneType: "null",
}
"""Names of the types in JSON."""


def json_name_of(value: object) -> str:
    """Return the name of a value's type in JSON."""
    return JSON_NAMES.get(type(value), type(value).__name__)


def strict_converter() -> JsonConverter:
    """Return a converter without implicit conversions, which refuses unknown keys."""
    converter = make_converter(forbid_extra_keys=True)
    for json_type in (str, bool, int):
        converter.register_structure_hook(json_type, _only(json_type))
    converter.register_structure_hook(float, _to_float)
    for text_type in (Decimal, UUID):
        converter.register_structure_hook(text_type, _from_text(text_type))
    converter.register_structure_hook_func(
        lambda target_type: target_type is object, _unchanged
    )
    _require_containers(converter)
    return converter


def _require_containers(converter: JsonConverter) -> None:
    """Accept only JSON lists for lists, and only JSON objects for classes."""
    resolving: set[Any] = set()

    def container_hook(target_type: Any) -> Hook:
        # `resolving` keeps cattrs from selecting this hook while it looks up its own.
        resolving.add(target_type)
        try:
            structure = converter.get_structure_hook(target_type, cache_result=False)
        finally:
            resolving.discard(target_type)
        container = _container(target_type)
        assert container is not None

        def only_containers(value: Any, expected_type: Any) -> Any:
            return structure(_require_type(value, container), expected_type)

        return only_containers

    converter.register_structure_hook_factory(
        lambda target_type: (
            target_type not in resolving and _container(target_type) is not None
        ),
        container_hook,
    )


def _container(target_type: Any) -> type | None:
    """Return the JSON form of a type, if it is a container."""
    json_type = get_origin(target_type) or target_type
    if attrs.has(json_type) or is_dataclass(json_type):
        return dict
    is_many = json_type is tuple or is_sequence(target_type) or is_any_set(target_type)
    return list if is_many else None


def _only(expected_type: type) -> Hook:
    return lambda value, _: _require_type(value, expected_type)


def _require_type(value: Any, expected_type: type) -> Any:
    if type(value) is not expected_type:
        msg = f"expected {JSON_NAMES[expected_type]} and not {json_name_of(value)}"
        raise TypeError(msg)
    return value


def _to_float(value: Any, _: Any) -> float:
    return float(value if type(value) is int else _require_type(value, float))


def _from_text(expected_type: Callable[[str], Any]) -> Hook:
    return lambda value, _: expected_type(
        value if isinstance(value, str) else str(value)
    )


def _unchanged(value: Any, _: Any) -> Any:
    return value


UNTYPED: tuple[Any, ...] = (Any, object, type(None))
"""Types that take any JSON value unchanged."""

NO_DEFAULT = inspect.Parameter.empty
LONGEST = 100_000_000
"""Maximum number of characters that are read from a file, a pipe or standard input."""

HOW_TO_PASS = "Pass JSON, @FILE, or - for standard input."

converter: JsonConverter = strict_converter()


@attrs.frozen
class JsonArgument:
    """A JSON value and the name of its option."""

    option: str
    """Name of the option, such as ``--state``."""
    value: object
    """The decoded JSON value."""


def read_json(text: str, option: str) -> JsonArgument:
    """Parse an option's JSON; ``@file`` reads a file and ``-`` standard input.

    Raises:
        InvalidValue: it cannot be read, or is not JSON.
    """
    try:
        value = json.loads(_source(text), parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise InvalidValue(option, [problem], HOW_TO_PASS) from error
    except RecursionError as error:
        problem = "nested too deeply."
        raise InvalidValue(option, [problem], HOW_TO_PASS) from error
    except UnicodeEncodeError as error:
        problem = "it has half of a surrogate pair, which is no character."
        raise InvalidValue(option, [problem], HOW_TO_PASS) from error
    except (OSError, ValueError) as error:
        raise InvalidValue(option, [f"{error}."], HOW_TO_PASS) from error
    return JsonArgument(option, value)


def _refuse_constant(name: str) -> None:
    msg = f"{name} is no number of JSON"
    raise ValueError(msg)


def with_settings(
    argument: JsonArgument | None, settings: Sequence[str], target_type: Any
) -> JsonArgument:
    """Return a JSON object with fields set by ``key=value`` texts.

    A value is JSON where it can be, and text otherwise; for a field that is annotated as
    text it is always text.  ``a.b=1`` sets a field of an object inside.

    Raises:
        InvalidValue: a text is no ``key=value``, or sets a field of what is no object.
    """
    option, value = "--set", {} if argument is None else argument.value
    text_fields = {f.name for f in _fields(target_type) if f.annotation in (str, "str")}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not all(path := key.split(".")):
            problem = f"{setting!r} is no KEY=VALUE."
            raise InvalidValue(option, [problem], "Write --set name=value.")
        inner = value
        for part in path[:-1]:
            inner = inner.setdefault(part, {}) if isinstance(inner, dict) else inner
        if not isinstance(inner, dict):
            problem = f"{key} cannot be set: {json_name_of(inner)} has no fields."
            raise InvalidValue(option, [problem], HOW_TO_PASS)
        inner[path[-1]] = text if key in text_fields else _json_or_text(text)
    return JsonArgument(option, value)


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def _source(text: str) -> str:
    if text == "-":
        return _read_all(sys.stdin, "standard input")
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    with path.open(encoding="utf-8") as file:
        if _is_device(file):
            msg = f"{path} is a device and not a file"
            raise ValueError(msg)
        return _read_all(file, str(path))


def _is_device(file: TextIO) -> bool:
    """Tell whether a file is a device such as ``/dev/zero``; a terminal is read."""
    mode = os.fstat(file.fileno()).st_mode
    return (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and not file.isatty()


def _read_all(file: TextIO, name: str) -> str:
    """Read a file to its end, and refuse one that is too long or has no end."""
    text = file.read(LONGEST + 1)
    if len(text) > LONGEST:
        msg = f"{name} has more than {LONGEST:,} characters"
        raise ValueError(msg)
    return text


def build_value(target_type: Any, argument: JsonArgument) -> Any:
    """Make a value of the wanted type.

    Raises:
        InvalidValue: it does not fit; every problem is named.
    """
    if target_type in UNTYPED:
        return argument.value
    try:
        return _structure(target_type, argument.value)
    except Exception as error:
        raise InvalidValue(
            argument.option, _problems(error), describe(target_type)
        ) from error


def build_default(target_type: Any, option: str) -> Any:
    """Build the default value of a type when the option is not given.

    Raises:
        InvalidValue: the type has no default value.
    """
    if target_type in UNTYPED:
        return None
    needed = [
        field.name for field in _fields(target_type) if field.default is NO_DEFAULT
    ]
    if needed:
        problem = f"missing, and {_type_name(target_type)} needs {', '.join(needed)}."
        raise InvalidValue(option, [problem], describe(target_type))
    return build_value(target_type, JsonArgument(option, {}))


def describe(target_type: Any) -> str:
    """Return a description of a type's fields."""
    fields = [_field_text(field) for field in _fields(target_type)]
    if not fields:
        return f"{_type_name(target_type)} is made of a JSON value. {HOW_TO_PASS}"
    return f"{_type_name(target_type)} has: {', '.join(fields)}. {HOW_TO_PASS}"


# -- filling


def _structure(target_type: Any, value: object) -> Any:
    if hasattr(target_type, "model_validate"):
        return target_type.model_validate(value)
    if hasattr(target_type, "__struct_fields__"):
        return _convert_struct(target_type, value)
    if _uses_init(target_type):
        return _call_init(target_type, value)
    return converter.structure(value, target_type)


def _convert_struct(target_type: Any, value: object) -> Any:
    """Fill a struct of msgspec as msgspec does; a misspelled field is refused."""
    import msgspec  # noqa: PLC0415 - it is there, since the type is a struct

    fields = [field.encode_name for field in msgspec.structs.fields(target_type)]
    for name in value if isinstance(value, dict) else ():
        if name not in fields:
            msg = f"there is no {name!r}.{suggestion(name, fields)}"
            raise TypeError(msg)
    return msgspec.convert(value, target_type)


def _uses_init(target_type: Any) -> bool:
    """Tell whether an object can only be built by the class's own ``__init__``."""
    return (
        isinstance(target_type, type)
        and inspect.isfunction(_init_of(target_type))
        and not attrs.has(target_type)
        and not hasattr(target_type, "__dataclass_fields__")
    )


def _init_of(target_type: type) -> Callable[..., None]:
    # mypy rejects `cls.__init__`: a subclass may have other parameters.
    init: Callable[..., None] = attrgetter("__init__")(target_type)
    return init


def _call_init(target_type: type, value: object) -> Any:
    if not isinstance(value, dict):
        msg = f"expected an object and not {json_name_of(value)}"
        raise TypeError(msg)
    hints = get_type_hints(_init_of(target_type))
    fields = {field.name: field.default is NO_DEFAULT for field in _fields(target_type)}
    missing = [name for name, needed in fields.items() if needed and name not in value]
    errors: list[Exception] = [TypeError(f"{name}: missing") for name in missing]
    arguments: dict[str, Any] = {}
    for name, item in value.items():
        try:
            arguments[name] = _structure_argument(name, item, fields, hints)
        except Exception as error:  # noqa: BLE001 - raised together below
            errors.append(error)
    if errors:
        msg = "arguments"
        raise ExceptionGroup(msg, errors)
    return target_type(**arguments)


def _structure_argument(
    name: str, value: object, fields: Iterable[str], hints: Mapping[str, Any]
) -> Any:
    if name not in fields:
        msg = f"there is no {name!r}.{suggestion(name, fields)}"
        raise TypeError(msg)
    hint = hints.get(name, Any)
    try:
        return value if hint in UNTYPED else converter.structure(value, hint)
    except Exception as error:
        raise TypeError("; ".join(_problems_by_path(error, name))) from error


# -- wording


def _problems(error: BaseException) -> list[str]:
    pydantic_errors: Any = getattr(error, "errors", None)
    if pydantic_errors is not None:  # pydantic's
        return [
            f"{'.'.join(map(str, error_item['loc']))}: {error_item['msg']}"
            for error_item in pydantic_errors()
        ]
    if type(error) is ExceptionGroup:
        return [str(error_item) for error_item in error.exceptions]
    return _problems_by_path(error, "")


def _problems_by_path(error: BaseException, root: str) -> list[str]:
    """Return the problems that cattrs found, each with its path first."""
    complaints = (
        complaint.rpartition(" @ ")
        for complaint in transform_error(error, root, _reason)
    )
    placed_complaints = ((path.lstrip("."), problem) for problem, _, path in complaints)
    return [
        f"{path}: {problem}" if path else problem for path, problem in placed_complaints
    ]


def _reason(error: BaseException, _: type | None) -> str:
    match error:
        case KeyError():
            return "missing"
        case ForbiddenExtraKeysError():
            extra = sorted(error.extra_fields)
            guess = suggestion(extra[0], inspect.signature(error.cl).parameters)
            return f"there is no {', '.join(map(repr, extra))}.{guess}"
        case _:
            return str(error)


def _fields(target_type: Any) -> Iterator[inspect.Parameter]:
    if is_typeddict(target_type):
        for name, hint in get_type_hints(target_type).items():
            default = NO_DEFAULT if name in target_type.__required_keys__ else None
            yield _parameter(name, hint, default)
        return
    if getattr(target_type, "__module__", "builtins") == "builtins":
        return
    try:
        parameters = inspect.signature(target_type).parameters.values()
    except (TypeError, ValueError):
        return
    variadic_kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    yield from (field for field in parameters if field.kind not in variadic_kinds)


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=hint)


def _field_text(field: inspect.Parameter) -> str:
    hint = field.annotation
    type_text = (
        ""
        if hint is NO_DEFAULT
        else f": {hint if isinstance(hint, str) else _type_name(hint)}"
    )
    return (
        f"{field.name}{type_text}{'' if field.default is NO_DEFAULT else ' (optional)'}"
    )


def _type_name(target_type: Any) -> str:
    is_plain = isinstance(target_type, type) and not getattr(
        target_type, "__args__", ()
    )
    return target_type.__name__ if is_plain else str(target_type).replace("typing.", "")
