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
from .._plan.merge_rules import DEFAULT, Rule
from .._plan.state_copies import Copier, check_copyable, is_fixed
from .._plan.state_merge import Appended, Change, Conflict, Parts, Replaced
from .._plan.state_parts import Key, Snapshot, parts_of, snapshot_of
from .._util.lazy_classes import define, frozen
from ..errors import StateConflict, StateNotCopyable
from ..merge import MISSING
from .state_backup import BackupMaker


@frozen(eq=False)
class ListHistory:
    """The history of a list that is a part of a committed state."""

    origin: object
    """Identity of the list; versions that only append elements share it."""
    is_fixed: bool
    """Whether its elements cannot change, so that they need no copies."""


@define(eq=False, repr=False)
class StateCopy:
    """The copy of the state that one invocation works on."""

    value: Any
    """The object that its function gets: a copy, or the state itself."""
    base: Any = None
    """The committed state that ``value`` is a copy of."""
    lists: Mapping[Key, ListHistory] = attrs.field(factory=dict)
    """Known facts about the lists in ``base``."""
    backup: object = None
    """A backup of the state, when ``value`` is the state itself."""
    is_original: bool = False
    """Whether ``value`` is the state itself."""


@define(eq=False, repr=False)
class IsolatedState:
    """The state of one run, and its open copies."""

    state: Any
    """The object that the run was given; commits assign its parts."""
    rule: Rule
    """How its parts are merged."""
    is_fixed: bool = attrs.field(default=False, init=False)
    """Whether it cannot change, so that no invocation needs a copy."""
    _committed: Any = attrs.field(default=None, init=False)
    _copies: int = attrs.field(default=0, init=False)
    _last_step: dict[tuple[Key, ...], str] = attrs.field(factory=dict, init=False)
    _lists: Mapping[Key, ListHistory] = attrs.field(factory=dict, init=False)
    _backups: BackupMaker = attrs.field(
        default=attrs.Factory(
            lambda self: BackupMaker(self.state, self.rule), takes_self=True
        ),
        init=False,
    )

    def check(self) -> None:
        """Check that the state can be isolated, before the run begins.

        Raises:
            StateNotCopyable: a part cannot be copied, or does not equal its own copy.
        """
        self.is_fixed = is_fixed(self.state)
        if not self.is_fixed:
            check_copyable(self.state, self.rule)
            self._backups.check()

    def open(self, *, is_alone: bool) -> StateCopy:
        """Open an invocation's copy of the state; ``commit`` or ``discard`` closes it.

        Args:
            is_alone: whether nothing else can happen in the run before that.

        Raises:
            StateNotCopyable: a step has put something there that cannot be copied.
        """
        if self.is_fixed:
            return StateCopy(self.state)
        try:
            return self._open(is_alone=is_alone and not self._copies)
        except Exception:
            check_copyable(self.state, self.rule)  # names the part
            raise

    def _open(self, *, is_alone: bool) -> StateCopy:
        if is_alone:
            self._committed = None
            self._last_step.clear()
            self._lists = {}
            backup = self._backups.make()
            return StateCopy(self.state, backup=backup, is_original=True)
        if self._committed is None:
            self._committed = snapshot_of(self.state)
        copied = self._copied()
        self._copies += 1
        return StateCopy(copied, self._committed, lists=self._lists)

    def adopt(self, copied: object, base: object) -> StateCopy:
        """Return a copy that was made in another process.

        Args:
            copied: what an invocation works on.
            base: the state that it was made from.
        """
        if self._committed is None:
            self._committed = snapshot_of(self.state)
        self._copies += 1
        return StateCopy(copied, snapshot_of(base))

    def _copied(self) -> Any:
        parts: Mapping[Key, Any] = getattr(self._committed, "parts", {})
        lists = self._lists.items()
        fixed = {id(parts[key]) for key, history in lists if history.is_fixed}
        copied = Copier(fixed).root(self.state, self.rule)
        for key, part in parts.items():
            if type(part) is list and key not in self._lists:
                copied_part: Any = parts_of(copied)[key]
                is_fixed = all(map(operator.is_, part, copied_part))
                history = ListHistory(object(), is_fixed)
                self._lists = {**self._lists, key: history}
        return copied

    def commit(self, copy: StateCopy, step: str) -> None:
        """Merge the changes in a copy into the state, all or nothing; close the copy.

        Args:
            copy: the invocation's copy.
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
            self._merge(copy, change, step)
        if not self._copies:
            self._last_step.clear()

    def commit_and_keep(self, copy: StateCopy, step: str) -> None:
        """Commit a copy that a child run, or the source of a map, continues to use.

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
            self._merge(copy, state_merge.copied(change, Copier().copy), step)
        if is_behind:
            missed = state_merge.difference(copy.value, self._committed, self.rule)
            if missed is not None:
                state_merge.apply(copy.value, state_merge.copied(missed, Copier().copy))
        copy.base, copy.lists = self._committed, self._lists

    def discard(self, copy: StateCopy) -> None:
        """Discard the changes in a copy."""
        if self.is_fixed:
            return
        if copy.is_original:
            self._backups.restore(copy.backup)
        else:
            self._copies -= 1

    def detach(self) -> None:
        """Replace the state's parts by copies; another invocation keeps the objects."""
        if not self.is_fixed:
            self._backups.restore(Copier().root(self.state, self.rule))

    def _merge(self, copy: StateCopy, change: Change, step: str) -> None:
        appended = self._appended(copy, change)
        if appended and isinstance(change, Parts):
            others = {k: c for k, c in change.changes.items() if k not in appended}
            result = self._merged(copy.base, Parts(others), step) if others else {}
        else:
            result = self._merged(copy.base, change, step)
        if isinstance(result, Replaced):
            state_merge.assign(self.state, result)
            self._committed = snapshot_of(self.state)
        else:
            self._assign(dict(result), appended)
        if self._copies:
            keys = state_merge.changed_keys(change)
            self._last_step.update(dict.fromkeys(keys, step))

    def _merged(
        self, base: Any, change: Change, step: str
    ) -> Mapping[Key, object] | Replaced:
        try:
            return state_merge.merged(base, self._committed, change, self.rule)
        except Conflict as conflict:
            raise self._conflict_error(conflict, step) from None

    def _appended(self, copy: StateCopy, change: Change) -> dict[Key, list[object]]:
        """Return the elements appended to lists that others have only appended to.

        # perf: comparing a list of 5,000 to its base takes 15 us, a third of a worker.
        """
        if not isinstance(change, Parts):
            return {}
        now, base = self._lists, copy.lists
        return {
            key: one.items
            for key, one in change.changes.items()
            if type(one) is Appended
            and key in now
            and key in base
            and now[key].origin is base[key].origin
        }

    def _assign(
        self, result: dict[Key, object], appended: dict[Key, list[object]]
    ) -> None:
        """Assign merged parts and lists with their appended elements to the state."""
        lists = dict(self._lists)
        for key in result:
            lists.pop(key, None)
        extended: set[int] = set()
        for key, items in appended.items():
            old = self._committed.parts[key]
            if lists[key].is_fixed and not all(map(is_fixed, items)):
                lists[key] = ListHistory(lists[key].origin, is_fixed=False)
            if self._copies:
                result[key] = old + items
            elif id(old) not in extended:  # two parts may be the same list
                old.extend(items)  # no open copy has the list in its base
                extended.add(id(old))
        self._lists = lists
        if result:
            state_merge.assign(self.state, result)
            parts = {**self._committed.parts, **result}
            if MISSING in result.values():
                parts = {k: v for k, v in parts.items() if v is not MISSING}
            self._committed = Snapshot(self._committed.kind, parts)

    def _conflict_error(self, conflict: Conflict, step: str) -> StateConflict:
        keys = tuple(key for key, _ in conflict.path)
        other = self._last_step.get(keys) or next(
            (
                other
                for found, other in reversed(self._last_step.items())
                if found[: len(keys)] == keys[: len(found)]
            ),
            "another step",
        )
        part, problem = state_merge.path_text(conflict.path), conflict.problem
        try:
            if keys and conflict.problem != state_merge.TWO_NUMBERS:
                check_copyable({keys[0]: parts_of(self.state).get(keys[0])}, DEFAULT)
        except StateNotCopyable as error:  # a step has put something there
            problem = f"{error.part} ({error.kind}) {error.problem.removeprefix('it ')}"
        return StateConflict(part, step, other, problem)
