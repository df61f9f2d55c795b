"""Encode a run's event columns as chunks, in the writer's thread.

A state equal to that of an earlier event is stored as a reference to that event.  A
payload with a text over the limit is replaced by its beginning and its length.
``json`` encodes a whole column at a time.  If that fails because of a NaN or a key that
is no text, the codec, which never fails, encodes each value of the column.
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
from ..outcomes import PipelineEndData, RuntimeMetrics, StepTiming
from ..records import EventChunk, StoredEvent
from .chunk_format import encode_fields, encode_times, several_tries
from .event_columns import EventColumns, encode_meta, has_only_text_keys, restore_value


KeyPath = list[str | int]
Change = list[Any]
"""``[path, value]`` for a new value, ``[path]`` for one that is gone."""

CHANGES = "$changes"
"""Key that marks a payload as changes instead of a state."""

SINCE = "$since"
"""Key for the number of the event that the changes apply to."""


def changes_between(before: Any, after: Any) -> list[Change]:
    """Return the changes from one plain value to another, in the order to apply."""
    return list(_iter_changes(before, after, []))


def _iter_changes(before: Any, after: Any, path: KeyPath) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from ([[*path, key]] for key in before if key not in after)
        for key, value in after.items():
            if key in before:
                yield from _iter_changes(before[key], value, [*path, key])
            else:
                yield [[*path, key], value]
    elif (
        isinstance(before, list)
        and isinstance(after, list)
        and _is_not_shorter(before, after)
    ):
        for n, value in enumerate(after):
            if n < len(before):
                yield from _iter_changes(before[n], value, [*path, n])
            else:
                yield [[*path, n], value]
    elif type(before) is not type(after) or before != after:
        yield [path, after]


def _is_not_shorter(before: list[Any], after: list[Any]) -> bool:
    return len(before) <= len(after)


def apply_changes(before: Any, changes: Iterable[Change]) -> Any:
    """Return a value with changes applied; the value itself is not changed."""
    root = [copy.deepcopy(before)]
    for path, *value in changes:
        full_path: KeyPath = [0, *path]
        parent: Any = root
        for key in full_path[:-1]:
            parent = parent[key]
        last = full_path[-1]
        if not value:
            del parent[last]
        elif _is_append(parent, last):
            parent.append(value[0])
        else:
            parent[last] = value[0]
    return root[0]


def _is_append(parent: object, key: str | int) -> bool:
    return isinstance(parent, list) and key == len(parent)


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
                payload = apply_changes(
                    states.get(payload.get(SINCE, 0)), payload[CHANGES]
                )
            states[event.seq] = payload
            yield event, payload


StatePolicy = Literal["full", "diff", "none"]
"""How much of the state is stored: all of it, what changed, or nothing."""

TRUNCATED = "$truncated"
"""Key that marks a payload as truncated."""

_MIN_REPEATED_BYTES = (
    200  # bytes up to which saying it again is cheaper than referring to it
)
_TRUNCATED_CHARS = 1000  # characters of a payload over the limit that are kept

_STATE_TYPES = frozenset({EventType.START.value, EventType.STEP_END.value})


@attrs.frozen
class LastState:
    """The state that was stored last."""

    seq: int
    """The event it was stored with."""
    snapshot: object
    """Copy of the state."""
    text: str = ""
    """Its JSON text; kept for comparing only, like the next."""
    plain: Any = None
    """The same as plain data."""


@attrs.define(eq=False)
class Encoder:
    """Encodes one run's event columns as chunks; keeps the last state for references and differences."""

    run_id: str
    policy: StatePolicy
    """The part of the state that is stored."""
    limit: int
    """Characters of one payload."""
    _last_states: dict[str | None, LastState] = attrs.field(factory=dict, init=False)

    def chunk(self, columns: EventColumns, *, allow_references: bool) -> EventChunk:
        """Return event columns as the chunk that is stored.

        Args:
            columns: the events, in order, each stretch once.
            allow_references: whether a payload may be stored as a reference to an earlier event.
        """
        payloads, repeated = self._encode_payloads(
            columns, allow_references=allow_references
        )
        metas = columns.metas
        metas_text = None if metas is None else _join_array(map(encode_meta, metas))
        constants = columns.constants
        if metas_text is not None and (tries := several_tries(metas_text)):
            constants = {**constants, "tries": tries}
        return EventChunk(
            columns.first,
            columns.first + len(columns) - 1,
            encode_times(columns.times),
            encode_fields(self.run_id, constants, columns.columns),
            payloads,
            metas_text,
            json.dumps(repeated) if repeated else None,
            json.dumps(columns.counts),
        )

    def _encode_payloads(
        self, columns: EventColumns, *, allow_references: bool
    ) -> tuple[str, dict[int, int]]:
        if self.policy == "diff":
            return _join_array(self._encode_each(columns)), {}
        payloads, repeated = columns.payloads, {}
        snapshots: list[int] = []
        if columns.has_copies:
            snapshots = [
                n for n, payload in enumerate(payloads) if type(payload) is bytes
            ]
        if snapshots:
            if allow_references:
                repeated = self._find_repeated_states(columns, snapshots)
            payloads = payloads[:]
            for n in snapshots:
                payloads[n] = None if n in repeated else restore_value(payloads[n])
        # perf: encoding the whole column is several times as fast as each value.
        if not snapshots or has_only_text_keys([payloads[n] for n in snapshots]):
            with suppress(ValueError, TypeError, RecursionError):
                text = _encode_all(payloads)
                if len(text) <= self.limit:
                    return text, repeated
        return _join_array(
            self._truncate_text(_encode_payload(payload)) for payload in payloads
        ), repeated

    def _find_repeated_states(
        self, columns: EventColumns, snapshots: list[int]
    ) -> dict[int, int]:
        """Return the earlier event that stored the same state, by index."""
        repeated: dict[int, int] = {}
        for n in snapshots:
            snapshot = columns.payloads[n]
            if (
                len(snapshot) > _MIN_REPEATED_BYTES
                and columns.field("type", n) in _STATE_TYPES
            ):
                origin = columns.field("origin_run_id", n)
                last = self._last_states.get(origin)
                if last is not None and snapshot == last.snapshot:
                    repeated[n] = last.seq
                else:
                    self._last_states[origin] = LastState(columns.first + n, snapshot)
        return repeated

    def _encode_each(self, columns: EventColumns) -> Iterator[str]:
        """Encode payloads one by one, and states as changes."""
        for n, payload in enumerate(columns.payloads):
            if payload is not None and columns.field("type", n) in _STATE_TYPES:
                origin = columns.field("origin_run_id", n)
                yield self._encode_state(columns.first + n, origin, payload)
            else:
                yield self._truncate_text(_encode_payload(_restore(payload)))

    def _encode_state(self, seq: int, origin: str | None, payload: object) -> str:
        last = self._last_states.get(origin)
        if last and type(payload) is type(last.snapshot) and payload == last.snapshot:
            return json.dumps({SINCE: last.seq, CHANGES: []})
        plain = to_plain(_restore(payload))
        text = self._truncate_text(json.dumps(plain))
        self._last_states[origin] = LastState(seq, payload, text, plain)
        return _shorter_state_text(last, plain, text)

    def _truncate_text(self, text: str) -> str:
        if len(text) <= self.limit:
            return text
        return json.dumps(
            {TRUNCATED: {"chars": len(text), "head": text[:_TRUNCATED_CHARS]}}
        )


def _shorter_state_text(last: LastState | None, plain: Any, text: str) -> str:
    """Return the shorter text: that of the changes or that of the whole state."""
    if TRUNCATED in text[:20] or (last and TRUNCATED in last.text[:20]):
        return text
    looks_like_changes = isinstance(plain, dict) and CHANGES in plain
    full_text = (
        json.dumps({SINCE: 0, CHANGES: [[[], plain]]}) if looks_like_changes else text
    )
    if last is None:
        return full_text
    changes = changes_between(last.plain, plain)
    changes_text = json.dumps({SINCE: last.seq, CHANGES: changes})
    return min(changes_text, full_text, key=len)


def _join_array(texts: Iterator[str]) -> str:
    return f"[{','.join(texts)}]"


def _restore(payload: object) -> Any:
    return restore_value(payload) if type(payload) is bytes else payload


def _encode_all(payloads: list[Any]) -> str:
    if type(payloads[-1]) is not PipelineEndData:
        return _encode(payloads)
    others = _encode(payloads[:-1])[1:-1]
    return f"[{others}{',' if others else ''}{encode_end(payloads[-1])}]"


def _encode_payload(payload: object) -> str:
    with suppress(ValueError, TypeError, RecursionError):
        if type(payload) is PipelineEndData:
            return encode_end(payload)
        if has_only_text_keys([payload]):
            return _encode(payload)
    return to_text(payload)


def encode_end(end: PipelineEndData) -> str:
    """Return FINISH's payload as JSON text.

    perf: the figures of the steps are formatted without the codec, because they are
    long; most steps run once, so three of their figures are equal.
    """
    fields = end.__getstate__()
    metrics = fields.pop("metrics")
    if metrics is None:
        return _encode(end)
    metric_fields = metrics.__getstate__()
    timings = metric_fields.pop("step_latency")
    step_texts = [
        f"{quoted(name)}:{_encode_timing(timing)}" for name, timing in timings.items()
    ]
    return (
        f'{_encode(fields)[:-1]},"metrics":{_encode(metric_fields)[:-1]},'
        f'"step_latency":{{{",".join(step_texts)}}}}}}}'
    )


def _encode_timing(timing: StepTiming) -> str:
    total = timing.total_s
    if timing.count != 1 or not 0 <= total < inf:
        return _encode(timing)
    text = repr(total)
    return f'{{"count":1,"total_s":{text},"min_s":{text},"max_s":{text}}}'


def _encode_object(value: Any) -> Any:
    """Convert the enums and dataclasses in FINISH's payload to plain data."""
    if isinstance(value, PipelineEndData | RuntimeMetrics):
        # Without the exceptions, which are no data, and with what is converted late.
        return value.__getstate__()
    return value.value if isinstance(value, Enum) else vars(value)


# perf: five times as fast as the codec.  Copies cannot contain cycles.
_encode = json.JSONEncoder(
    default=_encode_object, allow_nan=False, check_circular=False
).encode
