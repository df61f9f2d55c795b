"""Differences as text; pure.

The keys of a state are listed in three sections (added, removed, changed); the changes
inside a value are listed below its key.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from enum import Enum
from itertools import pairwise
from typing import Any, Final

import attrs

from .._util.text import escape_controls, short_text, truncate
from .._util.user_objects import call_or


MAX_DEPTH = 20
"""Levels below which values are only equal or changed."""

MAX_CHANGES = 1000
"""Changes that are listed; the rest is not looked for."""

ABSENT: Final[Any] = object()
"""Placeholder for a missing value."""

ATOMIC_TYPES = (
    str,
    bytes,
    bytearray,
    int,
    float,
    complex,
    bool,
    type(None),
    Enum,
    type,
)
"""Types that are compared as a whole."""

Pair = tuple[str, Any, Any]
"""A path, the value before, and the value now."""


@attrs.frozen(eq=False)
class Change:
    """One difference."""

    path: str
    """Path of the value, such as ``user.tags[2]``; empty for the whole value."""
    before: Any
    """The previous value; ``ABSENT`` if there was none."""
    after: Any
    """The value now; ``ABSENT`` if there is none."""

    @property
    def sign(self) -> str:
        """``+`` for added, ``-`` for removed, ``~`` for changed."""
        if self.before is ABSENT:
            return "+"
        return "-" if self.after is ABSENT else "~"


def find_changes(before: object, after: object) -> list[Change]:
    """Return the differences in the order of the values, up to a limit."""
    found: list[Change] = []
    for change in _find_changes("", before, after, frozenset()):
        found.append(change)
        if len(found) >= MAX_CHANGES:
            break
    return found


def fields_of(value: object) -> dict[Any, Any] | None:
    """Return the parts of a value by key or attribute; None if it has none."""
    return call_or(None, _fields_of, value)


def _fields_of(value: object) -> dict[Any, Any] | None:
    if isinstance(value, (*ATOMIC_TYPES, list, tuple, AbstractSet)):
        return None
    if isinstance(value, Mapping):
        return dict(value)
    return None if _is_opaque(value) else _attributes(value)


def are_equal(before: object, after: object) -> bool:
    """Tell whether two values are equal, even if their ``__eq__`` raises."""
    return before is after or bool(call_or(None, _are_equal, before, after))


def _are_equal(before: object, after: object) -> bool:
    if type(before) is type(after) and type(before).__eq__ is object.__eq__:
        return _have_same_repr(before, after)
    is_equal: Any = before == after
    while hasattr(is_equal, "all"):  # an array answers element by element
        is_equal = is_equal.all()
    return bool(is_equal)


def _have_same_repr(before: object, after: object) -> bool:
    """Compare objects without ``__eq__`` by their ``repr``."""
    if type(before).__repr__ is object.__repr__:
        return True
    return short_text(before) == short_text(after)


# -- walking


def _find_changes(
    path: str, before: object, after: object, ancestors: frozenset[tuple[int, int]]
) -> Iterator[Change]:
    pair = (id(before), id(after))
    if before is after or pair in ancestors:
        return
    pairs = _child_pairs(path, before, after) if len(ancestors) < MAX_DEPTH else None
    if pairs is None:
        if not are_equal(before, after):
            yield Change(path, before, after)
        return
    for child_path, old, new in pairs:
        if old is ABSENT or new is ABSENT:
            yield Change(child_path, old, new)
        else:
            yield from _find_changes(child_path, old, new, ancestors | {pair})


def _child_pairs(path: str, before: object, after: object) -> list[Pair] | None:
    """Pair the parts of two values; None if they must be compared whole."""
    if type(before) is not type(after):
        return None
    return call_or(None, _pairs_of, path, before, after)


def _pairs_of(path: str, before: object, after: object) -> list[Pair] | None:
    match before, after:
        case ((list() | tuple()), (list() | tuple())):
            return list(_item_pairs(path, before, after))
        case AbstractSet(), AbstractSet():
            return list(_member_pairs(path, before, after))
        case _:
            return _field_pairs(path, before, after)


def _field_pairs(path: str, before: object, after: object) -> list[Pair] | None:
    before_fields, after_fields = fields_of(before), fields_of(after)
    if before_fields is None or after_fields is None:
        return None
    name = _key_path if issubclass(type(before), Mapping) else _attribute_path
    all_fields = {**before_fields, **after_fields}
    return [
        (name(path, k), before_fields.get(k, ABSENT), after_fields.get(k, ABSENT))
        for k in all_fields
    ]


def _item_pairs(
    path: str, before: Sequence[Any], after: Sequence[Any]
) -> Iterator[Pair]:
    for index in range(max(len(before), len(after))):
        old = before[index] if index < len(before) else ABSENT
        new = after[index] if index < len(after) else ABSENT
        yield f"{path}[{index}]", old, new


def _member_pairs(
    path: str, before: AbstractSet[Any], after: AbstractSet[Any]
) -> Iterator[Pair]:
    for member in before - after:
        yield f"{path}{{{short_text(member)}}}", member, ABSENT
    for member in after - before:
        yield f"{path}{{{short_text(member)}}}", ABSENT, member


def _key_path(path: str, key: object) -> str:
    if isinstance(key, str) and key.isidentifier():
        return _attribute_path(path, key)
    return f"{path}[{short_text(key) if not isinstance(key, str) else repr(key)}]"


def _attribute_path(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


# -- objects


def _is_opaque(value: object) -> bool:
    """Tell whether to compare an object as a whole: arrays and stdlib objects."""
    if hasattr(value, "__array__") or hasattr(value, "shape"):
        return True
    cls = type(value)
    module = cls.__module__.partition(".")[0]
    if module in sys.stdlib_module_names and module not in ("types", "__main__"):
        return True
    return not (hasattr(value, "__dict__") or _slot_names(cls))


def _attributes(value: object) -> dict[Any, Any]:
    found = {
        n: getattr(value, n) for n in _slot_names(type(value)) if hasattr(value, n)
    }
    return {**found, **getattr(value, "__dict__", {})}


def _slot_names(cls: type) -> list[str]:
    found: list[str] = []
    for base in cls.__mro__:
        names = base.__dict__.get("__slots__", ())
        found += [names] if isinstance(names, str) else names
    return [name for name in found if name not in ("__dict__", "__weakref__")]


MAX_INNER_CHANGES = 20
"""Changes listed below one key."""

MAX_KEYS_NAMED = 3
"""Keys a summary names."""


@attrs.frozen(eq=False)
class KeyChanges:
    """The keys of two states, by what became of them."""

    added: dict[Any, Any]
    """New keys and their values."""
    removed: dict[Any, Any]
    """Keys that are gone, and the values they had."""
    changed: dict[Any, tuple[Any, Any, list[Change]]]
    """Keys with another value: the old one, the new one, and the changes in it."""


def key_changes(before: dict[Any, Any], after: dict[Any, Any]) -> KeyChanges:
    """Sort the keys of two states."""
    changed: dict[Any, tuple[Any, Any, list[Change]]] = {}
    for key in before:
        if key in after:
            inner = find_changes(before[key], after[key])
            if inner:
                changed[key] = before[key], after[key], inner
    return KeyChanges(
        added={key: value for key, value in after.items() if key not in before},
        removed={key: value for key, value in before.items() if key not in after},
        changed=changed,
    )


def format_diff(
    before_name: str, after_name: str, before: object, after: object, *, limit: int
) -> str:
    """Write the difference of two states under a heading with their names."""
    title = (
        f"State diff: {escape_controls(before_name)} → {escape_controls(after_name)}"
    )
    lines = [title, "─" * len(title)]
    before_fields, after_fields = fields_of(before), fields_of(after)
    if before_fields is not None and after_fields is not None:
        lines += _section_lines(key_changes(before_fields, after_fields), limit) or [
            "No changes."
        ]
    elif are_equal(before, after):
        lines.append("No changes.")
    else:
        lines += [
            f"Before: {_value_text(before, limit)}",
            f"After:  {_value_text(after, limit)}",
        ]
        lines += _inner_lines("", find_changes(before, after), limit)
    return "\n".join(lines)


def format_summary(snapshots: list[tuple[str, Any]]) -> str:
    """Write how many keys each state differs by from the one before it."""
    lines = ["State Changes Summary"]
    for (_, before), (name, after) in pairwise(snapshots):
        before_fields, after_fields = fields_of(before), fields_of(after)
        if before_fields is None or after_fields is None:
            if not are_equal(before, after):
                lines += ["", f"{name}:", "  replaced"]
            continue
        lines += _summary_lines(name, key_changes(before_fields, after_fields))
    return "\n".join(lines)


def _summary_lines(name: str, found: KeyChanges) -> list[str]:
    counts = (len(found.added), len(found.removed), len(found.changed))
    if not any(counts):
        return []
    lines = ["", f"{name}:", "  +{}, -{}, ~{}".format(*counts)]
    for change_name, keys in (
        ("added", list(found.added)),
        ("changed", list(found.changed)),
    ):
        if keys:
            more = ", ..." if len(keys) > MAX_KEYS_NAMED else ""
            lines.append(
                f"  {change_name}: {', '.join(map(short_text, keys[:MAX_KEYS_NAMED]))}{more}"
            )
    return lines


def _section_lines(found: KeyChanges, limit: int) -> list[str]:
    lines: list[str] = []
    if found.added:
        lines.append("Added:")
        lines += [
            f"  + {short_text(k)}: {_value_text(v, limit)}"
            for k, v in found.added.items()
        ]
    if found.removed:
        lines.append("Removed:")
        lines += [
            f"  - {short_text(k)}: {_value_text(v, limit)}"
            for k, v in found.removed.items()
        ]
    if found.changed:
        lines.append("Changed:")
    for key, (old, new, inner) in found.changed.items():
        lines.append(f"  ~ {short_text(key)}: {_old_and_new(old, new, limit)}")
        lines += _inner_lines(short_text(key), inner, limit)
    return lines


def _inner_lines(key: str, found: list[Change], limit: int) -> list[str]:
    """Write the changes below a key; nothing if only the key's own value changed."""
    nested = [change for change in found if change.path]
    lines = [_change_line(key, change, limit) for change in nested[:MAX_INNER_CHANGES]]
    if len(nested) > MAX_INNER_CHANGES:
        lines.append(f"      ... {len(nested) - MAX_INNER_CHANGES} more")
    return lines


def _change_line(key: str, change: Change, limit: int) -> str:
    separator = "" if not key or change.path.startswith(("[", "{")) else "."
    path_text = f"{key}{separator}{escape_controls(change.path)}"
    match change.sign:
        case "+":
            value = _value_text(change.after, limit)
        case "-":
            value = _value_text(change.before, limit)
        case _:
            value = _old_and_new(change.before, change.after, limit)
    return f"      {change.sign} {path_text}: {value}"


def _old_and_new(before: object, after: object, limit: int) -> str:
    """Write an old and a new value; in full where their kinds do not tell them apart."""
    old, new = _value_text(before, limit), _value_text(after, limit)
    if old == new:
        old, new = short_text(before, limit), short_text(after, limit)
    return f"{old} → {new}"


def _value_text(value: object, limit: int) -> str:
    if value is ABSENT:
        return "-"
    match value:
        case None | bool() | int() | float() | str():
            return short_text(value, limit)
        case list() | tuple():
            text = f"list({len(value)} items)"
        case dict():
            text = f"dict({len(value)} keys)"
        case set() | frozenset():
            text = f"set({len(value)} items)"
        case _:
            text = type(value).__name__
    return truncate(text, limit)
