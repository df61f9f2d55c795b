"""What is stored of a child run's state: a path into its parent's state, or its parts.

A child that works on its parent's state, or on a part of it, must work on the same object
after a crash.  So its state is not stored again: the path is.  Any other state is stored
part by part, and a batch has the parts that changed.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from .._util.lazy_classes import define
from .._util.stored_state import parts_of
from ..errors import NotStorable
from .journal_port import JsonValue
from .value_codec import StorableValues


if TYPE_CHECKING:
    from .run_state import RunState


@define(eq=False, repr=False)
class ChildState:
    """What is stored of the state of one child run."""

    run_state: RunState
    """The child run."""
    codec: StorableValues
    """Turns values into JSON values."""
    parent: tuple[RunState, list[JsonValue]] | None = None
    """The parent and the path in its state; None if the state is stored by itself."""
    _stored: dict[str, bytes] = attrs.field(factory=dict, init=False)
    _new: dict[str, JsonValue] = attrs.field(factory=dict, init=False)

    def adopt(self, parts: Mapping[str, JsonValue]) -> None:
        """Adopt the stored parts of a child that was taken up."""
        for part, value in parts.items():
            self._stored[part] = marshal.dumps(value, 2)  # type: ignore[arg-type]

    def dump(self) -> None:
        """Copy the state for the next batch.

        Raises:
            NotStorable: a part cannot be stored, or the state is not any more where it
                was in the parent's.
        """
        state = self.run_state.state
        if self.parent is None:
            self._new = parts_of(self.codec.dump_state(self.run_state.plan, state))
            return
        parent, path = self.parent
        if look_up(parent.state, path) is not state:
            where = ".".join(("state", *map(str, path)))
            reason = "it was replaced while a child run had it as its state"
            remedy = "Leave the object where it is until the sub-pipeline has ended."
            raise NotStorable(where, type(state).__qualname__, reason, remedy)

    def take(self) -> dict[str, JsonValue]:
        """Return changed parts as ``[value]``, and deleted parts as None."""
        new, self._new = self._new, {}
        if self.parent is not None:
            return {}
        changed: dict[str, JsonValue] = {}
        for part, value in new.items():
            copy = marshal.dumps(value, 2)  # type: ignore[arg-type]
            if self._stored.get(part) != copy:
                self._stored[part] = copy
                changed[part] = [value]
        for part in [part for part in self._stored if part not in new]:
            del self._stored[part]
            changed[part] = None
        return changed

    def stored_parts(self) -> Iterator[tuple[str, JsonValue]]:
        """Yield all stored parts."""
        for part, copy in self._stored.items():
            yield part, marshal.loads(copy)


def find_path(state: object, part: object) -> list[JsonValue] | None:
    """Return where an object is in a state: [] for the state itself, None for nowhere.

    Fields and text keys are looked at, two levels deep.
    """
    if part is None or isinstance(part, str | int | float | bool | bytes):
        return None
    if state is part:
        return []
    for name, value in _members(state):
        if value is part:
            return [name]
        for inner, deeper in _members(value):
            if deeper is part:
                return [name, inner]
    return None


def look_up(state: object, path: list[JsonValue]) -> object:
    """Return the value at a path of a state, or None without one."""
    for name in path:
        state = dict(_members(state)).get(str(name))
    return state


def _members(value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [(key, one) for key, one in value.items() if isinstance(key, str)]
    return list(getattr(value, "__dict__", {}).items())
