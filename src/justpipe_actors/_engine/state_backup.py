"""Backups of a state that an invocation changes in place.

A backup is pickled and stays in memory.  Pickling a state takes a third of the time of
copying it, and most backups are never restored.
"""

from __future__ import annotations

import copyreg
import io
import operator
import pickle
from collections.abc import Callable
from enum import Enum
from typing import Any

import attrs

from .._plan import state_merge
from .._plan.merge_rules import Rule
from .._plan.state_copies import Copier
from .._plan.state_merge import Replaced
from .._plan.state_parts import ATOMS, has_parts, parts_of, same, shape_of, snapshot_of
from .._util.lazy_classes import define
from .._util.user_objects import call_or
from ..merge import MISSING


_reduce = operator.methodcaller("__reduce_ex__", pickle.HIGHEST_PROTOCOL)
"""The default reduction of an object by pickle."""


class _Reducers(dict[type, Callable[[Any], Any]]):
    """A ``dispatch_table`` that refuses instances that pickle would not restore.

    # perf: the lookup is in C; ``reducer_override`` doubles the time of a large state.
    """

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        if issubclass(kind, type):
            raise KeyError(kind)
        if issubclass(kind, BaseException):
            msg = "exceptions are kept by reference"
            raise TypeError(msg)
        is_safe = kind in ATOMS or issubclass(kind, Enum) or shape_of(kind).is_plain
        if not is_safe:
            return self._reduce_first
        self[kind] = reduce = copyreg.dispatch_table.get(kind, _reduce)
        return reduce

    def _reduce_first(self, value: object) -> Any:
        """Reduce the first instance of a class, after one test of restoring it."""
        kind = type(value)
        if not same(pickle.loads(pickle.dumps(value)), value):
            msg = f"{kind.__name__} does not come back as it was"
            raise TypeError(msg)
        self[kind] = reduce = copyreg.dispatch_table.get(kind, _reduce)
        return reduce(value)


@define(eq=False, repr=False)
class BackupMaker:
    """Makes backups of one state by the cheapest method that restores it."""

    state: Any
    rule: Rule
    """Decides which parts are passed by reference; those are not restored."""
    _reducers: _Reducers = attrs.field(factory=_Reducers, init=False)
    can_pickle: bool = attrs.field(default=True, init=False)
    """Whether pickling has succeeded so far."""

    def check(self) -> None:
        """Test whether pickling restores the state."""
        copier = Copier()
        copier.root(self.state, self.rule)
        if any(owner is not self.state for owner, _ in copier.shared):
            self.can_pickle = False  # only parts of the root object can be omitted
        elif (saved := self._pickled()) is not None:
            again = snapshot_of(pickle.loads(saved))
            before = snapshot_of(self._own_parts())
            self.can_pickle = state_merge.difference(before, again) is None

    def make(self) -> object:
        """Return a backup of the current state for ``restore``."""
        saved = self._pickled()
        return Copier().root(self.state, self.rule) if saved is None else saved

    def restore(self, saved: object) -> None:
        """Restore the state from a backup."""
        before: Any = pickle.loads(saved) if isinstance(saved, bytes) else saved
        if not has_parts(self.state):
            state_merge.assign(self.state, Replaced(before))
            return
        before = dict(parts_of(before))
        for key in self._own_parts():
            before.setdefault(key, MISSING)
        shared = [k for k in before if self.rule.of(type(self.state), k).is_shared]
        for key in shared:
            del before[key]
        state_merge.assign(self.state, before)

    def _pickled(self) -> bytes | None:
        """Return the pickled state; None, now and later, if its classes do not allow it."""
        if not self.can_pickle:
            return None
        pickled = call_or(None, self._pickle)
        self.can_pickle = pickled is not None
        return pickled

    def _pickle(self) -> bytes:
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, pickle.HIGHEST_PROTOCOL)
        pickler.dispatch_table = self._reducers
        pickler.dump(self._own_parts())
        return buffer.getvalue()

    def _own_parts(self) -> Any:
        """Return the parts to back up; for a state without parts, the whole state."""
        state, kind = self.state, type(self.state)
        if not has_parts(state):
            return state
        return {
            k: v
            for k, v in parts_of(state).items()
            if not self.rule.of(kind, k).is_shared
        }
