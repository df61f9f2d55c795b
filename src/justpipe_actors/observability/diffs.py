"""What changed between two values, all the way down; pure.

Dicts are compared by key, sequences by position, sets by member, objects by their
attributes, whether those are in a ``__dict__``, in slots, or fields of a dataclass.
Everything else, objects of the standard library included, is equal or changed.

Nothing here trusts a user's object: equality may raise or answer with an array, keys
may not be sortable, values may contain themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from enum import Enum
from typing import Any, Final

import attrs

from .showing import shown


DEEPEST = 20
"""Levels below which values are only equal or changed."""

MOST_CHANGES = 1000
"""Changes that are listed; the rest is not looked for."""

ABSENT: Final[Any] = object()
"""Stands where there was nothing."""

WHOLE = (str, bytes, bytearray, int, float, complex, bool, type(None), Enum, type)
"""Compared as a whole."""

Pair = tuple[str, Any, Any]
"""A path, what was there, and what is there now."""


@attrs.frozen(eq=False)
class Change:
    """One difference."""

    path: str
    """Where: ``user.tags[2]``; for the whole value it is empty."""
    before: Any
    """What was there; ``ABSENT`` if nothing was."""
    after: Any
    """What is there now; ``ABSENT`` if nothing is."""

    @property
    def sign(self) -> str:
        """``+`` for added, ``-`` for removed, ``~`` for changed."""
        if self.before is ABSENT:
            return "+"
        return "-" if self.after is ABSENT else "~"


def changes(before: object, after: object) -> list[Change]:
    """Return what differs, in the order of the values; up to a limit."""
    found: list[Change] = []
    for change in _walk("", before, after, frozenset()):
        found.append(change)
        if len(found) >= MOST_CHANGES:
            break
    return found


def parts_of(value: object) -> dict[Any, Any] | None:
    """Return what a value consists of, by key or attribute; None if it is one piece."""
    try:
        if isinstance(value, (*WHOLE, list, tuple, AbstractSet)):
            return None
        if isinstance(value, Mapping):
            return dict(value)
        return None if _is_opaque(value) else _attributes(value)
    except Exception:  # noqa: BLE001 - a user's object may do anything
        return None


def is_same(before: object, after: object) -> bool:
    """Tell whether two values are equal, whatever their own equality answers."""
    if before is after:
        return True
    try:
        if type(before) is type(after) and type(before).__eq__ is object.__eq__:
            return _looks_same(before, after)
        answer: Any = before == after
        while hasattr(answer, "all"):  # an array answers element by element
            answer = answer.all()
        return bool(answer)
    except Exception:  # noqa: BLE001 - a user's object may do anything
        return False


def _looks_same(before: object, after: object) -> bool:
    """Compare what has no equality: copies differ only if they show that they do."""
    if type(before).__repr__ is object.__repr__:
        return True
    return shown(before) == shown(after)


# -- walking


def _walk(
    path: str, before: object, after: object, above: frozenset[tuple[int, int]]
) -> Iterator[Change]:
    pair = (id(before), id(after))
    if before is after or pair in above:
        return
    pairs = _pairs(path, before, after) if len(above) < DEEPEST else None
    if pairs is None:
        if not is_same(before, after):
            yield Change(path, before, after)
        return
    for where, old, new in pairs:
        if old is ABSENT or new is ABSENT:
            yield Change(where, old, new)
        else:
            yield from _walk(where, old, new, above | {pair})


def _pairs(path: str, before: object, after: object) -> list[Pair] | None:
    """Pair what two values consist of; None when they are to be compared whole."""
    if type(before) is not type(after):
        return None
    try:
        match before, after:
            case ((list() | tuple()), (list() | tuple())):
                return list(_places(path, before, after))
            case AbstractSet(), AbstractSet():
                return list(_members(path, before, after))
            case _:
                mine, theirs = parts_of(before), parts_of(after)
    except Exception:  # noqa: BLE001 - a user's object may do anything
        return None
    if mine is None or theirs is None:
        return None
    name = _key if issubclass(type(before), Mapping) else _attribute
    both = {**mine, **theirs}
    return [(name(path, k), mine.get(k, ABSENT), theirs.get(k, ABSENT)) for k in both]


def _places(path: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[Pair]:
    for index in range(max(len(before), len(after))):
        old = before[index] if index < len(before) else ABSENT
        new = after[index] if index < len(after) else ABSENT
        yield f"{path}[{index}]", old, new


def _members(
    path: str, before: AbstractSet[Any], after: AbstractSet[Any]
) -> Iterator[Pair]:
    for member in before - after:
        yield f"{path}{{{shown(member)}}}", member, ABSENT
    for member in after - before:
        yield f"{path}{{{shown(member)}}}", ABSENT, member


def _key(path: str, key: object) -> str:
    if isinstance(key, str) and key.isidentifier():
        return _attribute(path, key)
    return f"{path}[{shown(key) if not isinstance(key, str) else repr(key)}]"


def _attribute(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


# -- objects


def _is_opaque(value: object) -> bool:
    """Tell whether an object's attributes are nobody's business, or an array's."""
    if hasattr(value, "__array__") or hasattr(value, "shape"):
        return True
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    if module in sys.stdlib_module_names and module not in ("types", "__main__"):
        return True
    return not (hasattr(value, "__dict__") or _slots(kind))


def _attributes(value: object) -> dict[Any, Any]:
    found = {n: getattr(value, n) for n in _slots(type(value)) if hasattr(value, n)}
    return {**found, **getattr(value, "__dict__", {})}


def _slots(kind: type) -> list[str]:
    found: list[str] = []
    for base in kind.__mro__:
        names = base.__dict__.get("__slots__", ())
        found += [names] if isinstance(names, str) else names
    return [name for name in found if name not in ("__dict__", "__weakref__")]
