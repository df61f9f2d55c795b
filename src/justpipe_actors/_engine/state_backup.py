"""What a state was before an invocation changed it in place.

The bytes stay in memory.  Pickling a state takes a third of the time that copying it
takes, and most backups are never restored.
"""

from __future__ import annotations

import pickle  # noqa: TID251 - the bytes never leave this process
from typing import Any

import attrs

from .._plan import state_merge
from .._plan.merge_rules import Rule
from .._plan.state_copies import Copier
from .._plan.state_merge import Replaced
from .._plan.state_parts import has_parts, parts_of, snapshot_of
from ..merge import MISSING


@attrs.define(eq=False, repr=False)
class BackupMaker:
    """Makes backups of one state, by the cheapest way that restores it."""

    state: Any
    """The state."""
    rule: Rule
    """Says which parts are passed by reference: those are not restored."""
    can_pickle: bool = attrs.field(default=True, init=False)
    """Whether pickling has always worked."""

    def check(self) -> None:
        """Find out whether pickling restores the state as it is."""
        copier = Copier()
        copier.root(self.state, self.rule)
        if any(owner is not self.state for owner, _ in copier.shared):
            self.can_pickle = False  # only the root's own parts can be left out
        elif (saved := self._pickled()) is not None:
            again = snapshot_of(pickle.loads(saved))
            before = snapshot_of(self._own_parts())
            self.can_pickle = state_merge.difference(before, again) is None

    def make(self) -> object:
        """Return what ``restore`` needs to bring back the state as it is now."""
        saved = self._pickled()
        return Copier().root(self.state, self.rule) if saved is None else saved

    def restore(self, saved: object) -> None:
        """Make the state what it was."""
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
        if not self.can_pickle:
            return None
        try:
            return pickle.dumps(self._own_parts(), pickle.HIGHEST_PROTOCOL)
        except Exception:  # noqa: BLE001 - a class of the user's does not pickle
            self.can_pickle = False
            return None

    def _own_parts(self) -> Any:
        """Return the parts that are not passed by reference; a state without parts whole."""
        state, kind = self.state, type(self.state)
        if not has_parts(state):
            return state
        return {
            k: v
            for k, v in parts_of(state).items()
            if not self.rule.of(kind, k).is_shared
        }
