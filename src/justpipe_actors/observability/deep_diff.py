"""Differences as text; pure.

The keys of a state come in three sections, and below a changed key what changed in it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from enum import Enum
from itertools import pairwise
from typing import Any, Final

import attrs

from .._util.text import escape_controls, short_text, truncate


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
    return short_text(before) == short_text(after)


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
        yield f"{path}{{{short_text(member)}}}", member, ABSENT
    for member in after - before:
        yield f"{path}{{{short_text(member)}}}", ABSENT, member


def _key(path: str, key: object) -> str:
    if isinstance(key, str) and key.isidentifier():
        return _attribute(path, key)
    return f"{path}[{short_text(key) if not isinstance(key, str) else repr(key)}]"


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


MOST_INNER = 20
"""Changes listed below one key."""

MOST_KEYS = 3
"""Keys a summary names."""


@attrs.frozen(eq=False)
class Sections:
    """The keys of two states, by what became of them."""

    added: dict[Any, Any]
    """New keys and their values."""
    removed: dict[Any, Any]
    """Keys that are gone, and the values they had."""
    changed: dict[Any, tuple[Any, Any, list[Change]]]
    """Keys with another value: the old one, the new one, and the changes in it."""


def sections_of(before: dict[Any, Any], after: dict[Any, Any]) -> Sections:
    """Sort the keys of two states."""
    changed: dict[Any, tuple[Any, Any, list[Change]]] = {}
    for key in before:
        if key in after:
            inner = changes(before[key], after[key])
            if inner:
                changed[key] = before[key], after[key], inner
    return Sections(
        added={key: value for key, value in after.items() if key not in before},
        removed={key: value for key, value in before.items() if key not in after},
        changed=changed,
    )


def diff_text(
    before_name: str, after_name: str, before: object, after: object, *, limit: int
) -> str:
    """Write the difference of two states under a heading with their names."""
    title = (
        f"State diff: {escape_controls(before_name)} → {escape_controls(after_name)}"
    )
    lines = [title, "─" * len(title)]
    mine, theirs = parts_of(before), parts_of(after)
    if mine is not None and theirs is not None:
        lines += _sections(sections_of(mine, theirs), limit) or ["No changes."]
    elif is_same(before, after):
        lines.append("No changes.")
    else:
        lines += [f"Before: {_shown(before, limit)}", f"After:  {_shown(after, limit)}"]
        lines += _inner("", changes(before, after), limit)
    return "\n".join(lines)


def summary_text(named: list[tuple[str, Any]]) -> str:
    """Write how many keys each state differs by from the one before it."""
    lines = ["State Changes Summary"]
    for (_, before), (name, after) in pairwise(named):
        mine, theirs = parts_of(before), parts_of(after)
        if mine is None or theirs is None:
            if not is_same(before, after):
                lines += ["", f"{name}:", "  replaced"]
            continue
        lines += _step(name, sections_of(mine, theirs))
    return "\n".join(lines)


def _step(name: str, found: Sections) -> list[str]:
    counts = (len(found.added), len(found.removed), len(found.changed))
    if not any(counts):
        return []
    lines = ["", f"{name}:", "  +{}, -{}, ~{}".format(*counts)]
    for word, keys in (("added", list(found.added)), ("changed", list(found.changed))):
        if keys:
            more = ", ..." if len(keys) > MOST_KEYS else ""
            lines.append(
                f"  {word}: {', '.join(map(short_text, keys[:MOST_KEYS]))}{more}"
            )
    return lines


def _sections(found: Sections, limit: int) -> list[str]:
    lines: list[str] = []
    if found.added:
        lines.append("Added:")
        lines += [
            f"  + {short_text(k)}: {_shown(v, limit)}" for k, v in found.added.items()
        ]
    if found.removed:
        lines.append("Removed:")
        lines += [
            f"  - {short_text(k)}: {_shown(v, limit)}" for k, v in found.removed.items()
        ]
    if found.changed:
        lines.append("Changed:")
    for key, (old, new, inner) in found.changed.items():
        lines.append(f"  ~ {short_text(key)}: {_both(old, new, limit)}")
        lines += _inner(short_text(key), inner, limit)
    return lines


def _inner(key: str, found: list[Change], limit: int) -> list[str]:
    """Write what changed below a key; nothing when the key itself is all there is."""
    deep = [change for change in found if change.path]
    lines = [_line(key, change, limit) for change in deep[:MOST_INNER]]
    if len(deep) > MOST_INNER:
        lines.append(f"      ... {len(deep) - MOST_INNER} more")
    return lines


def _line(key: str, change: Change, limit: int) -> str:
    joint = "" if not key or change.path.startswith(("[", "{")) else "."
    where = f"{key}{joint}{escape_controls(change.path)}"
    match change.sign:
        case "+":
            value = _shown(change.after, limit)
        case "-":
            value = _shown(change.before, limit)
        case _:
            value = _both(change.before, change.after, limit)
    return f"      {change.sign} {where}: {value}"


def _both(before: object, after: object, limit: int) -> str:
    """Write an old and a new value; in full where their kinds do not tell them apart."""
    old, new = _shown(before, limit), _shown(after, limit)
    if old == new:
        old, new = short_text(before, limit), short_text(after, limit)
    return f"{old} → {new}"


def _shown(value: object, limit: int) -> str:
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
