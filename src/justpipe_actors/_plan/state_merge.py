"""Differences between copies of a state, and a three-way merge of them.  Pure.

::

    base ----------- a step's copy ----------> changed     difference(base, changed)
      \\                                            |            = change
       `---- commits of other steps ---> committed |
                                              \\     |
                                               merged(base, committed, change)

A change is plain data that can be pickled and holds only changed parts, because a step
in another process sends it back.  All parts are merged before the first is assigned:
``merged`` returns the new values of the state's parts, ``assign`` puts them into the
state.  Nested objects are replaced, never changed in place, so a reference to a part
of a committed state keeps its value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from enum import Enum
from numbers import Number
from typing import Any, assert_never

from .._util.lazy_classes import frozen
from ..merge import MISSING
from .merge_rules import DEFAULT, Rule
from .state_parts import (
    Key,
    has_parts,
    is_record,
    kind_of,
    parts_of,
    renewed,
    same,
    set_part,
    shape_of,
)


# -- what was changed


@frozen(eq=False)
class Replaced:
    """A part has another value."""

    value: object
    """The new value; ``Merge.MISSING`` if the part was removed."""


@frozen(eq=False)
class Appended:
    """Elements were added at the end of a list."""

    items: list[object]
    """Items to append, in order."""


@frozen(eq=False)
class Altered:
    """Elements were added to, or removed from, a set."""

    added: frozenset[object]
    """Members to add."""
    removed: frozenset[object]
    """Members to remove."""


@frozen(eq=False)
class Parts:
    """Parts of a dict or a record were changed."""

    changes: Mapping[Key, Change]
    """Change of each changed part, by key."""


Change = Replaced | Appended | Altered | Parts

Path = tuple[tuple[Key, bool], ...]
"""Path to a part: its keys, each with True if it is the key of a dict."""

ROOT: Path = ()


def difference(base: object, changed: object, rule: Rule = DEFAULT) -> Change | None:
    """Return the change of a whole state; None without a change.

    Args:
        base: the state before the changes.
        changed: a copy of it, with the changes.
        rule: the rule of the state.
    """
    if kind_of(base) is kind_of(changed) and has_parts(base):
        return _difference_of_parts(base, changed, rule, ())
    return _difference(base, changed, rule, ())


_Pairs = tuple[tuple[int, int], ...]
"""The pairs of objects that are being compared, for states that contain themselves."""


def _difference(
    base: Any, changed: Any, rule: Rule, around: _Pairs = ()
) -> Change | None:
    if base is changed or rule.is_shared:
        return None
    if rule.merge is None and type(base) is type(changed):
        if isinstance(base, list) and _begins_with(changed, base):
            items = list(changed[len(base) :])
            return Appended(items) if items else None
        if isinstance(base, dict) or is_record(base):
            return _difference_of_parts(base, changed, rule, around)
        if isinstance(base, (set, frozenset)):
            return _difference_of_sets(base, changed)
    return None if same(base, changed) else Replaced(changed)


def _difference_of_parts(
    base: Any, changed: Any, rule: Rule, around: _Pairs
) -> Parts | None:
    pair = (id(base), id(changed))
    if pair in around:
        return None
    around = (*around, pair)
    kind, before, after = kind_of(base), parts_of(base), parts_of(changed)
    changes: dict[Key, Change] = {}
    for key, new in after.items():
        old = before.get(key, MISSING)
        if old is new:
            continue
        change = _difference(old, new, rule.of(kind, key), around)
        if change is not None:
            changes[key] = change
    for key in before:
        if key not in after and not rule.of(kind, key).is_shared:
            changes[key] = Replaced(MISSING)
    return Parts(changes) if changes else None


def _difference_of_sets(base: Any, changed: Any) -> Change | None:
    if same(base, changed):
        return None
    return Altered(frozenset(changed - base), frozenset(base - changed))


def _begins_with(value: list[Any], beginning: list[Any]) -> bool:
    """Tell whether a list begins with the elements of another one.

    perf: the rest is taken away meanwhile, because a slice of the beginning takes twice
    as long as the comparison (``tests/engine/test_isolation_cost.py``).
    """
    if len(value) < len(beginning):
        return False
    rest = value[len(beginning) :]
    del value[len(beginning) :]
    try:
        return same(value, beginning)
    finally:
        value.extend(rest)


# -- merging


class Conflict(Exception):
    """Two changes of one part cannot both be kept; becomes a ``StateConflict``."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path_text(path), problem)
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[object, ...]:
        return Conflict, (self.path, self.problem)


TWO_NUMBERS = "both set the number, and one of them would be lost"
"""The problem of increments from one base."""


def merged(
    base: object, committed: object, change: Change, rule: Rule = DEFAULT
) -> dict[Key, object] | Replaced:
    """Merge a change of a state into what other steps have committed meanwhile.

    Nothing is changed: the result is for ``assign``.

    Args:
        base: the state that the change was made from.
        committed: the state now.
        change: what ``difference`` returned.
        rule: the rule of the state.

    Raises:
        Conflict: both sides changed a part and cannot both be kept.
        Exception: what a merge function raised, with a note that names the part.
    """
    if isinstance(change, Parts) and has_parts(committed):
        return _merged_parts(base, committed, change, rule, ROOT)
    return Replaced(_merged(base, committed, change, rule, ROOT))


def assign(state: Any, result: Mapping[Key, object] | Replaced) -> None:
    """Put merged parts into a state, in place."""
    if not isinstance(result, Replaced):
        for key, value in result.items():
            set_part(state, key, value)
    elif isinstance(state, list):
        state[:] = result.value  # type: ignore[call-overload]
    elif isinstance(state, set):
        state.intersection_update(result.value)  # type: ignore[arg-type]
        state.update(result.value)  # type: ignore[arg-type]


def _merged_parts(
    base: Any, committed: Any, change: Parts, rule: Rule, path: Path
) -> dict[Key, object]:
    before, now, kind = parts_of(base), parts_of(committed), kind_of(committed)
    is_dict = issubclass(kind, dict)
    return {
        key: _merged(
            before.get(key, MISSING),
            now.get(key, MISSING),
            one,
            rule.of(kind, key),
            (*path, (key, is_dict)),
        )
        for key, one in change.changes.items()
    }


def _merged(base: Any, committed: Any, change: Change, rule: Rule, path: Path) -> Any:
    match change:
        case Parts() if type(base) is type(committed):
            parts = _merged_parts(base, committed, change, rule, path)
            return renewed(committed, parts)
        case Appended(items) if type(base) is type(committed):
            if committed is base or _begins_with(committed, base):
                return _joined(committed, items)
        case Altered(added, removed) if type(base) is type(committed):
            return type(committed)((committed - removed) | added)
        case Replaced(value) if same(base, committed):
            return value
        case _:
            pass
    return _combined(base, committed, applied(base, change), rule, path)


def _joined(value: Any, items: list[object]) -> Any:
    if type(value) is list:
        return value + items
    new = renewed(value, {})
    new.extend(items)
    return new


def applied(base: Any, change: Change) -> Any:
    """Return a value with a change applied; the value itself is not changed."""
    match change:
        case Replaced(value):
            return value
        case Appended(items):
            return _joined(base, items)
        case Altered(added, removed):
            return type(base)((base - removed) | added)
        case Parts(changes):
            before = parts_of(base)
            parts = {k: applied(before.get(k, MISSING), c) for k, c in changes.items()}
            return renewed(base, parts)
    assert_never(change)


def apply(state: Any, change: Change) -> None:
    """Change a value in place; objects in it are replaced only where necessary."""
    match change:
        case Replaced():
            assign(state, change)
        case Appended(items):
            state.extend(items)
        case Altered(added, removed):
            state.difference_update(removed)
            state.update(added)
        case Parts(changes):
            for key, one in changes.items():
                _apply_to_part(state, key, one)


def _apply_to_part(owner: Any, key: Key, change: Change) -> None:
    part = parts_of(owner).get(key, MISSING)
    is_fixed = isinstance(part, frozenset) or shape_of(type(part)).is_frozen
    if isinstance(change, Replaced) or is_fixed:
        set_part(owner, key, applied(part, change))
    else:
        apply(part, change)


def _combined(base: Any, committed: Any, changed: Any, rule: Rule, path: Path) -> Any:
    """Merge two values of a part that both sides have changed."""
    if rule.merge is not None:
        result = _asked(rule, (base, committed, changed), path)
        if result is not NotImplemented:
            return result
    if committed is MISSING or changed is MISSING:
        return _removed(committed, changed, path)
    if type(committed) is type(changed):
        result = _combined_containers(base, committed, changed, rule, path)
        if result is not NotImplemented:
            return result
    if _is_number(committed) and _is_number(changed):
        raise Conflict(path, TWO_NUMBERS)
    if same(committed, changed):
        return committed
    raise Conflict(path, _problem_of(committed, changed))


def _combined_containers(
    base: Any, committed: Any, changed: Any, rule: Rule, path: Path
) -> Any:
    """Merge two lists, sets, dicts or records of one class.

    A missing container counts as an empty one, since two map workers may both be the
    first to add to ``state["errors"]``.
    """
    if isinstance(committed, list):
        start = [] if base is MISSING else base
        if isinstance(start, list) and all(
            _begins_with(one, start) for one in (committed, changed)
        ):
            return _joined(committed, list(changed[len(start) :]))
    elif isinstance(committed, set | frozenset):
        if isinstance(base, set | frozenset) or base is MISSING:
            start = frozenset() if base is MISSING else base
            return type(committed)((committed - (start - changed)) | (changed - start))
    elif isinstance(committed, dict) or type(base) is type(committed):
        start = {} if base is MISSING else base
        is_comparable = isinstance(committed, dict) or is_record(committed)
        if is_comparable and isinstance(start, dict) == isinstance(committed, dict):
            change = _difference_of_parts(start, changed, rule, ())
            if change is None:
                return committed
            parts = _merged_parts(start, committed, change, rule, path)
            return renewed(committed, parts)
    return NotImplemented


def _removed(committed: object, changed: object, path: Path) -> object:
    if committed is changed:
        return MISSING
    raise Conflict(path, "one removed it and the other changed it")


def _is_number(value: object) -> bool:
    return isinstance(value, Number) and not isinstance(value, bool | Enum)


def _problem_of(committed: object, changed: object) -> str:
    if type(committed) is not type(changed):
        kinds = f"{type(committed).__name__} and {type(changed).__name__}"
        return f"the values are of different types, {kinds}"
    if isinstance(committed, list):
        return "the lists differ in more than what was appended"
    return "the values differ"


def _asked(rule: Rule, values: tuple[Any, Any, Any], path: Path) -> Any:
    assert rule.merge is not None
    try:
        result = rule.merge(*values)
    except Exception as error:
        error.add_note(f"{rule.merge} was merging '{path_text(path)}' of the state.")
        raise
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        msg = (
            f"{rule.merge} of '{path_text(path)}' returned {type(result).__name__}; "
            "merge functions are synchronous."
        )
        raise TypeError(msg)
    return result


# -- copies and names of what was changed


def copied(change: Change, copy: Callable[[Any], Any]) -> Change:
    """Return a change of the same parts to copies of the values.

    Args:
        change: the change.
        copy: copies one value.
    """
    match change:
        case Replaced(value):
            return change if value is MISSING else Replaced(copy(value))
        case Appended(items):
            return Appended([copy(one) for one in items])
        case Altered(added, removed):
            return Altered(frozenset(map(copy, added)), removed)
        case Parts(changes):
            return Parts({key: copied(one, copy) for key, one in changes.items()})
    assert_never(change)


def path_text(path: Path) -> str:
    """Return a part's path as text: ``pages['x'].title``."""
    text = ""
    for key, is_item in path:
        is_name = isinstance(key, str) and key.isidentifier()
        if is_item and (text or not is_name):
            text += f"[{key!r}]"
        else:
            text += f".{key}" if text else f"{key}"
    return text or "state"


def changed_keys(change: Change, keys: tuple[Key, ...] = ()) -> list[tuple[Key, ...]]:
    """Return the keys that lead to the innermost parts that a change is about."""
    if not isinstance(change, Parts):
        return [keys]
    found: list[tuple[Key, ...]] = []
    for key, one in change.changes.items():
        found += changed_keys(one, (*keys, key))
    return found
