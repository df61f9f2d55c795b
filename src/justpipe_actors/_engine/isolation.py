"""The copies of one run's state that its invocations work on.

::

    the run's state   ---- commit(A) --------- commit(B) ------>
                        \\                 /
    B's copy             `- open - change '

An invocation gets its copy when its function or a handler asks for the state.  One that
is alone in its run works on the state itself, which is cheaper, and keeps a backup.  Any
other gets a copy of what is committed.  While copies are out, objects in the state are
replaced and never changed in place, so a snapshot of references is the base of a merge.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import attrs

from .._plan import state_merge
from .._plan.merge_rules import Rule
from .._plan.state_copies import Copier, check_copyable, is_fixed
from .._plan.state_merge import Appended, Change, Conflict, Parts, Replaced
from .._plan.state_parts import Key, Snapshot, parts_of, snapshot_of
from ..errors import StateConflict
from ..merge import MISSING
from .state_backup import BackupMaker


LONG_LIST = 64
"""Elements from which on it pays to remember that a list's cannot change."""


@attrs.define(eq=False, repr=False)
class StateCopy:
    """What one invocation works on."""

    value: Any
    """What its function sees: a copy, or the state itself."""
    base: Any = None
    """The committed state that ``value`` is a copy of."""
    backup: object = None
    """What the state was, when ``value`` is the state itself."""
    is_original: bool = False
    """Whether ``value`` is the state itself."""


@attrs.define(eq=False, repr=False)
class IsolatedState:
    """The state of one run, and what is known about the copies of it."""

    state: Any
    """The object that the run was given; commits assign its parts."""
    rule: Rule
    """How its parts are merged."""
    is_fixed: bool = attrs.field(default=False, init=False)
    """Whether it cannot change, so that no invocation needs a copy."""
    _committed: Any = attrs.field(default=None, init=False)
    _copies: int = attrs.field(default=0, init=False)
    _last_step: dict[tuple[Key, ...], str] = attrs.field(factory=dict, init=False)
    _fixed_lists: dict[int, list[Any]] = attrs.field(factory=dict, init=False)
    _backups: BackupMaker = attrs.field(
        default=attrs.Factory(
            lambda self: BackupMaker(self.state, self.rule), takes_self=True
        ),
        init=False,
    )

    def check(self) -> None:
        """Look at the state before the run begins.

        Raises:
            StateNotCopyable: a part cannot be copied, or does not equal its own copy.
        """
        self.is_fixed = is_fixed(self.state)
        if not self.is_fixed:
            check_copyable(self.state, self.rule)
            self._backups.check()

    def open(self, *, is_alone: bool) -> StateCopy:
        """Return what an invocation works on until it commits or is discarded.

        Args:
            is_alone: whether nothing else can happen in the run before that.
        """
        if self.is_fixed:
            return StateCopy(self.state)
        if is_alone and not self._copies:
            self._committed = None
            self._last_step.clear()
            self._fixed_lists.clear()
            backup = self._backups.make()
            return StateCopy(self.state, backup=backup, is_original=True)
        if self._committed is None:
            self._committed = snapshot_of(self.state)
        self._copies += 1
        return StateCopy(self._copied(), self._committed)

    def _copied(self) -> Any:
        copied = Copier(self._fixed_lists).root(self.state, self.rule)
        if isinstance(self._committed, Snapshot):
            for key, part in self._committed.parts.items():
                if type(part) is list and len(part) >= LONG_LIST:
                    self._note_if_fixed(part, parts_of(copied)[key])
        return copied

    def _note_if_fixed(self, value: list[Any], copied: Any) -> None:
        """Remember of a long list that its elements need no copies."""
        if id(value) not in self._fixed_lists and all(map(operator.is_, value, copied)):
            self._fixed_lists[id(value)] = value

    def commit(self, copy: StateCopy, step: str) -> None:
        """Merge what was changed in a copy into the state, all or nothing; close the copy.

        Args:
            copy: what an invocation worked on.
            step: its step.

        Raises:
            StateConflict: another step has changed the same part meanwhile.
            Exception: what a merge function raised.
        """
        if copy.is_original or self.is_fixed:
            return
        self._copies -= 1
        change = state_merge.difference(copy.base, copy.value, self.rule)
        if change is not None:
            self._merge(copy.base, change, step)
        if not self._copies:
            self._last_step.clear()

    def commit_and_keep(self, copy: StateCopy, step: str) -> None:
        """Commit a copy on which a child run, or the source of a map, goes on working.

        Args:
            copy: what an invocation works on; afterwards it has what is committed.
            step: its step.

        Raises:
            StateConflict: another step has changed the same part meanwhile.
            Exception: what a merge function raised.
        """
        if self.is_fixed:
            return
        if copy.is_original:
            copy.backup = self._backups.make()
            return
        is_behind = copy.base is not self._committed
        change = state_merge.difference(copy.base, copy.value, self.rule)
        if change is not None:
            self._merge(copy.base, state_merge.copied(change, Copier().copy), step)
        if is_behind:
            missed = state_merge.difference(copy.value, self._committed, self.rule)
            if missed is not None:
                state_merge.apply(copy.value, state_merge.copied(missed, Copier().copy))
        copy.base = self._committed

    def discard(self, copy: StateCopy) -> None:
        """Forget what was changed in a copy."""
        if self.is_fixed:
            return
        if copy.is_original:
            self._backups.restore(copy.backup)
        else:
            self._copies -= 1

    def detach(self) -> None:
        """Replace what is in the state by copies: another invocation keeps the objects."""
        if not self.is_fixed:
            self._backups.restore(Copier().root(self.state, self.rule))

    def _merge(self, base: Any, change: Change, step: str) -> None:
        try:
            result = state_merge.merged(base, self._committed, change, self.rule)
        except Conflict as conflict:
            raise self._worded(conflict, step) from None
        self._keep_fixed(change, result)
        state_merge.assign(self.state, result)
        if isinstance(result, Replaced):
            self._committed = snapshot_of(self.state)
        else:
            parts = {**self._committed.parts, **result}
            if MISSING in result.values():
                parts = {k: v for k, v in parts.items() if v is not MISSING}
            self._committed = Snapshot(self._committed.kind, parts)
        if self._copies:
            self._last_step.update(
                dict.fromkeys(state_merge.changed_keys(change), step)
            )

    def _keep_fixed(
        self, change: Change, result: Mapping[Key, object] | Replaced
    ) -> None:
        """Remember of a list that was appended to that its elements need no copies."""
        if not isinstance(change, Parts) or isinstance(result, Replaced):
            return
        for key, one in change.changes.items():
            old = self._fixed_lists.pop(id(self._committed.parts.get(key)), None)
            if old is None or not isinstance(one, Appended):
                continue
            new: Any = result[key]
            if type(new) is list and all(map(is_fixed, new[len(old) :])):
                self._fixed_lists[id(new)] = new

    def _worded(self, conflict: Conflict, step: str) -> StateConflict:
        keys = tuple(key for key, _ in conflict.path)
        other = self._last_step.get(keys) or next(
            (
                other
                for found, other in reversed(self._last_step.items())
                if found[: len(keys)] == keys[: len(found)]
            ),
            "another step",
        )
        part = state_merge.path_text(conflict.path)
        return StateConflict(part, step, other, conflict.problem)
