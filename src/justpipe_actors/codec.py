"""Conversion of any value to JSON-safe plain data, and of known types back from it.

``to_plain`` writes and never fails.  ``from_plain`` reads with cattrs: it builds any
record of this package again, and any attrs class or dataclass with typed fields.
"""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from math import isfinite, isnan
from typing import Any, TypeVar

import attrs
import cattrs

from ._util.lazy_classes import frozen
from ._util.text import safe_str
from ._util.user_objects import call_or
from .errors import UnreadableDataError
from .events import Event, EventType
from .outcomes import PipelineTerminalStatus
from .records import OpenStatus, RunStatus


CYCLE = "<cycle>"
"""Stands for a container inside itself."""

CUT = "<...>"
"""Stands for what lies beyond a limit."""


@frozen
class Limits:
    """Limits on how much of a value is written."""

    depth: int = 64
    """Maximum number of containers inside each other."""
    values: int = 1_000_000
    """Values altogether, keys not counted."""
    text: int = 1_000_000
    """Characters of one text that an object makes of itself."""


LIMITS = Limits()
"""Default limits."""


def to_plain(value: object, limits: Limits = LIMITS) -> Any:
    """Return a copy of a value that ``json`` writes; shares nothing that can change.

    Args:
        value: the value.
        limits: the depth and size beyond which it is cut.
    """
    return _Walk(limits, limits.values).plain(value)


_BIG = 2**63

_UNSET = object()


class _Walk:
    """One traversal of a value; counts the depth and the values written so far."""

    def __init__(self, limits: Limits, left: int) -> None:
        self.limits = limits
        self._left = left
        self._above: set[int] = set()

    def plain(self, value: object) -> Any:
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        # Small integers need no further checks.
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
        return safe_str(value, limit=self.limits.text)

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

_MAX_INT_BITS = 13_000  # a little under the 4,300 digits that Python prints
_MAX_BYTES_SHOWN = 1_000


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
    """Choose a writer by the structure of a class, not by its base classes."""
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
    return exact if bits < _MAX_INT_BITS else f"<int of {bits} bits>"


def _float(walk: _Walk, value: float) -> float | str:
    exact = float.__float__(value)
    if isfinite(exact):
        return exact
    return "NaN" if isnan(exact) else "Infinity" if exact > 0 else "-Infinity"


def _set(walk: _Walk, value: Iterable[object]) -> str:
    texts = sorted(_repr(walk, member) for member in value)
    return "{" + ", ".join(texts) + "}" if texts else "set()"


def _repr(walk: _Walk, value: object) -> str:
    text = call_or(None, repr, value)
    return walk.text(value) if text is None else str.__str__(text)[: walk.limits.text]


def _bytes(walk: _Walk, value: bytes) -> str:
    text = repr(bytes(value[:_MAX_BYTES_SHOWN]))
    beyond = len(value) - _MAX_BYTES_SHOWN
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


__all__ = [
    "CUT",
    "CYCLE",
    "EVENT_KEYS",
    "LIMITS",
    "Limits",
    "converter",
    "event_to_plain",
    "from_plain",
    "from_text",
    "to_plain",
    "to_text",
]

T = TypeVar("T")


def to_text(value: object, limits: Limits = LIMITS) -> str:
    """Return a value as JSON text, ASCII only.

    Args:
        value: the value.
        limits: as for ``to_plain``.

    Examples:
        >>> from datetime import date
        >>> to_text({"day": date(2026, 1, 2), "sizes": (1, 2)})
        '{"day": "2026-01-02", "sizes": [1, 2]}'
    """
    return json.dumps(to_plain(value, limits))


def from_plain(data: object, kind: type[T]) -> T:
    """Build a value of a known type from what ``to_plain`` made of one.

    Args:
        data: the plain data.
        kind: the type.

    Returns:
        The value.

    Raises:
        UnreadableDataError: the data do not fit the type.
    """
    try:
        return converter.structure(data, kind)
    except Exception as error:
        raise UnreadableDataError(kind.__name__, str(error)) from error


def from_text(text: str, kind: type[T]) -> T:
    """Build a value of a known type from JSON text.

    Args:
        text: the text.
        kind: the type.

    Returns:
        The value.

    Raises:
        UnreadableDataError: it is no JSON, or does not fit the type.

    Examples:
        >>> from_text('"token"', EventType)
        <EventType.TOKEN: 'token'>
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableDataError(kind.__name__, str(error)) from error
    return from_plain(data, kind)


EVENT_KEYS = (
    "type",
    "stage",
    "timestamp",
    "run_id",
    "origin_run_id",
    "parent_run_id",
    "seq",
    "node_kind",
    "invocation_id",
    "parent_invocation_id",
    "owner_invocation_id",
    "attempt",
    "scope",
    "meta",
    "payload",
)
"""The keys of an event's JSON object, in their order."""


def event_to_plain(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object with its keys in the order of ``EVENT_KEYS``."""
    return {key: to_plain(getattr(event, key)) for key in EVENT_KEYS}


def _converter() -> cattrs.Converter:
    made = cattrs.Converter()
    made.register_unstructure_hook_func(lambda _: True, to_plain)
    made.register_structure_hook_func(lambda kind: kind is object, lambda data, _: data)
    made.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    made.register_structure_hook(timedelta, lambda s, _: timedelta(seconds=s))
    made.register_structure_hook(
        RunStatus, lambda word, _: _first(word, OpenStatus, PipelineTerminalStatus)
    )
    made.register_structure_hook(
        EventType | str, lambda word, _: _first(word, EventType, str)
    )
    return made


def _first(data: object, *kinds: Callable[[Any], Any]) -> Any:
    """Build the first of some types that takes the data."""
    for kind in kinds[:-1]:
        with suppress(ValueError):
            return kind(data)
    return kinds[-1](data)


converter: cattrs.Converter = _converter()
"""The cattrs converter of this module; types may register hooks of their own."""
