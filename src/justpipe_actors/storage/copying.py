"""What an event shows, as it is at that moment.

A payload is mostly the live state: by the time a thread writes it down, later steps have
changed it.  So it is copied when the event is published, on the event loop, and turned
into JSON later, in the writer's thread.

The copy is made by ``marshal``: at C speed, of built-in types only, so that no code of
the user's runs, and as bytes, whose length says what they weigh and whose equality is
strict (``1``, ``1.0`` and ``True`` differ, as in JSON).  What ``marshal`` does not know,
such as a dataclass, is made plain by the codec first.  The bytes never leave the process.
``copy.deepcopy`` is ten times slower and runs the objects' code; JSON right away takes
five times as long, and cannot be told to stop before it is done.
"""

from __future__ import annotations

import json
import marshal
from collections.abc import Iterable
from contextlib import suppress
from operator import attrgetter
from types import NoneType
from typing import Any, NamedTuple

from ..codec import to_plain, to_text
from ..events import Event, EventType
from ..meta import StepStatus
from ..outcomes import PipelineEndData
from ..records import Place


ATOMS = frozenset({str, int, float, bool, NoneType})
"""Types whose values cannot change; neither can FINISH's payload, once it is said."""

place_of = attrgetter(
    "stage",
    "origin_run_id",
    "parent_run_id",
    "node_kind._value_",
    "invocation_id",
    "parent_invocation_id",
    "owner_invocation_id",
    "attempt",
    "scope",
)
"""The fields of an event that make its ``Place``, in their order."""

_FORMAT = 2  # without references, so that equal values have equal bytes


EVENT, _TOKEN = 1_000, 100
"""Bytes that one takes, beside its payload; roughly, and the same for a token."""


class Moment(NamedTuple):
    """An event with everything copied that could change later."""

    seq: int
    """``Event.seq``."""
    type: EventType
    """``Event.type``."""
    timestamp: float
    """``Event.timestamp``."""
    place: Place
    """Where it happened."""
    payload: object
    """A ``Copy``, or an atom."""
    meta: str | None
    """JSON text."""
    weight: int
    """Bytes it takes while it waits, roughly."""


class Burst:
    """Consecutive tokens of one place, gathered on the event loop."""

    __slots__ = ("limit", "next", "payloads", "place", "seq", "timestamps", "weight")

    def __init__(self, event: Event, place: Place, limit: int) -> None:
        self.seq = event.seq or 0
        self.place = place
        self.limit = limit
        self.next = self.seq + 1
        self.payloads: list[str] = [event.payload]
        self.timestamps: list[float] = [event.timestamp]
        self.weight = 0

    def weigh(self) -> None:
        """Say how much it weighs, once it will not grow any more."""
        self.weight = _TOKEN * len(self.payloads) + sum(map(len, self.payloads))


class Copy(bytes):
    """A value as it was."""

    __slots__ = ()

    def value(self) -> Any:
        """Return it as plain data."""
        return to_plain(marshal.loads(self))

    def text(self) -> str:
        """Return it as JSON text."""
        found = marshal.loads(self)
        if has_text_keys(found):
            with suppress(ValueError, TypeError):
                return _encode(found)
        return to_text(found)


def copied(value: Any) -> object:
    """Return something that stays as the value is now."""
    if type(value) in ATOMS or type(value) is PipelineEndData:
        return value
    try:
        return Copy(marshal.dumps(value, _FORMAT))
    except ValueError:
        return Copy(marshal.dumps(to_plain(value), _FORMAT))


def has_text_keys(value: Any) -> bool:
    """Tell whether ``json`` would lose no key; other keys may become the same text."""
    if type(value) is dict:
        return set(map(type, value)) <= _TEXT and _have_text_keys(value.values())
    return type(value) not in _HOLDERS or _have_text_keys(value)


def _have_text_keys(values: Iterable[Any]) -> bool:
    kinds = set(map(type, values))
    return kinds.isdisjoint(_HOLDERS) or all(map(has_text_keys, values))


_TEXT = frozenset({str})
_HOLDERS = frozenset({dict, list, tuple})
_encode = json.JSONEncoder(allow_nan=False).encode


def meta_text(meta: dict[str, Any] | None) -> str | None:
    """Return an event's meta as JSON text; the usual one without asking the codec."""
    if meta is None:
        return None
    framework = meta.get("framework")
    if len(meta) == 1 and type(framework) is dict and len(framework) == 3:
        seconds, attempt = framework.get("duration_s"), framework.get("attempt")
        status = _words.get(id(framework.get("status")))
        if type(seconds) is float and type(attempt) is int and status is not None:
            return (
                f'{{"framework": {{"duration_s": {seconds!r}, '
                f'"attempt": {attempt}, "status": {status}}}}}'
            )
    return to_text(meta)


# By identity: the hash of a member is computed in Python, each time.
_words = {id(status): f'"{status.value}"' for status in StepStatus}
