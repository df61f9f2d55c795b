"""Differences as text; pure.

The keys of a state come in three sections, and below a changed key what changed in it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import attrs

from .diffs import ABSENT, Change, changes, is_same, parts_of
from .showing import one_line, shortened, shown


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
    title = f"State diff: {one_line(before_name)} → {one_line(after_name)}"
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
            lines.append(f"  {word}: {', '.join(map(shown, keys[:MOST_KEYS]))}{more}")
    return lines


def _sections(found: Sections, limit: int) -> list[str]:
    lines: list[str] = []
    if found.added:
        lines.append("Added:")
        lines += [f"  + {shown(k)}: {_shown(v, limit)}" for k, v in found.added.items()]
    if found.removed:
        lines.append("Removed:")
        lines += [
            f"  - {shown(k)}: {_shown(v, limit)}" for k, v in found.removed.items()
        ]
    if found.changed:
        lines.append("Changed:")
    for key, (old, new, inner) in found.changed.items():
        lines.append(f"  ~ {shown(key)}: {_both(old, new, limit)}")
        lines += _inner(shown(key), inner, limit)
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
    where = f"{key}{joint}{one_line(change.path)}"
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
        old, new = shown(before, limit), shown(after, limit)
    return f"{old} → {new}"


def _shown(value: object, limit: int) -> str:
    if value is ABSENT:
        return "-"
    match value:
        case None | bool() | int() | float() | str():
            return shown(value, limit)
        case list() | tuple():
            text = f"list({len(value)} items)"
        case dict():
            text = f"dict({len(value)} keys)"
        case set() | frozenset():
            text = f"set({len(value)} items)"
        case _:
            text = type(value).__name__
    return shortened(text, limit)
