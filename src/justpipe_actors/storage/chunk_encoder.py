"""A run's stretches become chunks, in the writer's thread: JSON for a whole column at a time.

A state that is as it was at an earlier event is encoded once, and referred to.  A payload
whose text is over the limit is replaced by its beginning and its length.  Where a column
cannot be written at once, because of a NaN or a key that is no text, each value of it is
written by the codec, which never fails.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from enum import Enum
from json.encoder import encode_basestring_ascii as quoted
from math import inf
from typing import Any, Literal

import attrs

from ..codec import to_plain, to_text
from ..events import EventType
from ..outcomes import PipelineEndData, StepTiming
from ..records import EventChunk, StoredEvent
from .chunk_format import fields_text, times_bytes
from .event_columns import Stretch, has_text_keys, meta_text, value_of


Path = list[str | int]
Change = list[Any]
"""``[path, value]`` for a new value, ``[path]`` for one that is gone."""

CHANGES = "$changes"
"""The key that tells changes from a state."""

SINCE = "$since"
"""The event whose state is changed."""


def changes_between(before: Any, after: Any) -> list[Change]:
    """Return what makes one plain value the other, in the order to be applied."""
    return list(_changes(before, after, []))


def _changes(before: Any, after: Any, path: Path) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from ([[*path, key]] for key in before if key not in after)
        for key, value in after.items():
            if key in before:
                yield from _changes(before[key], value, [*path, key])
            else:
                yield [[*path, key], value]
    elif isinstance(before, list) and isinstance(after, list) and _grew(before, after):
        for n, value in enumerate(after):
            if n < len(before):
                yield from _changes(before[n], value, [*path, n])
            else:
                yield [[*path, n], value]
    elif type(before) is not type(after) or before != after:
        yield [path, after]


def _grew(before: list[Any], after: list[Any]) -> bool:
    return len(before) <= len(after)


def changed(before: Any, changes: Iterable[Change]) -> Any:
    """Return a value with changes applied; the value itself stays as it is."""
    root = [copy.deepcopy(before)]
    for path, *value in changes:
        way: Path = [0, *path]
        place: Any = root
        for key in way[:-1]:
            place = place[key]
        last = way[-1]
        if not value:
            del place[last]
        elif _is_end(place, last):
            place.append(value[0])
        else:
            place[last] = value[0]
    return root[0]


def _is_end(place: object, key: str | int) -> bool:
    return isinstance(place, list) and key == len(place)


def states_of(events: Iterable[StoredEvent]) -> Iterator[tuple[StoredEvent, Any]]:
    """Return each event that shows a state, START and STEP_END, with the whole state.

    Args:
        events: a run's events from the first on, in order.
    """
    states: dict[int, Any] = {}
    for event in events:
        if event.type_name in ("start", "step_end"):
            payload = json.loads(event.data).get("payload")
            if isinstance(payload, dict) and CHANGES in payload:
                payload = changed(states.get(payload.get(SINCE, 0)), payload[CHANGES])
            states[event.seq] = payload
            yield event, payload


StatePolicy = Literal["full", "diff", "none"]
"""How much of the state is stored: all of it, what changed, or nothing."""

TRUNCATED = "$truncated"
"""The key that tells the beginning of a payload from a payload."""

_SHORT = 200  # bytes up to which saying it again is cheaper than referring to it
_HEAD = 1000  # characters of a payload over the limit that are kept

_STATES = frozenset({EventType.START.value, EventType.STEP_END.value})


@attrs.frozen
class Shown:
    """The state that was stored last."""

    seq: int
    """The event it was stored with."""
    copy: object
    """What it looked like."""
    text: str = ""
    """Its JSON text; kept for comparing only, like the next."""
    plain: Any = None
    """The same as plain data."""


@attrs.define(eq=False)
class Encoder:
    """Turns one run's stretches into chunks; remembers the state it saw last."""

    run_id: str
    """The run."""
    policy: StatePolicy
    """How much of the state is stored."""
    limit: int
    """Characters of one payload."""
    _shown: dict[str | None, Shown] = attrs.field(factory=dict, init=False)

    def chunk(self, stretch: Stretch, *, may_refer: bool) -> EventChunk:
        """Return a stretch as it is stored.

        Args:
            stretch: the events, in order, each stretch once.
            may_refer: whether a payload may be told by naming an earlier event.
        """
        payloads, echoes = self._payloads(stretch, may_refer=may_refer)
        metas = stretch.metas
        return EventChunk(
            stretch.first,
            stretch.first + len(stretch) - 1,
            times_bytes(stretch.times),
            fields_text(self.run_id, stretch.alike, stretch.each),
            payloads,
            None if metas is None else _array(map(meta_text, metas)),
            json.dumps(echoes) if echoes else None,
            json.dumps(stretch.counts),
        )

    def _payloads(
        self, stretch: Stretch, *, may_refer: bool
    ) -> tuple[str, dict[int, int]]:
        if self.policy == "diff":
            return _array(self._each(stretch)), {}
        payloads, echoes = stretch.payloads, {}
        copies: list[int] = []
        if stretch.has_copies:
            copies = [n for n, one in enumerate(payloads) if type(one) is bytes]
        if copies:
            if may_refer:
                echoes = self._echoes(stretch, copies)
            payloads = payloads[:]
            for n in copies:
                payloads[n] = None if n in echoes else value_of(payloads[n])
        # All at once if that says the same: several times as fast as one by one.
        if not copies or has_text_keys([payloads[n] for n in copies]):
            with suppress(ValueError, TypeError, RecursionError):
                text = _together(payloads)
                if len(text) <= self.limit:
                    return text, echoes
        return _array(self._bounded(_text(one)) for one in payloads), echoes

    def _echoes(self, stretch: Stretch, copies: list[int]) -> dict[int, int]:
        """Return which states were stored before, and with which event."""
        echoes: dict[int, int] = {}
        for n in copies:
            copy = stretch.payloads[n]
            if len(copy) > _SHORT and stretch.field("type", n) in _STATES:
                whose = stretch.field("origin_run_id", n)
                last = self._shown.get(whose)
                if last is not None and copy == last.copy:
                    echoes[n] = last.seq
                else:
                    self._shown[whose] = Shown(stretch.first + n, copy)
        return echoes

    def _each(self, stretch: Stretch) -> Iterator[str]:
        """Write payloads one by one, states as what changed in them."""
        for n, payload in enumerate(stretch.payloads):
            if payload is not None and stretch.field("type", n) in _STATES:
                whose = stretch.field("origin_run_id", n)
                yield self._state(stretch.first + n, whose, payload)
            else:
                yield self._bounded(_text(_loaded(payload)))

    def _state(self, seq: int, whose: str | None, payload: object) -> str:
        last = self._shown.get(whose)
        if last and type(payload) is type(last.copy) and payload == last.copy:
            return json.dumps({SINCE: last.seq, CHANGES: []})
        plain = to_plain(_loaded(payload))
        text = self._bounded(json.dumps(plain))
        self._shown[whose] = Shown(seq, payload, text, plain)
        return _state_changes(last, plain, text)

    def _bounded(self, text: str) -> str:
        if len(text) <= self.limit:
            return text
        return json.dumps({TRUNCATED: {"chars": len(text), "head": text[:_HEAD]}})


def _state_changes(last: Shown | None, plain: Any, text: str) -> str:
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


def _array(texts: Iterator[str]) -> str:
    return f"[{','.join(texts)}]"


def _loaded(payload: object) -> Any:
    return value_of(payload) if type(payload) is bytes else payload


def _together(payloads: list[Any]) -> str:
    if type(payloads[-1]) is not PipelineEndData:
        return _encode(payloads)
    others = _encode(payloads[:-1])[1:-1]
    return f"[{others}{',' if others else ''}{end_text(payloads[-1])}]"


def _text(payload: object) -> str:
    with suppress(ValueError, TypeError, RecursionError):
        if type(payload) is PipelineEndData:
            return end_text(payload)
        if has_text_keys([payload]):
            return _encode(payload)
    return to_text(payload)


def end_text(end: PipelineEndData) -> str:
    """Return FINISH's payload as JSON text.

    By hand where it is long: it has figures for each step, and most steps run once, so
    three of their figures are one.
    """
    fields = dict(vars(end))
    metrics = fields.pop("metrics")
    if metrics is None:
        return _encode(end)
    figures = dict(vars(metrics))
    timings = figures.pop("step_latency")
    each = [
        f"{quoted(name)}:{_timing_text(timing)}" for name, timing in timings.items()
    ]
    return (
        f'{_encode(fields)[:-1]},"metrics":{_encode(figures)[:-1]},'
        f'"step_latency":{{{",".join(each)}}}}}}}'
    )


def _timing_text(timing: StepTiming) -> str:
    total = timing.total_s
    if timing.count != 1 or not 0 <= total < inf:
        return _encode(timing)
    text = repr(total)
    return f'{{"count":1,"total_s":{text},"min_s":{text},"max_s":{text}}}'


def _parts(thing: Any) -> Any:
    """Take apart what FINISH says: enums and dataclasses of this package only."""
    return thing.value if isinstance(thing, Enum) else vars(thing)


# Five times as fast as the codec.  Copies have no cycles, so none is looked for.
_encode = json.JSONEncoder(default=_parts, allow_nan=False, check_circular=False).encode
