"""A run's events become rows, in the writer's thread.

Consecutive tokens of one place become one row.  A state that is as it was at an earlier
event is encoded once, and refers to it.  A payload whose text is over the limit is
replaced by its beginning and its length.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from typing import Any, Literal

import attrs

from ..codec import to_plain, to_text
from ..events import Event, EventType
from ..outcomes import PipelineEndData
from ..records import EventRow, TokenRow
from .changes import CHANGES, SINCE, changes_between
from .copying import Burst, Copy, Moment


StatePolicy = Literal["full", "diff", "none"]
"""How much of the state is stored: all of it, what changed, or nothing."""

TRUNCATED = "$truncated"
"""The key that tells the beginning of a payload from a payload."""

_SHORT = 200  # characters up to which saying it again is cheaper than referring to it
_HEAD = 1000  # characters of a payload over the limit that are kept

_START, _END = EventType.START, EventType.STEP_END


@attrs.frozen
class Shown:
    """The state that was stored last."""

    seq: int
    """The event it was stored with."""
    copy: object
    """What it looked like."""
    text: str
    """Its JSON text."""
    plain: Any = None
    """The same as plain data; kept for comparing only."""


@attrs.define(eq=False)
class Encoder:
    """Turns one run's events into rows; remembers the state it saw last."""

    policy: StatePolicy
    """How much of the state is stored."""
    limit: int
    """Characters of one payload."""
    _shown: dict[str | None, Shown] = attrs.field(factory=dict, init=False)

    def has_payload(self, event: Event) -> bool:
        """Tell whether an event's payload is stored at all."""
        return self.policy != "none" or event.type not in (_START, _END)

    def rows(self, items: Iterable[Moment | Burst]) -> list[EventRow | TokenRow]:
        """Return the rows of what happened."""
        made: list[EventRow | TokenRow] = []
        for item in items:
            if isinstance(item, Moment):
                made.append(self._row(item))
            else:
                made.extend(self._tokens(item))
        return made

    def _tokens(self, burst: Burst) -> Iterable[EventRow | TokenRow]:
        text = json.dumps(burst.payloads)
        if len(burst.payloads) > 1 and len(text) <= self.limit:
            return [TokenRow(burst.seq, tuple(burst.timestamps), burst.place, text)]
        return [
            EventRow(
                burst.seq + n,
                "token",
                burst.timestamps[n],
                burst.place,
                self._bounded(json.dumps(payload)),
                None,
            )
            for n, payload in enumerate(burst.payloads)
        ]

    def _row(self, moment: Moment) -> EventRow:
        seq, kind, timestamp, place, payload, meta, _ = moment
        text, same = None, None
        if payload is None:
            pass
        elif kind is not _END and kind is not _START:
            text = self._bounded(_text(payload))
        else:
            text, same = self._state(moment)
        return EventRow(seq, kind._value_, timestamp, place, text, meta, same)

    def _state(self, moment: Moment) -> tuple[str, int | None]:
        seq, payload, whose = moment.seq, moment.payload, moment.place.origin_run_id
        last = self._shown.get(whose)
        if last and type(payload) is type(last.copy) and payload == last.copy:
            if self.policy == "diff":
                return json.dumps({SINCE: last.seq, CHANGES: []}), None
            return last.text, last.seq if len(last.text) > _SHORT else None
        text = self._bounded(_text(payload))
        if self.policy == "full":
            self._shown[whose] = Shown(seq, payload, text)
            return text, None
        plain = payload.value() if isinstance(payload, Copy) else to_plain(payload)
        self._shown[whose] = Shown(seq, payload, text, plain)
        return self._changes(last, plain, text), None

    def _changes(self, last: Shown | None, plain: Any, text: str) -> str:
        """Return the shorter of what changed and what is there now."""
        if TRUNCATED in text[:20] or (last and TRUNCATED in last.text[:20]):
            return text
        is_odd = isinstance(plain, dict) and CHANGES in plain
        whole = json.dumps({SINCE: 0, CHANGES: [[[], plain]]}) if is_odd else text
        if last is None:
            return whole
        changes = changes_between(last.plain, plain)
        short = json.dumps({SINCE: last.seq, CHANGES: changes})
        return min(short, whole, key=len)

    def _bounded(self, text: str) -> str:
        if len(text) <= self.limit:
            return text
        return json.dumps({TRUNCATED: {"chars": len(text), "head": text[:_HEAD]}})


def _text(payload: object) -> str:
    if isinstance(payload, Copy):
        return payload.text()
    if type(payload) is PipelineEndData:
        with suppress(ValueError, TypeError):
            return _encode_end(payload)
    return to_text(payload)


def _parts(thing: Any) -> Any:
    """Take apart what FINISH says: enums and dataclasses of this package only."""
    return thing.value if isinstance(thing, Enum) else vars(thing)


# Five times as fast as the codec, for a run of many steps has many figures in FINISH.
_encode_end = json.JSONEncoder(default=_parts, allow_nan=False).encode
