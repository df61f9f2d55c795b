"""Copies of states: what an invocation of an isolated run works on.

``copy.deepcopy`` was rejected: it copies frozen classes, knows nothing of parts passed by
reference, and takes three times as long for records.  Classes that say how they are
copied are still copied by it.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Collection
from typing import Any, cast

import attrs

from .._util.lazy_classes import define
from .._util.user_objects import call_or
from ..errors import StateNotCopyable
from ..merge import MISSING
from .merge_rules import DEFAULT, Rule
from .state_merge import ROOT, Parts, Path, Replaced, difference, path_text
from .state_parts import (
    ATOMS,
    Shape,
    declares,
    empty_like,
    has_parts,
    is_record,
    parts_of,
    same,
    set_part,
    shape_of,
)


NAMED_LEVELS = 6
"""Levels of a state down to which messages name a part."""


@define(eq=False)
class Copier:
    """Makes one copy of a state; an object that occurs twice is copied once."""

    fixed: Collection[int] = ()
    """``id()`` of each list that is known to have only immutable elements."""
    shared: list[tuple[object, object]] = attrs.field(factory=list, init=False)
    """Parts that were passed by reference: the object that has them, and the key."""
    _memo: dict[int, Any] = attrs.field(factory=dict, init=False)

    def copy(self, value: Any, rule: Rule = DEFAULT) -> Any:
        """Return a copy; values that cannot change are their own copies.

        Args:
            value: what to copy.
            rule: says which parts of it are passed by reference.
        """
        kind = type(value)
        if kind in ATOMS:
            return value
        known = self._memo.get(id(value), MISSING)
        if known is not MISSING:
            return known
        if kind is list:
            return self._list(value)
        if kind is dict:
            return self._dict(value, rule)
        if kind is tuple or kind is set or kind is frozenset:
            return self._collection(value)
        shape = shape_of(kind)
        if shape.is_plain:
            return self._record(value, shape, rule)
        return self._other(value, kind, rule)

    def _other(self, value: Any, kind: type, rule: Rule) -> Any:
        if issubclass(kind, BaseException):
            return value  # they are not changed, and most have no copy
        if issubclass(kind, dict) and not declares(kind, "__deepcopy__"):
            return self._mapping(value, rule)
        return copy.deepcopy(value, self._memo)

    def root(self, state: Any, rule: Rule = DEFAULT) -> Any:
        """Return a copy of a whole state, whatever its class."""
        kind = type(state)
        if shape_of(kind).is_plain or not has_parts(state) or kind is dict:
            return self.copy(state, rule)
        parts = parts_of(state)
        for key, part in parts.items():
            if rule.of(kind, key).is_shared:
                self._memo[id(part)] = part
        is_simple = (
            isinstance(state, dict) or getattr(kind, "__new__", None) is object.__new__
        )
        if not is_simple or declares(kind, "__deepcopy__"):
            return copy.deepcopy(state, self._memo)
        is_dict = isinstance(state, dict)
        new = copy.copy(state) if is_dict else object.__new__(kind)
        self._memo[id(state)] = new
        for key, part in parts.items():
            set_part(new, key, self._part(state, key, part, rule))
        return new

    def _part(self, owner: Any, key: Any, part: Any, rule: Rule) -> Any:
        inner = rule.of(type(owner), key)
        if inner.is_shared:
            self.shared.append((owner, key))
            return part
        return self.copy(part, inner)

    def _list(self, value: list[Any]) -> list[Any]:
        if id(value) in self.fixed or ATOMS.issuperset(map(type, value)):
            new = self._memo[id(value)] = value[:]
        else:
            new = self._memo[id(value)] = []
            new.extend(map(self.copy, value))
        return new

    def _dict(self, value: dict[Any, Any], rule: Rule) -> dict[Any, Any]:
        if ATOMS.issuperset(map(type, value.values())):
            new = self._memo[id(value)] = value.copy()
            return new
        new = self._memo[id(value)] = {}
        for key, part in value.items():
            new[key] = self._part(value, key, part, rule)
        return new

    def _mapping(self, value: dict[Any, Any], rule: Rule) -> dict[Any, Any]:
        """Copy a ``defaultdict``, a ``Counter`` or another kind of dict."""
        new = self._memo[id(value)] = copy.copy(value)
        for key, part in value.items():
            new[key] = self._part(value, key, part, rule)
        return new

    def _collection(self, value: Any) -> Any:
        if type(value) is not set and ATOMS.issuperset(map(type, value)):
            return value
        copies = [self.copy(one) for one in value]
        is_same = type(value) is not set and all(map(operator.is_, copies, value))
        new = value if is_same else type(value)(copies)
        return self._memo.setdefault(id(value), new)

    def _record(self, value: Any, shape: Shape, rule: Rule) -> Any:
        if shape.is_simple and ATOMS.issuperset(map(type, value.__dict__.values())):
            # perf: a list of 4,000 small records is copied in a third of the time
            if shape.is_frozen:
                return value
            new = self._memo[id(value)] = object.__new__(type(value))
            new.__dict__.update(value.__dict__)
            return new
        if shape.is_simple and not shape.is_frozen:
            return self._simple_record(value, rule)
        new = empty_like(value, shape)
        if not shape.is_frozen:
            self._memo[id(value)] = new
        is_changed = not shape.is_frozen
        for key, part in parts_of(value).items():
            copied = part if type(part) in ATOMS else self._part(value, key, part, rule)
            is_changed = is_changed or copied is not part
            set_part(new, key, copied)
        if not is_changed:
            new = value
        self._memo[id(value)] = new
        return new

    def _simple_record(self, value: Any, rule: Rule) -> Any:
        """Copy a record by its ``__dict__`` (perf: test_isolation_cost.py)."""
        new = self._memo[id(value)] = object.__new__(type(value))
        parts = new.__dict__
        for key, part in value.__dict__.items():
            is_atom = type(part) in ATOMS
            parts[key] = part if is_atom else self._part(value, key, part, rule)
        return new


def is_fixed(value: object) -> bool:
    """Tell whether a value cannot change, so that it is its own copy."""
    kind = type(value)
    if kind in ATOMS:
        return True
    shape = shape_of(kind)
    if shape.is_simple and not shape.is_frozen:
        return False  # perf: ``_record`` would copy it (test_isolation_cost.py)
    return call_or(MISSING, Copier().copy, value) is value


def check_copyable(state: Any, rule: Rule) -> None:
    """Make sure that a state can be copied and that its parts can be compared.

    Raises:
        StateNotCopyable: a part cannot be copied, or does not equal its own copy.
    """
    if not (has_parts(state) or isinstance(state, list | set) or is_fixed(state)):
        problem = "it has no attributes or keys that a commit could assign"
        raise StateNotCopyable(path_text(ROOT), type(state).__name__, problem)
    try:
        copied = Copier().root(state, rule)
    except Exception as error:  # noqa: BLE001 - whatever the class raises
        path, part, cause = _find_uncopyable(state, rule, ROOT, error)
        problem = f"copying it raised {type(cause).__name__}: {cause}"
        raise StateNotCopyable(path_text(path), type(part).__name__, problem) from cause
    change = difference(state, copied, rule)
    if change is not None:
        path, part = _find_unequal(state, change, ROOT)
        problem = "it does not equal its own copy"
        raise StateNotCopyable(path_text(path), type(part).__name__, problem)


def _find_uncopyable(
    value: Any, rule: Rule, path: Path, error: Exception
) -> tuple[Path, object, Exception]:
    """Return the innermost part that cannot be copied."""
    if not (
        has_parts(value)
        if path == ROOT
        else isinstance(value, dict) or is_record(value)
    ):
        return path, value, error
    for key, part in parts_of(value).items():
        inner = rule.of(type(value), key)
        if inner.is_shared:
            continue
        try:
            Copier().copy(part, inner)
        except Exception as cause:  # noqa: BLE001 - it is what we look for
            step = (*path, (key, isinstance(value, dict)))
            return _find_uncopyable(part, inner, step, cause)
    return path, value, error


def _find_unequal(value: Any, change: object, path: Path) -> tuple[Path, object]:
    """Return the innermost part that does not equal its own copy."""
    if len(path) == NAMED_LEVELS:
        return path, value  # it may contain itself
    if isinstance(change, Replaced) and isinstance(value, list | tuple):
        pairs = zip(value, cast("Any", change.value), strict=False)
        for index, (one, copied) in enumerate(pairs):
            inner = difference(one, copied)
            if inner is not None or not same(one, copied):
                step = (*path, (index, True))
                return _find_unequal(one, inner or Replaced(copied), step)
    if not isinstance(change, Parts):
        return path, value
    key, inner = next(iter(change.changes.items()))
    part = parts_of(value).get(key, MISSING)
    return _find_unequal(part, inner, (*path, (key, isinstance(value, dict))))
