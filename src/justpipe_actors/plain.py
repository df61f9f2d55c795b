"""Anything as JSON-safe plain data.

Writing never fails.  Users' objects may be cyclic, bottomless, enormous or hostile; each
of these costs the part at fault and nothing else.

=====================================  ==============================================
a value                                becomes
=====================================  ==============================================
str, bool, None, int, finite float     itself; an int of over 4,000 digits a text
NaN and the infinities                 ``"NaN"``, ``"Infinity"``, ``"-Infinity"``
list, tuple, deque                     array
mapping                                object; keys as ``json`` writes them, and a key
                                       that is taken gets its type behind it
Enum                                   its value
dataclass, attrs, msgspec, pydantic    object of its fields
datetime, date, time / timedelta       ISO 8601 text / seconds
set / bytes                            their text, sorted / shortened
anything else                          ``str()`` of it, or a stand-in when that raises
a container inside itself              ``"<cycle>"``
what is too deep, or too much          ``"<...>"``
=====================================  ==============================================
"""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time, timedelta
from enum import Enum
from functools import lru_cache
from math import isfinite, isnan
from typing import Any

import attrs


CYCLE = "<cycle>"
"""Stands for a container inside itself."""

CUT = "<...>"
"""Stands for what lies beyond a limit."""


@attrs.frozen
class Limits:
    """How much of a value is written."""

    depth: int = 64
    """Containers within containers."""
    values: int = 1_000_000
    """Values altogether, keys not counted."""
    text: int = 1_000_000
    """Characters of one text that an object makes of itself."""


LIMITS = Limits()
"""What is written when nothing else is said."""


def to_plain(value: object, limits: Limits = LIMITS) -> Any:
    """Return a copy of a value that ``json`` writes; shares nothing that can change."""
    return _Walk(limits, limits.values).plain(value)


_BIG = 2**63

_UNSET = object()


class _Walk:
    """One journey through a value; knows where it stands and how much it has seen."""

    def __init__(self, limits: Limits, left: int) -> None:
        self.limits = limits
        self._left = left
        self._above: set[int] = set()

    def plain(self, value: object) -> Any:
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        # The usual numbers, without a second look.
        if kind is int and -_BIG < value < _BIG:  # type: ignore[operator]
            return value
        if kind is float and isfinite(value):  # type: ignore[arg-type]
            return value
        return self._compound(value, kind)

    def _compound(self, value: object, kind: type) -> Any:
        key = id(value)
        if key in self._above:
            return CYCLE
        if len(self._above) >= self.limits.depth:
            return CUT
        self._above.add(key)
        try:
            return _writer(kind)(self, value)
        except Exception:  # noqa: BLE001 - a hostile object costs itself only
            return self.text(value)
        finally:
            self._above.discard(key)

    def text(self, value: object) -> str:
        try:
            text = str(value)
            return str.__str__(text)[: self.limits.text]
        except Exception as error:  # noqa: BLE001 - a hostile object costs itself only
            return f"<{type(value).__name__} whose text raised {type(error).__name__}>"

    def mapping(self, items: Iterable[tuple[object, object]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in items:
            if self._left <= 0:
                made[CUT] = CUT
                break
            self._left -= 1
            name = _key(self, key)
            while name in made:
                name = f"{name} ({type(key).__name__})"
            made[name] = self.plain(value)
        return made

    def fields(self, value: object, names: tuple[str, ...]) -> dict[str, Any]:
        self._left -= len(names)
        if self._left < 0:
            return {CUT: CUT}
        found = ((name, getattr(value, name, _UNSET)) for name in names)
        return {name: self.plain(part) for name, part in found if part is not _UNSET}

    def array(self, values: Iterable[object]) -> list[Any]:
        made: list[Any] = []
        for value in values:
            if self._left <= 0:
                made.append(CUT)
                break
            self._left -= 1
            made.append(self.plain(value))
        return made


def _key(walk: _Walk, key: object) -> str:
    """Name a key as ``json`` does."""
    kind = type(key)
    if kind is str:
        return str(key)
    if kind is bool or key is None:
        return json.dumps(key)
    name = walk.plain(key)
    return name if isinstance(name, str) else json.dumps(name)


# -- how each class is taken apart


_Writer = Callable[[_Walk, Any], Any]

_MOST_BITS = 13_000  # a little under the 4,300 digits that Python prints
_MOST_BYTES = 1_000


@lru_cache(maxsize=2048)
def _writer(kind: type) -> _Writer:
    """Find out once per class how its instances are written."""
    by_shape = _shape_writer(kind)
    if by_shape is not None:
        return by_shape
    for base, writer in _BY_BASE:
        if issubclass(kind, base):
            return writer
    return _Walk.text


def _shape_writer(kind: type) -> _Writer | None:
    """Know a class by what it consists of, and not by what it inherits."""
    if issubclass(kind, type):
        return None
    if callable(getattr(kind, "model_dump", None)):
        return lambda walk, value: walk.plain(value.model_dump())
    names = _field_names(kind)
    return None if names is None else lambda walk, value: walk.fields(value, names)


def _field_names(kind: type) -> tuple[str, ...] | None:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    if attrs.has(kind):
        return tuple(field.name for field in attrs.fields(kind))
    structured = getattr(kind, "__struct_fields__", None)
    return structured if isinstance(structured, tuple) else None


def _int(walk: _Walk, value: int) -> int | str:
    exact = int.__int__(value)
    bits = exact.bit_length()
    return exact if bits < _MOST_BITS else f"<int of {bits} bits>"


def _float(walk: _Walk, value: float) -> float | str:
    exact = float.__float__(value)
    if isfinite(exact):
        return exact
    return "NaN" if isnan(exact) else "Infinity" if exact > 0 else "-Infinity"


def _set(walk: _Walk, value: Iterable[object]) -> str:
    texts = sorted(_repr(walk, member) for member in value)
    return "{" + ", ".join(texts) + "}" if texts else "set()"


def _repr(walk: _Walk, value: object) -> str:
    try:
        return str.__str__(repr(value))[: walk.limits.text]
    except Exception:  # noqa: BLE001 - a hostile object costs itself only
        return walk.text(value)


def _bytes(walk: _Walk, value: bytes) -> str:
    text = repr(bytes(value[:_MOST_BYTES]))
    beyond = len(value) - _MOST_BYTES
    return text if beyond <= 0 else f"{text}... and {beyond} more bytes"


_BY_BASE: tuple[tuple[Any, _Writer], ...] = (
    (Enum, lambda walk, value: walk.plain(value.value)),
    (str, lambda walk, value: str.__str__(value)),
    (int, _int),
    (float, _float),
    (Mapping, lambda walk, value: walk.mapping(list(value.items()))),
    ((list, tuple, deque), lambda walk, value: walk.array(value)),
    ((set, frozenset), _set),
    ((bytes, bytearray, memoryview), _bytes),
    ((date, time), lambda walk, value: value.isoformat()),
    (timedelta, lambda walk, value: value.total_seconds()),
)
"""Writers by base class; the first that fits counts, so Enum is before str and int."""
