"""Values without an annotation as JSON, and the coders of those that have one.

::

    text, bool, None, int, finite float, list, dict     as JSON has them
    anything else                                       {"$": [tag, ...]}

What an annotation says need not be tagged: a dataclass where its field says so is a JSON
object of its fields.  Where there is no annotation (``Any``, ``object``), instances of
known classes have the tag ``@`` and their class's name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from math import isfinite
from pathlib import (
    Path,
    PosixPath,
    PurePath,
    PurePosixPath,
    PureWindowsPath,
    WindowsPath,
)
from typing import Any, NoReturn
from uuid import UUID

from .lazy_classes import frozen


TAG = "$"
"""The key that marks an encoded value that is no JSON object."""

CLASS = "@"
"""Tag of an instance that no annotation gives the class of."""

BIG = 2**63
"""Larger integers are tagged: JSON readers, and Python's own limit, reject them."""

Plain = Any
"""JSON data: None, bool, int, float, str, and lists and dicts of them."""


class Refused(Exception):
    """A value cannot be stored; the path is put together on the way out."""

    def __init__(self, value: object, reason: str, remedy: str | None = None) -> None:
        super().__init__(reason)
        self.kind = type(value).__qualname__
        self.reason = reason
        self.remedy = remedy
        self.path: list[str] = []

    def below_key(self, key: object) -> Refused:
        """Note that it was found below a key or an index; return it, to be raised again."""
        self.path.insert(0, f"[{key!r}]")
        return self

    def below_field(self, name: str) -> Refused:
        """Note that it was found in a field; return it, to be raised again."""
        self.path.insert(0, f".{name}")
        return self


@frozen(eq=False)
class Coder:
    """Writes and reads the values of one annotation."""

    name: str
    """The annotation, to be shown."""
    encode: Callable[[Any], Plain]
    """Returns JSON data that share nothing changeable with the value, or raises Refused."""
    decode: Callable[[Plain], Any]
    """Returns the value, or raises anything."""
    accepts: Callable[[Any], bool]
    """Whether a value is of this annotation, for unions; looks at the outermost class only."""
    leaf: frozenset[type] = frozenset()
    """The class of its values, if these are JSON data without encoding; else None."""


def exactly(
    hint: Any,
    cls: type,
    encode: Callable[[Any], Plain],
    decode: Callable[[Plain], Any],
) -> Coder:
    """Return a coder that takes instances of one class and of no subclass."""

    def checked(value: Any) -> Plain:
        if type(value) is not cls:
            raise misfit(value, hint)
        return encode(value)

    return Coder(_name(hint), checked, decode, lambda value: type(value) is cls)


OTHER_CLASS = (
    "Store a value of exactly that class, name both classes in a union, or keep a live "
    "object (a client, a lock, a file) in a @pipe.resource."
)
"""What to do about a value of another class than its annotation's."""


def misfit(value: Any, hint: Any) -> Refused:
    """Return the error of a value that does not fit its annotation."""
    return Refused(value, f"its annotation says {_name(hint)}", OTHER_CLASS)


def _name(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)


class KnownTypes:
    """The annotations that were met, and the classes they name.

    Args:
        make: returns the coder of an annotation.
    """

    def __init__(self, make: Callable[[KnownTypes, Any], Coder]) -> None:
        self._make = make
        self._by_name: dict[str, Coder] = {}
        self._by_class: dict[type, tuple[str, Coder]] = {}
        self._coders: dict[Any, Coder] = {}
        self.untyped = Coder("Any", self._encode, self._decode, lambda _value: True)

    def coder(self, hint: Any) -> Coder:
        """Return the coder of an annotation, made once."""
        try:
            found = self._coders.get(hint)
        except TypeError:
            return self.untyped  # an annotation that cannot be hashed names no class
        if found is None:
            # For a class that contains itself: a coder that looks up the final one.
            self._coders[hint] = Coder(
                str(hint),
                lambda value: self._coders[hint].encode(value),
                lambda plain: self._coders[hint].decode(plain),
                lambda value: self._coders[hint].accepts(value),
            )
            found = self._coders[hint] = self._make(self, hint)
        return found

    def add_blank(self, hint: object) -> None:
        """Store nothing where this annotation stands."""
        self._coders[hint] = Coder(
            str(hint), lambda _value: None, lambda _plain: None, lambda _value: True
        )

    def allow(self, cls: type, coder: Coder) -> None:
        """Allow instances of a class although no annotation names it."""
        name = f"{cls.__module__}.{cls.__qualname__}"
        self._by_class[cls] = (name, coder)
        self._by_name[name] = coder

    # -- values without an annotation

    def _encode(self, value: Any) -> Plain:
        kind = type(value)
        if kind is str or value is None or kind is bool:
            return value
        if kind is int and -BIG < value < BIG:
            return value
        if kind is float and isfinite(value):
            return value
        if kind is list:
            return value[:] if are_plain(value) else encode_items(self._encode, value)
        if kind is dict:
            if are_texts(value) and are_plain(value.values()):
                return value.copy()
            return encode_dict(self._encode, self._encode, value)
        return self._encode_tagged(value, kind)

    def _encode_tagged(self, value: Any, kind: type) -> Plain:
        tagged = _TAGGED.get(kind)
        if tagged is not None:
            tag, write, _read = tagged
            return {TAG: [tag, write(self._encode, value)]}
        known = self._by_class.get(kind)
        if known is None:
            reason = "no annotation names its class, nor do the journal's types="
            raise Refused(value, reason)
        name, coder = known
        return {TAG: [CLASS, name, coder.encode(value)]}

    def _decode(self, plain: Plain) -> Any:
        kind = type(plain)
        if kind is list:
            return [self._decode(one) for one in plain]
        if kind is not dict:
            return plain
        if TAG not in plain:
            return {key: self._decode(value) for key, value in plain.items()}
        tag, *rest = plain[TAG]
        if tag == "dict":
            return decode_pairs(self._decode, self._decode, rest[0])
        if tag == CLASS:
            return self._by_name[rest[0]].decode(rest[1])
        return _READERS[tag](self._decode, rest[0])


PLAIN: frozenset[type] = frozenset({str, bool, type(None), int})
"""Classes with values that are JSON data already, save integers beyond ``BIG``."""


def are_plain(values: Collection[Any], classes: frozenset[type] = PLAIN) -> bool:
    """Tell whether all values are of these classes, and JSON data themselves.

    perf: an element costs a tenth of what encoding it alone does.
    """
    kinds = set(map(type, values))
    if kinds == {int} and int in classes:
        return bool(min(values) > -BIG and max(values) < BIG)
    return int not in kinds and kinds <= classes


def encode_items(encode: Callable[[Any], Plain], values: Iterable[Any]) -> list[Plain]:
    """Return the items of a sequence as JSON data."""
    made: list[Plain] = []
    for value in values:
        try:
            made.append(encode(value))
        except Refused as error:
            raise error.below_key(len(made)) from None
    return made


def are_texts(value: dict[Any, Any]) -> bool:
    """Tell whether the keys of a dict are those of a JSON object."""
    return set(map(type, value)) <= {str} and TAG not in value


def encode_fields(
    encode: Callable[[Any], Plain], value: dict[str, Any]
) -> dict[str, Plain]:
    """Return a dict with text keys as a JSON object."""
    made: dict[str, Plain] = {}
    for key, one in value.items():
        try:
            made[key] = encode(one)
        except Refused as error:
            raise error.below_key(key) from None
    return made


def encode_dict(
    encode_key: Callable[[Any], Plain],
    encode: Callable[[Any], Plain],
    value: dict[Any, Any],
) -> Plain:
    """Return a dict as a JSON object; as pairs when its keys are no plain texts."""
    if are_texts(value):
        return encode_fields(encode, value)
    pairs: list[Plain] = []
    for key, one in value.items():
        try:
            pairs.append([encode_key(key), encode(one)])
        except Refused as error:
            raise error.below_key(key) from None
    return {TAG: ["dict", pairs]}


def decode_pairs(
    decode_key: Callable[[Plain], Any], decode: Callable[[Plain], Any], pairs: Plain
) -> dict[Any, Any]:
    """Return the dict of some pairs."""
    return {decode_key(key): decode(value) for key, value in pairs}


# -- builtins that JSON does not have: tag, how to write, how to read


def _text(_encode: Callable[[Any], Plain], value: Any) -> str:
    return str(value)


def _iso(_encode: Callable[[Any], Plain], value: Any) -> Any:
    if isinstance(value, datetime | time) and value.tzinfo is not None:
        # An offset does not know daylight saving time, ``zoneinfo`` does.
        key = getattr(value.tzinfo, "key", None)
        if key is not None and key != "UTC":
            return [value.replace(tzinfo=None).isoformat(), value.fold, str(key)]
        if value.utcoffset() is None:
            _refuse(value, "its time zone has no offset")
    return value.isoformat()


def _moment(_decode: Callable[[Plain], Any], plain: Any) -> datetime:
    if isinstance(plain, str):
        return datetime.fromisoformat(plain)
    text, fold, key = plain
    return datetime.fromisoformat(text).replace(tzinfo=_zone(key), fold=fold)


def _clock(_decode: Callable[[Plain], Any], plain: Any) -> time:
    if isinstance(plain, str):
        return time.fromisoformat(plain)
    text, fold, key = plain
    return time.fromisoformat(text).replace(tzinfo=_zone(key), fold=fold)


def _zone(key: str) -> Any:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - few values have one

    return ZoneInfo(key)


def _refuse(value: object, reason: str) -> NoReturn:
    raise Refused(value, reason)


def _sorted_items(encode: Callable[[Any], Plain], value: Iterable[Any]) -> list[Plain]:
    # Sorted, so that a set that did not change does not look changed.
    return sorted(encode_items(encode, value), key=partial(json.dumps, sort_keys=True))


def _items(encode: Callable[[Any], Plain], value: Iterable[Any]) -> list[Plain]:
    return encode_items(encode, value)


_PATHS = (Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath)


def _read_with(build: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda _decode, plain: build(plain)


def _read_many(build: Callable[[Iterable[Any]], Any]) -> Callable[[Any, Any], Any]:
    return lambda decode, plain: build(decode(one) for one in plain)


def _read_path(_decode: Callable[[Plain], Any], plain: Any) -> PurePath:
    name, text = plain
    return next(cls for cls in _PATHS if cls.__name__ == name)(text)


_TAGGED: dict[type, tuple[str, Callable[..., Plain], Callable[..., Any]]] = {
    int: ("int", lambda _encode, value: hex(value), _read_with(lambda p: int(p, 16))),
    float: ("float", _text, _read_with(float)),
    complex: (
        "complex",
        lambda _encode, value: [repr(value.real), repr(value.imag)],
        _read_with(lambda p: complex(float(p[0]), float(p[1]))),
    ),
    bytes: ("bytes", lambda _e, value: value.hex(), _read_with(bytes.fromhex)),
    bytearray: (
        "bytearray",
        lambda _e, value: value.hex(),
        _read_with(bytearray.fromhex),
    ),
    tuple: ("tuple", _items, _read_many(tuple)),
    set: ("set", _sorted_items, _read_many(set)),
    frozenset: ("frozenset", _sorted_items, _read_many(frozenset)),
    range: (
        "range",
        lambda _e, value: [value.start, value.stop, value.step],
        _read_with(lambda p: range(*p)),
    ),
    datetime: ("datetime", _iso, _moment),
    date: ("date", _iso, _read_with(date.fromisoformat)),
    time: ("time", _iso, _clock),
    timedelta: (
        "timedelta",
        lambda _e, value: [value.days, value.seconds, value.microseconds],
        _read_with(lambda p: timedelta(*p)),
    ),
    Decimal: ("Decimal", _text, _read_with(Decimal)),
    UUID: ("UUID", _text, _read_with(UUID)),
} | {
    cls: ("Path", lambda _e, value: [type(value).__name__, str(value)], _read_path)
    for cls in _PATHS
}

_READERS = {tag: read for tag, _write, read in _TAGGED.values()}

SCALARS = frozenset(_TAGGED) - {tuple, set, frozenset}
"""Builtins without contents that JSON does not have, or not always."""


to_text: Callable[[Plain], str] = json.JSONEncoder(separators=(",", ":")).encode
"""Returns JSON text; every text can be read again, also with lone surrogates.

perf: ``json.dumps`` makes an encoder for each call.
"""
