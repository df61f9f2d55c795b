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

import marshal
from types import NoneType
from typing import Any, NamedTuple

from ..codec import to_plain, to_text
from ..events import Event
from ..meta import StepStatus


ATOMS = frozenset({str, int, float, bool, NoneType})
"""Types whose values cannot change."""

_FORMAT = 2  # without references, so that equal values have equal bytes
_STATUSES = {status: f'"{status.value}"' for status in StepStatus}


class Moment(NamedTuple):
    """An event with the parts copied that could change later."""

    event: Event
    """The event; its own payload and meta are not to be used."""
    payload: object
    """A ``Copy``, or an atom."""
    meta: str | None
    """JSON text."""


class Copy(bytes):
    """A value as it was."""

    __slots__ = ()

    def value(self) -> Any:
        """Return it as plain data."""
        return to_plain(marshal.loads(self))


def copied(value: Any) -> object:
    """Return something that stays as the value is now."""
    if type(value) in ATOMS:
        return value
    try:
        return Copy(marshal.dumps(value, _FORMAT))
    except ValueError:
        return Copy(marshal.dumps(to_plain(value), _FORMAT))


def meta_text(meta: dict[str, Any] | None) -> str | None:
    """Return an event's meta as JSON text; the usual one without asking the codec."""
    if meta is None:
        return None
    match meta:
        case {
            "framework": {
                "duration_s": float(seconds),
                "attempt": int(attempt),
                "status": StepStatus() as status,
                **odd,
            },
            **more,
        } if not odd and not more:
            return (
                f'{{"framework": {{"duration_s": {seconds!r}, '
                f'"attempt": {attempt}, "status": {_STATUSES[status]}}}}}'
            )
        case _:
            return to_text(meta)
