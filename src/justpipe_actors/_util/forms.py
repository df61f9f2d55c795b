"""Forms: the JSON schema and the reader of an answer, from its type.

``form_of`` makes a JSON schema of a type, reads JSON as a value of that type, and says
in words what does not fit.  An answer is data that a person or a program has typed in, so
reading is as strict as JSON allows: no number becomes a text, and unknown fields are
refused.  Pydantic models bring their own schema and their own reading.

A library was not used: those that make JSON schemas know one kind of class each, and the
types of a form are few.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

import attrs

from .lazy_classes import frozen
from .user_objects import call_or, type_hints_of


class Misfit(ValueError):
    """An answer does not fit its form; the text gives the path and the reason."""


@frozen(eq=False)
class Form:
    """The type of an answer, with its JSON schema and its reader."""

    hint: Any
    """The type of the answer."""
    schema: dict[str, Any]
    """JSON schema of the answer."""
    read: Callable[[Any, str], Any]
    """Returns the value of JSON data at a path, or raises ``Misfit``."""

    def load(self, plain: Any) -> Any:
        """Return the value of JSON data.

        Raises:
            Misfit: they do not fit.
        """
        return self.read(plain, "answer")


def form_of(hint: Any) -> Form:
    """Return the form of a type.

    Raises:
        TypeError: values of the type cannot be typed in.
    """
    if hint in _SCALARS:
        return _scalar(hint)
    origin = get_origin(hint)
    if origin is typing.Annotated:
        return form_of(get_args(hint)[0])
    if origin is Literal:
        return _choice(hint, {one: one for one in get_args(hint)})
    if origin in {Union, types.UnionType}:
        return _union(hint)
    if origin in {list, Sequence, tuple, dict, Mapping}:
        return _container(hint, origin)
    if isinstance(hint, type):
        return _class(hint)
    return _refuse(hint)


def schema_of(hint: Any) -> dict[str, Any] | None:
    """Return the JSON schema of a state's type, None if JSON cannot represent it.

    It is for forms in which a person enters a state.  Models of pydantic and structs of
    msgspec have schemas of their own.
    """
    if hint is None or hint is type(None) or hint is Any:
        return None
    if hint in (dict, Mapping) or get_origin(hint) is Mapping:
        return {"type": "object"}
    if hint is list:
        return {"type": "array"}
    # A library may refuse a type by an exception of its own.
    return call_or(None, _schema_of, hint)


def _schema_of(hint: Any) -> dict[str, Any]:
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and _is_class_of(hint, msgspec.Struct):
        schema: dict[str, Any] = msgspec.json.schema(hint)
        return schema
    return form_of(hint).schema


def _is_class_of(hint: Any, base: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, base)


def plain_of(value: Any) -> Any:
    """Return an instance of a form's type as JSON data."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain_of(one) for key, one in value.items()}
    fields = _fields_of(type(value))
    if fields is not None:
        return {
            name: plain_of(getattr(value, one.attribute or name))
            for name, one in fields.items()
        }
    if isinstance(value, list | tuple):
        return [plain_of(one) for one in value]
    return value


def _refuse(hint: Any) -> Form:
    name = getattr(hint, "__qualname__", str(hint))
    msg = (
        f"{name} is no form: values of it cannot be typed in. Use builtins, Literal, "
        "Enum, lists, dicts, dataclasses, attrs classes, TypedDicts or pydantic models."
    )
    raise TypeError(msg)


# -- plain values


def _number(plain: Any) -> float:
    if type(plain) not in {int, float}:
        raise ValueError
    return float(plain)


def _exact(cls: type) -> Callable[[Any], Any]:
    def read(plain: Any) -> Any:
        if type(plain) is not cls:
            raise ValueError
        return plain

    return read


def _text_of(build: Callable[[str], Any]) -> Callable[[Any], Any]:
    def read(plain: Any) -> Any:
        if type(plain) is not str:
            raise ValueError
        return build(plain)

    return read


def _decimal(plain: Any) -> Decimal:
    if type(plain) not in {str, int, float}:
        raise ValueError
    return Decimal(str(plain))


_SCALARS: dict[Any, tuple[str, dict[str, Any], Callable[[Any], Any]]] = {
    bool: ("true or false", {"type": "boolean"}, _exact(bool)),
    int: ("an integer", {"type": "integer"}, _exact(int)),
    float: ("a number", {"type": "number"}, _number),
    str: ("a text", {"type": "string"}, _exact(str)),
    None: ("null", {"type": "null"}, _exact(type(None))),
    type(None): ("null", {"type": "null"}, _exact(type(None))),
    datetime: (
        "a time such as 2026-01-31T09:00:00+00:00",
        {"type": "string", "format": "date-time"},
        _text_of(datetime.fromisoformat),
    ),
    date: (
        "a date such as 2026-01-31",
        {"type": "string", "format": "date"},
        _text_of(date.fromisoformat),
    ),
    time: (
        "a time such as 09:00",
        {"type": "string", "format": "time"},
        _text_of(time.fromisoformat),
    ),
    timedelta: (
        "a number of seconds",
        {"type": "number"},
        lambda plain: timedelta(seconds=_number(plain)),
    ),
    Decimal: ("a number", {"type": ["string", "number"]}, _decimal),
    UUID: ("a UUID", {"type": "string", "format": "uuid"}, _text_of(UUID)),
    Any: ("anything", {}, lambda plain: plain),
    object: ("anything", {}, lambda plain: plain),
}


def _scalar(hint: Any) -> Form:
    name, schema, build = _SCALARS[hint]

    def read(plain: Any, path: str) -> Any:
        try:
            return build(plain)
        except (ValueError, InvalidOperation, OverflowError):
            raise Misfit(_expected(path, name, plain)) from None

    return Form(hint, dict(schema), read)


def _expected(path: str, what: str, plain: Any) -> str:
    return f"{path} must be {what}, not {plain!r}"


def _choice(hint: Any, values: Mapping[Any, Any]) -> Form:
    """Return the form of one out of several values: JSON value to value."""
    known = {(type(plain), plain): value for plain, value in values.items()}

    def read(plain: Any, path: str) -> Any:
        try:
            return known[type(plain), plain]
        except (KeyError, TypeError):
            choices = ", ".join(repr(one) for one in values)
            raise Misfit(_expected(path, f"one of {choices}", plain)) from None

    return Form(hint, {"enum": list(values)}, read)


def _union(hint: Any) -> Form:
    forms = [form_of(one) for one in get_args(hint)]

    def read(plain: Any, path: str) -> Any:
        problems: list[str] = []
        for form in forms:
            try:
                return form.read(plain, path)
            except Misfit as misfit:
                problems.append(str(misfit))
        raise Misfit("; or ".join(problems))

    return Form(hint, {"anyOf": [form.schema for form in forms]}, read)


# -- containers


def _container(hint: Any, origin: Any) -> Form:
    arguments = get_args(hint)
    if origin in {dict, Mapping}:
        return _mapping(hint, form_of(arguments[1]))
    if origin is tuple and arguments[-1:] != (Ellipsis,):
        return _tuple(hint, [form_of(one) for one in arguments])
    item = form_of(arguments[0])
    build: Callable[[list[Any]], Any] = tuple if origin is tuple else list

    def read(plain: Any, path: str) -> Any:
        if type(plain) is not list:
            raise Misfit(_expected(path, "a list", plain))
        return build([item.read(one, f"{path}[{n}]") for n, one in enumerate(plain)])

    return Form(hint, {"type": "array", "items": item.schema}, read)


def _tuple(hint: Any, items: list[Form]) -> Form:
    def read(plain: Any, path: str) -> Any:
        if type(plain) is not list or len(plain) != len(items):
            raise Misfit(_expected(path, f"a list of {len(items)}", plain))
        pairs = zip(items, plain, strict=True)
        return tuple(
            form.read(one, f"{path}[{n}]") for n, (form, one) in enumerate(pairs)
        )

    schema: dict[str, Any] = {
        "type": "array",
        "prefixItems": [form.schema for form in items],
        "minItems": len(items),
        "maxItems": len(items),
    }
    return Form(hint, schema, read)


def _mapping(hint: Any, item: Form) -> Form:
    def read(plain: Any, path: str) -> Any:
        if type(plain) is not dict:
            raise Misfit(_expected(path, "an object", plain))
        return {key: item.read(one, f"{path}.{key}") for key, one in plain.items()}

    return Form(hint, {"type": "object", "additionalProperties": item.schema}, read)


# -- classes


def _class(cls: Any) -> Form:
    if cls in {list, tuple}:
        return _container(list[Any], list)
    if cls is dict:
        return _mapping(dict, form_of(Any))
    if issubclass(cls, Enum):
        return _choice(cls, {one.value: one for one in cls})
    if hasattr(cls, "model_validate"):
        return _model(cls)
    fields = _fields_of(cls)
    return _refuse(cls) if fields is None else _record(cls, fields)


def _model(cls: Any) -> Form:
    def read(plain: Any, path: str) -> Any:
        try:
            return cls.model_validate(plain)
        except ValueError as error:
            msg = f"{path}: {error}"
            raise Misfit(msg) from None

    return Form(cls, cls.model_json_schema(), read)


@frozen
class _Field:
    """One field of a form's class."""

    hint: Any
    is_required: bool
    attribute: str | None = None
    """Its name in an instance, when that is not its name in JSON."""


def _record(cls: Any, fields: Mapping[str, _Field]) -> Form:
    forms = {name: form_of(one.hint) for name, one in fields.items()}
    required = [name for name, one in fields.items() if one.is_required]

    def read(plain: Any, path: str) -> Any:
        if type(plain) is not dict:
            raise Misfit(_expected(path, "an object", plain))
        _check_names(plain, path, forms, required)
        values = {
            name: forms[name].read(one, f"{path}.{name}") for name, one in plain.items()
        }
        try:
            return cls(**values)
        except (ValueError, TypeError) as error:
            msg = f"{path}: {error}"
            raise Misfit(msg) from None

    schema: dict[str, Any] = {
        "type": "object",
        "title": cls.__name__,
        "properties": {name: form.schema for name, form in forms.items()},
        "required": required,
        "additionalProperties": False,
    }
    return Form(cls, schema, read)


def _check_names(
    plain: dict[str, Any], path: str, known: Mapping[str, Form], required: list[str]
) -> None:
    missing = [name for name in required if name not in plain]
    if missing:
        msg = f"{path} lacks {', '.join(missing)}"
        raise Misfit(msg)
    unknown = [name for name in plain if name not in known]
    if unknown:
        msg = f"{path} has no field {', '.join(unknown)}; it has {', '.join(known)}"
        raise Misfit(msg)


def _fields_of(cls: Any) -> dict[str, _Field] | None:
    hints = type_hints_of(cls)
    if hints is None:
        return None
    if typing.is_typeddict(cls):
        return _keys_of(cls)
    if dataclasses.is_dataclass(cls):
        return {
            one.name: _Field(
                hints[one.name],
                one.default is dataclasses.MISSING
                and one.default_factory is dataclasses.MISSING,
            )
            for one in dataclasses.fields(cls)
            if one.init
        }
    if attrs.has(cls):
        return {
            one.alias: _Field(
                hints.get(one.name, Any), one.default is attrs.NOTHING, one.name
            )
            for one in attrs.fields(cls)
            if one.init
        }
    if hasattr(cls, "__struct_fields__"):
        names, defaults = cls.__struct_fields__, cls.__struct_defaults__
        first = len(names) - len(defaults)
        return {name: _Field(hints[name], n < first) for n, name in enumerate(names)}
    if not issubclass(cls, tuple) or not hasattr(cls, "_fields"):
        return None
    named: tuple[str, ...] = getattr(cls, "_fields", ())
    defaulted: Mapping[str, Any] = getattr(cls, "_field_defaults", {})
    return {name: _Field(hints.get(name, Any), name not in defaulted) for name in named}


def _keys_of(cls: Any) -> dict[str, _Field]:
    # ``__required_keys__`` ignores ``Required`` in annotations that are texts.
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        name: _Field(
            get_args(hint)[0] if get_origin(hint) in _KEY_NOTES else hint,
            get_origin(hint) is not typing.NotRequired
            and (name in cls.__required_keys__ or get_origin(hint) is typing.Required),
        )
        for name, hint in hints.items()
    }


_KEY_NOTES = {typing.Required, typing.NotRequired}
