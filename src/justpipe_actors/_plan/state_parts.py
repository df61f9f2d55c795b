"""The parts of a state: how they are read, compared and assigned.

The parts of a dict are its keys, those of a record its attributes.  Records are
dataclasses, attrs classes and pydantic models; at the root of a state, any object that
has attributes.  Everything else is one value, compared as a whole.
"""

from __future__ import annotations

import copy
import datetime
import functools
import re
import types
from collections.abc import Callable, Hashable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath
from typing import Any, cast
from uuid import UUID

import attrs

from .._util.lazy_classes import frozen
from ..merge import MISSING


Key = Hashable
"""Names a part: an attribute's name, or a key of a dict."""

ATOMS: frozenset[type] = frozenset(
    (
        type(None), bool, int, float, complex, str, bytes, range, type(...),
        type(NotImplemented), Decimal, Fraction, UUID, re.Pattern, datetime.date,
        datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone,
        PurePosixPath, PureWindowsPath, Path, PosixPath, types.FunctionType,
        types.BuiltinFunctionType, types.ModuleType, type,
    )
)  # fmt: skip
"""Immutable types: a copy of their values is the value itself."""

VALUES = (list, set, frozenset, tuple, str, bytes, int, float, complex)
"""Types that are one value, whatever attributes a subclass adds."""

_RECORD_MARKS = ("__dataclass_fields__", "__attrs_attrs__")
_DICT_SLOT_NAMES = ("__dict__", "__weakref__")
_MODEL_SLOTS = ("__pydantic_extra__", "__pydantic_private__")


def same(one: object, other: object) -> bool:
    """Tell whether two values are identical or equal; False if comparing raises."""
    if one is other:
        return True
    if one is MISSING or other is MISSING:
        return False
    try:
        return (one == other) is True
    except Exception:  # noqa: BLE001 - a user's __eq__ may do anything
        return False


# -- records


@frozen
class Shape:
    """Facts about a class that decide how its instances are copied and compared."""

    is_record: bool
    """Whether it is a dataclass, an attrs class or a pydantic model."""
    is_model: bool
    """Whether it is a pydantic model."""
    is_frozen: bool
    """Whether its attributes cannot be assigned."""
    slots: tuple[str, ...]
    """Attributes that are not in ``__dict__``."""
    cached: frozenset[str]
    """Entries of ``__dict__`` that were computed from other attributes."""
    is_plain: bool
    """Whether a new instance with the same attributes is a copy."""
    is_simple: bool
    """Whether a new instance with the same ``__dict__`` is one."""


def declares(kind: type, name: str) -> bool:
    """Tell whether a class or a base has an attribute; metaclasses are ignored."""
    return any(name in vars(base) for base in kind.__mro__)


def _look_at(kind: type) -> Shape:
    """Inspect a class and return its parts."""
    is_model = declares(kind, "__pydantic_validator__")
    is_record = is_model or any(declares(kind, mark) for mark in _RECORD_MARKS)
    is_record = is_record and not issubclass(kind, VALUES)
    slots = () if is_model else tuple(dict.fromkeys(_slots_of(kind)))
    cached = frozenset(
        name
        for base in kind.__mro__
        for name, value in vars(base).items()
        if isinstance(value, functools.cached_property)
    )
    is_plain = is_record and _is_plain(kind, is_model=is_model)
    is_simple = is_plain and not (slots or cached or is_model)
    is_frozen = _is_frozen(kind)
    return Shape(is_record, is_model, is_frozen, slots, cached, is_plain, is_simple)


shape_of: Callable[[Any], Shape] = functools.lru_cache(1024)(_look_at)


def _slots_of(kind: type) -> Iterable[str]:
    for base in reversed(kind.__mro__):
        slots = vars(base).get("__slots__", ())
        slots = (slots,) if isinstance(slots, str) else tuple(slots)
        if "__attrs_attrs__" in vars(base):
            # attrs keeps the values of cached properties in slots.
            names = {field.name for field in attrs.fields(base)}
            slots = tuple(name for name in slots if name in names)
        for name in slots:
            if name in _DICT_SLOT_NAMES:
                continue
            is_private = name.startswith("__") and not name.endswith("__")
            yield f"_{base.__name__.lstrip('_')}{name}" if is_private else name


def _is_frozen(kind: Any) -> bool:
    if declares(kind, "__dataclass_params__"):
        return bool(kind.__dataclass_params__.frozen)
    if declares(kind, "__attrs_attrs__"):
        return getattr(kind.__setattr__, "__name__", "") == "_frozen_setattrs"
    config = kind.model_config if declares(kind, "__pydantic_validator__") else None
    return isinstance(config, dict) and bool(config.get("frozen"))


def _is_plain(kind: Any, *, is_model: bool) -> bool:
    """Tell whether the attributes of an instance are its complete state."""
    if is_model:
        return getattr(kind.__deepcopy__, "__module__", "") == "pydantic.main"
    if declares(kind, "__deepcopy__") or issubclass(kind, dict):
        return False
    if any(
        getattr(kind, name) is not getattr(object, name)
        for name in ("__reduce_ex__", "__reduce__", "__new__")
    ):
        return False
    hooks = (kind.__getstate__, getattr(kind, "__setstate__", None))
    return all(getattr(hook, "__module__", None) in _GENERATED for hook in hooks)


_GENERATED = (None, "attr._make", "dataclasses")
"""Modules of pickling methods that the class itself does not define."""


def is_record(value: object) -> bool:
    """Tell whether a value is a dataclass, an attrs or a pydantic object."""
    return not isinstance(value, type) and shape_of(type(value)).is_record


@frozen(eq=False)
class Snapshot:
    """The parts of a state at one point in time, by reference."""

    kind: type
    """The state's class."""
    parts: Mapping[Key, Any]
    """The parts by attribute name or key."""


def snapshot_of(state: Any) -> Any:
    """Return the parts of a state as they are now; of one without parts, a copy."""
    if has_parts(state):
        return Snapshot(type(state), dict(parts_of(state)))
    return copy.copy(state)


def kind_of(value: object) -> type:
    """Return the class of a state, or of the state that a snapshot is of."""
    return value.kind if isinstance(value, Snapshot) else type(value)


def parts_of(value: object) -> Mapping[Key, object]:
    """Return the parts of a dict or an object by key; callers must not change them."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Snapshot):
        return value.parts
    shape = shape_of(type(value))
    if shape.is_simple:  # perf: most states (test_isolation_cost.py)
        held: dict[Key, object] = vars(value).copy()  # type: ignore[assignment]
        return held
    parts: dict[Key, object] = {}
    for name in shape.slots:
        found = _slot_value(value, name)
        if found is not MISSING:
            parts[name] = found
    own: dict[str, object] = getattr(value, "__dict__", {})
    parts.update((k, v) for k, v in own.items() if k not in shape.cached)
    if shape.is_model:
        for slot in _MODEL_SLOTS:
            parts.update(getattr(value, slot, None) or {})
    return parts


def _slot_value(value: object, name: str) -> object:
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return MISSING


def has_parts(value: object) -> bool:
    """Tell whether a state has parts: whether it is a dict, or an object with attributes."""
    if isinstance(value, (dict, Snapshot)):
        return True
    if isinstance(value, (type, Enum, *VALUES)) or type(value) in ATOMS:
        return False
    return hasattr(value, "__dict__") or bool(shape_of(type(value)).slots)


def set_part(target: Any, key: Any, value: object) -> None:
    """Assign one part, past validators, properties and ``frozen``.

    Args:
        target: a dict or an object.
        key: the part.
        value: what to assign; ``Merge.MISSING`` removes it.
    """
    if isinstance(target, dict):
        _set_item(target, key, value)
        return
    shape = shape_of(type(target))
    if key in shape.slots:
        if value is not MISSING:
            object.__setattr__(target, key, value)
        elif _slot_value(target, key) is not MISSING:
            object.__delattr__(target, key)
        return
    holder = _holder(target, key) if shape.is_model else vars(target)
    _set_item(holder, key, value)
    if shape.is_model and holder is vars(target) and value is not MISSING:
        target.__pydantic_fields_set__.add(key)


def _set_item(target: dict[Any, Any], key: object, value: object) -> None:
    if value is MISSING:
        target.pop(key, None)
    else:
        target[key] = value


def _holder(model: Any, name: str) -> dict[Any, Any]:
    """Return where a pydantic model keeps an attribute."""
    if name in type(model).__private_attributes__:
        if model.__pydantic_private__ is None:
            object.__setattr__(model, "__pydantic_private__", {})
        return cast("dict[Any, Any]", model.__pydantic_private__)
    extra: dict[Any, Any] | None = model.__pydantic_extra__
    is_field = name in vars(model) or name in type(model).model_fields
    return vars(model) if is_field or extra is None else extra


def renewed(value: Any, changes: Mapping[Key, object]) -> Any:
    """Return a shallow copy of a dict or record with some parts replaced or removed."""
    shape = shape_of(type(value))
    if isinstance(value, dict) or not shape.is_plain:
        new = copy.copy(value)
        for name in shape.cached:
            getattr(new, "__dict__", {}).pop(name, None)
    else:
        new = empty_like(value, shape)
        for key, part in parts_of(value).items():
            set_part(new, key, part)
    for key, part in changes.items():
        set_part(new, key, part)
    return new


def empty_like(value: Any, shape: Shape) -> Any:
    kind = type(value)
    new = object.__new__(kind)
    if shape.is_model:
        fields = set(value.__pydantic_fields_set__)
        object.__setattr__(new, "__dict__", {})
        object.__setattr__(new, "__pydantic_fields_set__", fields)
        for slot in _MODEL_SLOTS:
            is_absent = getattr(value, slot, None) is None
            object.__setattr__(new, slot, None if is_absent else {})
    return new
