"""A run's events become rows, in the writer's thread.

Consecutive tokens of one place become one row.  A state that is as it was at an earlier
event is encoded once, and refers to it.  A payload whose text is over the limit is
replaced by its beginning and its length.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Literal

import attrs

from ..codec import to_text
from ..events import Event, EventType
from ..records import EventRow, Place, TokenRow
from .changes import CHANGES, SINCE, changes_between
from .copying import Copy, Moment


StatePolicy = Literal["full", "diff", "none"]
"""How much of the state is stored: all of it, what changed, or nothing."""

TRUNCATED = "$truncated"
"""The key that tells the beginning of a payload from a payload."""

_SHORT = 200  # characters up to which saying it again is cheaper than referring to it
_HEAD = 1000  # characters of a payload over the limit that are kept

_STATEFUL = (EventType.START, EventType.STEP_END)

_place_of = attrgetter(
    "stage",
    "origin_run_id",
    "parent_run_id",
    "node_kind",
    "invocation_id",
    "parent_invocation_id",
    "owner_invocation_id",
    "attempt",
    "scope",
)


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
        return self.policy != "none" or event.type not in _STATEFUL

    def rows(self, items: Sequence[Event | Moment]) -> list[EventRow | TokenRow]:
        """Return the rows of events; a bare event is a token whose payload is a text."""
        made: list[EventRow | TokenRow] = []
        tokens: list[Event] = []
        place: tuple[Any, ...] = ()
        for item in items:
            if isinstance(item, Moment):
                if tokens:
                    made.extend(self._tokens(tokens, place))
                    tokens = []
                made.append(self._row(item))
                continue
            here = _place_of(item)
            if tokens and (here != place or item.seq != tokens[-1].seq + 1):  # type: ignore[operator]
                made.extend(self._tokens(tokens, place))
                tokens = []
            place = here
            tokens.append(item)
        if tokens:
            made.extend(self._tokens(tokens, place))
        return made

    def forget(self) -> None:
        """Refer to nothing that was encoded so far: it may not have been stored."""
        self._shown.clear()

    def _tokens(
        self, tokens: Sequence[Event], place: tuple[Any, ...]
    ) -> Iterable[EventRow | TokenRow]:
        payloads = [event.payload for event in tokens]
        text = json.dumps(payloads)
        at = _place(place)
        if len(tokens) == 1 or len(text) > self.limit:
            return [
                EventRow(
                    event.seq or 0,
                    "token",
                    event.timestamp,
                    at,
                    self._bounded(to_text(event.payload)),
                    None,
                )
                for event in tokens
            ]
        first = tokens[0].seq or 0
        return [TokenRow(first, tuple([e.timestamp for e in tokens]), at, text)]

    def _row(self, moment: Moment) -> EventRow:
        event, payload, meta = moment
        seq, kind = event.seq or 0, event.type.value
        text, same = self._payload(event, payload)
        place = _place(_place_of(event))
        return EventRow(seq, kind, event.timestamp, place, text, meta, same)

    def _payload(self, event: Event, payload: object) -> tuple[str | None, int | None]:
        if payload is None:
            return None, None
        if event.type not in _STATEFUL:
            return self._bounded(_text(payload)), None
        return self._state(event, payload)

    def _state(self, event: Event, payload: object) -> tuple[str, int | None]:
        last = self._shown.get(event.origin_run_id)
        seq = event.seq or 0
        if (
            last is not None
            and last.copy == payload
            and type(payload) is type(last.copy)
        ):
            if self.policy == "diff":
                return json.dumps({SINCE: last.seq, CHANGES: []}), None
            return last.text, last.seq if len(last.text) > _SHORT else None
        plain = payload.value() if isinstance(payload, Copy) else payload
        text = self._bounded(to_text(plain))
        if self.policy == "full":
            self._shown[event.origin_run_id] = Shown(seq, payload, text)
            return text, None
        self._shown[event.origin_run_id] = Shown(seq, payload, text, plain)
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
    return to_text(payload.value() if isinstance(payload, Copy) else payload)


def _place(found: tuple[Any, ...]) -> Place:
    stage, origin, parent, kind, own, cause, owner, attempt, scope = found
    return Place(
        stage, origin, parent, kind.value, own, cause, owner, attempt, tuple(scope)
    )
