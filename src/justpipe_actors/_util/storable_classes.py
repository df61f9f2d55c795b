"""Coders of classes with fields: dataclasses, attrs, pydantic, msgspec and named tuples.

An instance is a JSON object of its fields, and is built again as it was: neither
validators nor ``__post_init__`` run a second time.  An attribute that is no field would be
lost, so it is refused; a cached property is left out and computed when it is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from typing import Any, TypeVar

import attrs

from .lazy_classes import frozen
from .storable_values import (
    TAG,
    Coder,
    KnownTypes,
    Plain,
    Refused,
    encode_dict,
    exactly,
)
from .user_objects import (
    annotations_of,
    call_or,
    module_names,
    resolve_hint,
    type_hints_of,
)


Unresolved = TypeVar("Unresolved")
"""The type of an annotation that cannot be resolved; allows any type that is known."""


def typed_dict_coder(known: KnownTypes, cls: Any) -> Coder:
    """Return the coder of a TypedDict; other keys are refused."""
    hints = _hints(cls)
    coders = {name: known.coder(hint) for name, hint in hints.items()}

    def encode(value: Any) -> Plain:
        made: dict[str, Plain] = {}
        for name, one in value.items():
            if name not in coders or name == TAG:
                reason = f"{cls.__name__} has no such key"
                raise Refused(one, reason).below_key(name)
            try:
                made[name] = coders[name].encode(one)
            except Refused as error:
                raise error.below_key(name) from None
        return made

    def decode(plain: Plain) -> Any:
        return {name: coders[name].decode(one) for name, one in plain.items()}

    return exactly(cls, dict, encode, decode)


@frozen
class Fields:
    """How the fields of one kind of class are found, and how an instance is built."""

    names: tuple[str, ...]
    """Names of the fields."""
    build: Callable[[dict[str, Any], Collection[str]], Any]
    """Returns an instance with these values, without running code of the user's.

    The second argument names the fields that were not set.
    """


def record_coder(known: KnownTypes, cls: Any) -> Coder | None:
    """Return the coder of a class with fields; None when it has none."""
    if hasattr(cls, "model_construct") and hasattr(cls, "model_fields"):
        return _model(known, cls)
    fields = _fields_of(cls)
    if fields is None:
        return None
    hints = _hints(cls)
    coders = {name: known.coder(hints.get(name, Any)) for name in fields.names}
    check = _extras(cls, frozenset(fields.names))

    def encode(value: Any) -> Plain:
        check(value)
        found = {name: one for name, one in coders.items() if hasattr(value, name)}
        made = _encode_attributes(value, found)
        if len(found) < len(coders):
            # Attributes that were deleted, or never set, stay unset after reading.
            made[_UNSET] = [name for name in coders if name not in found]
        return made

    def decode(plain: Plain) -> Any:
        unset = plain.get(_UNSET, ())
        values = {
            name: coders[name].decode(one)
            for name, one in plain.items()
            if name != _UNSET
        }
        return fields.build(values, unset)

    return exactly(cls, cls, encode, decode)


def _encode_attributes(value: Any, coders: Mapping[str, Coder]) -> dict[str, Plain]:
    made: dict[str, Plain] = {}
    for name, coder in coders.items():
        try:
            made[name] = coder.encode(getattr(value, name))
        except Refused as error:
            raise error.below_field(name) from None
    return made


_UNSET = "-"
"""The key for the names of fields that were not set."""

_MORE = "&"
"""The key for a model's fields set, private attributes and extra fields."""


def _model(known: KnownTypes, cls: Any) -> Coder:
    """Return the coder of a pydantic model; it is built again without validation."""
    coders = {
        name: known.coder(field.annotation) for name, field in cls.model_fields.items()
    }

    def encode(value: Any) -> Plain:
        more = [
            sorted(value.model_fields_set),
            encode_dict(str, known.untyped.encode, value.__pydantic_private__ or {}),
            encode_dict(str, known.untyped.encode, value.__pydantic_extra__ or {}),
        ]
        return _encode_attributes(value, coders) | {_MORE: more}

    def decode(plain: Plain) -> Any:
        fields_set, private, extra = plain[_MORE]
        values = {name: coders[name].decode(plain[name]) for name in coders}
        values |= known.untyped.decode(extra)
        made = cls.model_construct(_fields_set=set(fields_set), **values)
        for name, one in known.untyped.decode(private).items():
            setattr(made, name, one)
        return made

    return exactly(cls, cls, encode, decode)


_WITH_CONTENTS = (dict, list, set, frozenset, str, bytes, int, float, BaseException)
"""Builtins with contents besides fields; subclasses do not count as records."""


def _extras(cls: type, names: frozenset[str]) -> Callable[[Any], None]:
    """Return a check that refuses an instance with attributes that are no fields."""

    def check(value: Any) -> None:
        for name in getattr(value, "__dict__", ()):
            if name not in names and not isinstance(
                getattr(cls, name, None), cached_property
            ):
                found = value.__dict__[name]
                raise Refused(found, "it is no field of its class").below_field(name)

    return check


def _fields_of(cls: Any) -> Fields | None:
    named: tuple[str, ...] | None = getattr(cls, "_fields", None)
    if named is not None and issubclass(cls, tuple):
        return Fields(named, lambda values, _unset: cls(**values))
    if issubclass(cls, _WITH_CONTENTS):
        return None
    if dataclasses.is_dataclass(cls):
        made = dataclasses.fields(cls)
        defaults = {one.name: _dataclass_default(one) for one in made}
        return Fields(tuple(defaults), partial(_restore, cls, defaults))
    if attrs.has(cls):
        defaults = {one.name: _attrs_default(one) for one in attrs.fields(cls)}
        return Fields(tuple(defaults), partial(_restore, cls, defaults))
    fields: tuple[str, ...] | None = getattr(cls, "__struct_fields__", None)
    return (
        None if fields is None else Fields(fields, lambda values, _unset: cls(**values))
    )


Default = Callable[[], Any] | None
"""Makes the default of a field; None if it has none."""


def _dataclass_default(field: dataclasses.Field[Any]) -> Default:
    if field.default is not dataclasses.MISSING:
        default = field.default
        return lambda: default
    made = field.default_factory
    return None if made is dataclasses.MISSING else made


def _attrs_default(field: attrs.Attribute[Any]) -> Default:
    default = field.default
    if default is attrs.NOTHING:
        return None
    factory: Any = getattr(default, "factory", None)
    if factory is None:
        return lambda: default
    return None if getattr(default, "takes_self", False) else factory


def _restore(
    cls: Any,
    defaults: Mapping[str, Default],
    values: dict[str, Any],
    unset: Collection[str],
) -> Any:
    """Return an instance as it was: neither validators nor ``__post_init__`` run again.

    A field that a later version has added gets its default.

    Raises:
        TypeError: a field is missing that has no default.
    """
    made: Any = object.__new__(cls)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    for name, default in defaults.items():
        if name in values or name in unset:
            continue
        if default is None:
            msg = f"the field '{name}' of {cls.__name__} is missing"
            raise TypeError(msg)
        object.__setattr__(made, name, default())
    return made


def _hints(cls: Any) -> dict[str, Any]:
    """Return the annotations of a class; an unresolved one allows any known type."""
    hints = type_hints_of(cls)
    if hints is not None:
        return hints
    return {name: _resolved(base, hint) for base, name, hint in annotations_of(cls)}


def _resolved(cls: type, hint: Any) -> Any:
    if not isinstance(hint, str):
        return hint
    names = {**module_names(cls), cls.__name__: cls}
    return call_or(Unresolved, resolve_hint, hint, names)
