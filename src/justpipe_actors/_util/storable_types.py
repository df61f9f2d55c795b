"""Choose the coder of an annotation: how its values are written as JSON and read back.

``KnownTypes`` calls ``make_coder`` once per annotation and keeps the coder.  Where an
annotation names no class with fields, as ``Any`` or a protocol, values of all known
classes are allowed, and the name of the class is written beside the value.
"""

from __future__ import annotations

import types
import typing
from collections.abc import (
    Collection,
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    Sequence,
    Set as AnySet,
)
from enum import Enum, Flag
from pathlib import PurePath
from typing import Any, Literal, NewType, Union, get_args, get_origin

import attrs

from .storable_classes import record_coder, typed_dict_coder
from .storable_values import (
    PLAIN,
    SCALARS,
    TAG,
    Coder,
    KnownTypes,
    Plain,
    Refused,
    are_plain,
    are_texts,
    decode_pairs,
    encode_fields,
    encode_items,
    exactly,
    misfit,
)


_JSON_SCALARS = (str, bool, int, float, type(None))

_WRAPPERS = {typing.Final, typing.ClassVar, typing.Required, typing.NotRequired}

_SEQUENCES = {Sequence, MutableSequence, Collection, Iterable}

_MAPPINGS = {Mapping, MutableMapping}


def make_coder(known: KnownTypes, hint: Any) -> Coder:
    """Return the coder of an annotation; ``Any`` allows any known value."""
    inner = _unwrapped(hint)
    if inner is not hint:
        return known.coder(inner)
    origin = get_origin(hint)
    if origin is Literal:
        return _literal(hint)
    if origin in {Union, types.UnionType}:
        return _union(known, hint)
    if origin is not None:
        return _generic(known, hint, origin)
    # ``Any`` is a class since Python 3.11.
    if isinstance(hint, type) and hint not in {object, Any}:
        return _class(known, hint)
    return known.untyped


def _unwrapped(hint: Any) -> Any:
    """Return the annotation behind an alias or inside of ``Annotated``."""
    if hint is None:
        return type(None)
    if isinstance(hint, NewType):
        return hint.__supertype__
    if type(hint).__name__ == "TypeAliasType":
        return hint.__value__
    if get_origin(hint) is typing.Annotated or get_origin(hint) in _WRAPPERS:
        return get_args(hint)[0]
    return hint


def as_list(plain: Plain) -> list[Plain]:
    """Return stored data that must be a list; a text is one of letters otherwise."""
    if type(plain) is not list:
        msg = f"{plain!r:.40} is no list"
        raise TypeError(msg)
    return plain


def _class(known: KnownTypes, cls: type) -> Coder:
    if cls is float:
        # An int where a float is annotated is what type checkers allow.
        return _numbers(known)
    if issubclass(cls, PurePath):
        return _path(known, cls)
    if cls in _JSON_SCALARS or cls in SCALARS or cls in _BARE:
        made = exactly(cls, cls, known.untyped.encode, known.untyped.decode)
        return attrs.evolve(made, leaf=frozenset({cls}) & PLAIN)
    if typing.is_typeddict(cls):
        return typed_dict_coder(known, cls)
    coder = _enum(cls) or record_coder(known, cls)
    if coder is None:
        return _unknown(known, cls)
    known.allow(cls, coder)
    return coder


_BARE = {list, dict, tuple, set, frozenset}


def _numbers(known: KnownTypes) -> Coder:
    def encode(value: Any) -> Plain:
        if type(value) not in {int, float}:
            raise misfit(value, float)
        return known.untyped.encode(value)

    return Coder(
        "float", encode, known.untyped.decode, lambda value: type(value) in {int, float}
    )


def _path(known: KnownTypes, cls: type) -> Coder:
    def encode(value: Any) -> Plain:
        if not isinstance(value, cls):
            raise misfit(value, cls)
        return known.untyped.encode(value)

    return Coder(
        cls.__qualname__,
        encode,
        known.untyped.decode,
        lambda value: isinstance(value, cls),
    )


def _unknown(known: KnownTypes, cls: type) -> Coder:
    """Return the coder for a class that has no fields: only known subclasses are taken."""
    if getattr(cls, "_is_protocol", False) or cls in _SEQUENCES | _MAPPINGS:
        return known.untyped

    def refuse(value: Any) -> Plain:
        raise Refused(value, "it is no dataclass or the like, whose fields are known")

    return exactly(cls, cls, refuse, known.untyped.decode)


def _enum(cls: type) -> Coder | None:
    if not issubclass(cls, Enum):
        return None
    if issubclass(cls, Flag):
        return exactly(cls, cls, lambda value: value.value, cls)
    return exactly(cls, cls, lambda value: value.name, lambda name: cls[name])


def _literal(hint: Any) -> Coder:
    values = get_args(hint)
    plain = {
        (type(one), one): one.name if isinstance(one, Enum) else one for one in values
    }
    texts = {
        (type(p), p): key[1] for key, p in plain.items() if not isinstance(p, bytes)
    }

    def encode(value: Any) -> Plain:
        try:
            return plain[type(value), value]
        except (KeyError, TypeError):
            raise misfit(value, hint) from None

    def accepts(value: Any) -> bool:
        try:
            return (type(value), value) in plain
        except TypeError:
            return False

    return Coder(str(hint), encode, lambda one: texts[type(one), one], accepts)


def _union(known: KnownTypes, hint: Any) -> Coder:
    members = get_args(hint)
    coders = [known.coder(one) for one in members]
    # JSON itself distinguishes None, text, numbers and booleans.
    plain_ones = {one for one in members if one in _JSON_SCALARS}
    others = [number for number, one in enumerate(members) if one not in plain_ones]

    def encode(value: Any) -> Plain:
        for number, coder in enumerate(coders):
            if coder.accepts(value):
                plain = coder.encode(value)
                return {TAG: ["|", number, plain]} if number in others else plain
        raise misfit(value, hint)

    def decode(plain: Plain) -> Any:
        if isinstance(plain, dict) and plain[TAG][0] == "|":
            _tag, number, inner = plain[TAG]
            return coders[number].decode(inner)
        return known.untyped.decode(plain)

    if len(others) == 1 and plain_ones == {type(None)}:
        return _optional(hint, coders[others[0]])
    return Coder(
        str(hint), encode, decode, lambda value: any(c.accepts(value) for c in coders)
    )


def _optional(hint: Any, inner: Coder) -> Coder:
    return Coder(
        str(hint),
        lambda value: None if value is None else inner.encode(value),
        lambda plain: None if plain is None else inner.decode(plain),
        lambda value: value is None or inner.accepts(value),
    )


def _generic(known: KnownTypes, hint: Any, origin: Any) -> Coder:
    arguments = get_args(hint)
    if origin in {list, set, frozenset}:
        return _many(known, hint, origin, known.coder(arguments[0]))
    if origin is tuple:
        return _tuple(known, hint, arguments)
    if origin is dict:
        return _dict(hint, known.coder(arguments[0]), known.coder(arguments[1]))
    if origin in _SEQUENCES:
        first = arguments[0]
        some = types.GenericAlias(list, first) | types.GenericAlias(tuple, (first, ...))
        return known.coder(some)
    if origin is AnySet:
        first = arguments[0]
        some = types.GenericAlias(set, first) | types.GenericAlias(frozenset, first)
        return known.coder(some)
    if origin in _MAPPINGS:
        key, item = (known.coder(one) for one in arguments)
        return _dict(hint, key, item)
    if isinstance(origin, type):
        return known.coder(origin)
    return known.untyped


def _many(known: KnownTypes, hint: Any, cls: type, item: Coder) -> Coder:
    if item is known.untyped or cls is not list:
        return _tagged_many(known, hint, cls, item)
    return exactly(
        hint,
        list,
        lambda value: (
            value[:]
            if are_plain(value, item.leaf)
            else encode_items(item.encode, value)
        ),
        lambda plain: [item.decode(one) for one in as_list(plain)],
    )


def _tagged_many(known: KnownTypes, hint: Any, cls: type, item: Coder) -> Coder:
    if item is known.untyped:
        return exactly(hint, cls, known.untyped.encode, known.untyped.decode)

    def encode(value: Any) -> Plain:
        # Sorted by their JSON, so that a set that did not change does not look changed.
        return sorted(encode_items(item.encode, value), key=repr)

    return exactly(
        hint, cls, encode, lambda plain: cls(item.decode(one) for one in as_list(plain))
    )


def _tuple(known: KnownTypes, hint: Any, arguments: tuple[Any, ...]) -> Coder:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = known.coder(arguments[0])
        return exactly(
            hint,
            tuple,
            lambda value: encode_items(item.encode, value),
            lambda plain: tuple(item.decode(one) for one in as_list(plain)),
        )
    coders = [known.coder(one) for one in arguments]

    def encode(value: Any) -> Plain:
        if len(value) != len(coders):
            raise misfit(value, hint)
        pairs = zip(coders, value, strict=True)
        return encode_items(lambda pair: pair[0].encode(pair[1]), pairs)

    def decode(plain: Plain) -> Any:
        pairs = zip(coders, plain, strict=True)
        return tuple(coder.decode(one) for coder, one in pairs)

    return exactly(hint, tuple, encode, decode)


def _dict(hint: Any, key: Coder, item: Coder) -> Coder:
    def decode(plain: Plain) -> Any:
        if TAG in plain:
            return decode_pairs(key.decode, item.decode, plain[TAG][1])
        return {one: item.decode(value) for one, value in plain.items()}

    def encode(value: Any) -> Plain:
        if are_texts(value) and all(map(key.accepts, value)):
            if are_plain(value.values(), item.leaf):
                return value.copy()
            return encode_fields(item.encode, value)
        pairs = [[key.encode(one), item.encode(inner)] for one, inner in value.items()]
        return {TAG: ["dict", pairs]}

    return exactly(hint, dict, encode, decode)
