"""Changes of a run's state since the last commit, part by part.

A part is a field of the state, or a top-level key; a state that is no object is one part.
A list of more than 4 kB is written in segments, so that a commit that appends to it
writes the end and not the whole.

::

    {"p": {part: value}, "s": {part: {"n": length, "at": {start: items}}}, "gone": [part]}

Parts are compared as bytes: ``1`` and ``True`` are equal and not the same.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterable
from typing import Any

import attrs

from ..errors import NotStorable
from .lazy_classes import define, frozen
from .storable import Codec
from .storable_values import TAG, Plain, to_text


SEGMENT = 4096
"""Bytes of a list beyond which it is written in segments, and the least size of one."""

WHOLE = "="
"""The part that a state without fields is."""


@define(eq=False)
class _LongList:
    """A part that is a long list; segments keep their bounds from change to change."""

    bounds: list[int] = attrs.field(factory=lambda: [0])
    """Index of each segment's first item, and the end of the last segment."""
    segments: list[bytes] = attrs.field(factory=list)
    """The segments as bytes."""

    def changes(self, items: list[Plain]) -> dict[str, Any]:
        """Return the segments that changed, and note the list as it is now."""
        if len(items) < self.bounds[-1]:
            self.bounds, self.segments = [0], []
        changed: dict[str, list[Plain]] = {}
        for number, old in enumerate(self.segments):
            start, end = self.bounds[number], self.bounds[number + 1]
            new = marshal.dumps(items[start:end], 2)
            if new != old:
                self.segments[number] = new
                changed[str(start)] = items[start:end]
        self._append(items, changed)
        return {"n": len(items), "at": changed}

    def _append(self, items: list[Plain], changed: dict[str, list[Plain]]) -> None:
        """Add the items after the last segment; a short last segment is extended."""
        start = self.bounds[-1]
        if start == len(items) and self.segments:
            return
        if self.segments and len(self.segments[-1]) < SEGMENT:
            self.segments.pop()
            self.bounds.pop()
            start = self.bounds[-1]
        rest = items[start:]
        changed[str(start)] = rest
        size = len(marshal.dumps(rest, 2))
        step = max(1, SEGMENT * len(rest) // max(size, 1))
        for first in range(start, len(items), step):
            last = min(first + step, len(items))
            self.segments.append(marshal.dumps(items[first:last], 2))
            self.bounds.append(last)


@frozen(eq=False)
class StateChange:
    """Changes of the state; ``text`` may be called in another thread."""

    parts: dict[str, Plain]
    """Parts that are written whole."""
    segments: dict[str, dict[str, Any]]
    """Parts of which segments are written."""
    gone: tuple[str, ...] = ()
    """Parts that are not there any more."""

    def __bool__(self) -> bool:
        return bool(self.parts or self.segments or self.gone)

    def text(self) -> str:
        """Return it as JSON."""
        plain: dict[str, Any] = {}
        if self.parts:
            plain["p"] = self.parts
        if self.segments:
            plain["s"] = self.segments
        if self.gone:
            plain["gone"] = self.gone
        return to_text(plain)


class StateParts:
    """Keeps the last written state, to find what has changed since.

    Args:
        codec: writes the state.
        verify: decode each change, and refuse a state that does not equal the original.
    """

    def __init__(self, codec: Codec, *, verify: bool = False) -> None:
        self._codec = codec
        self._verify = verify
        self._last: dict[str, bytes] = {}
        self._lists: dict[str, _LongList] = {}
        self._stored: dict[str, Plain] = {}

    def take(self, state: object) -> StateChange:
        """Return a copy of what changed since the last time; it is noted as written.

        Raises:
            NotStorable: the state cannot be stored; nothing is noted.
        """
        plain = self._codec.encode(state)
        parts = parts_of(plain)
        change = StateChange(
            {}, {}, tuple(name for name in self._last if name not in parts)
        )
        for name in change.gone:
            del self._last[name]
            self._lists.pop(name, None)
        for name, value in parts.items():
            self._take_part(name, value, change)
        if self._verify:
            self._check(state, change)
        return change

    def resume(self, plain: Plain) -> None:
        """Take a state that another process stored as the base of the next change."""
        parts = parts_of(plain)
        self._stored = dict(parts)
        self._last = {name: marshal.dumps(value, 2) for name, value in parts.items()}

    def take_all(self, state: object) -> StateChange:
        """Return a copy of all of the state, for a snapshot."""
        self._last.clear()
        self._lists.clear()
        self._stored.clear()
        return self.take(state)

    def _take_part(self, name: str, value: Plain, change: StateChange) -> None:
        copy = marshal.dumps(value, 2)
        if self._last.get(name) == copy:
            return
        self._last[name] = copy
        if type(value) is not list or len(copy) < 2 * SEGMENT:
            self._lists.pop(name, None)
            change.parts[name] = value
            return
        known = self._lists.get(name)
        if known is None:
            self._lists[name] = known = _LongList()
        change.segments[name] = known.changes(value)

    def _check(self, state: object, change: StateChange) -> None:
        fold_change(self._stored, json.loads(change.text()))
        found = self._codec.decode(state_of(self._stored))
        if found != state:
            reason = f"it comes back as {found!r}"
            raise NotStorable(self._codec.place, type(state).__qualname__, reason)


def parts_of(plain: Plain) -> dict[str, Plain]:
    """Return the parts of a state's JSON data."""
    if type(plain) is dict and TAG not in plain and WHOLE not in plain and plain:
        return plain
    return {WHOLE: plain}


def state_of(parts: dict[str, Plain]) -> Plain:
    """Return the state's JSON data, put together from its parts."""
    return parts.get(WHOLE, parts)


def fold_state(texts: Iterable[str | None]) -> Plain:
    """Return the state that a run's rows give in order, for ``Codec.decode``."""
    parts: dict[str, Plain] = {}
    for text in texts:
        if text is not None:
            fold_change(parts, json.loads(text))
    return state_of(parts)


def fold_change(parts: dict[str, Plain], change: dict[str, Any]) -> None:
    """Apply one change."""
    for name in change.get("gone", ()):
        parts.pop(name, None)
    parts.update(change.get("p", {}))
    for name, segments in change.get("s", {}).items():
        before = parts.get(name)
        items: list[Plain] = before if isinstance(before, list) else []
        for start, new in sorted(segments["at"].items(), key=lambda pair: int(pair[0])):
            items[int(start) : int(start) + len(new)] = new
        del items[segments["n"] :]
        parts[name] = items
