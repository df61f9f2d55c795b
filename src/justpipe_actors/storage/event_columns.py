"""Copy events at publication, and group them into columns.

The payload is usually the live state, and later steps may change it before the writer's
thread encodes it.  So the event loop copies the payload when the event is published,
and the writer's thread encodes the copy as JSON later.

``marshal`` makes the copy: it runs at C speed and handles built-in types only, so no
user code runs.  The result is bytes: their length is the memory cost, and their
equality is strict (``1``, ``1.0`` and ``True`` differ, as in JSON).  The codec first
converts types that ``marshal`` does not support, such as dataclasses.  The bytes never
leave the process.

Rejected: ``data.deepcopy`` is ten times slower and runs the objects' code.  Encoding
JSON immediately takes five times as long and cannot be interrupted.
"""

from __future__ import annotations

import marshal
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from types import NoneType
from typing import Any

import attrs

from ..codec import LIMITS, to_plain, to_text
from ..events import Event, EventType
from ..meta import StepStatus
from ..outcomes import PipelineEndData


_TOKEN = EventType.TOKEN

MIN_STREAM_EVENTS = 32
"""Tokens of one stream that get columns of their own."""


@attrs.frozen
class EventColumns:
    """Consecutive events of one run, field by field."""

    first: int
    """Sequence number of the first event; the others follow without a gap."""
    times: array[float]
    """``Event.timestamp``."""
    constants: dict[str, object]
    """Values of the fields that are equal in all events, by their key in JSON."""
    columns: dict[str, list[Any]]
    """One value per event for each other field."""
    counts: dict[str, int]
    """Number of events by type."""
    has_copies: bool
    """Whether any payload may be a copy."""
    payloads: list[Any]
    """Immutable values, and copies as ``bytes``."""
    metas: list[Any] | None
    """Dicts, JSON texts and None; None when no event has one."""

    def __len__(self) -> int:
        return len(self.payloads)

    def field(self, name: str, index: int) -> Any:
        """Return a field of one event."""
        return (
            self.columns[name][index] if name in self.columns else self.constants[name]
        )


def columns_of(
    events: Sequence[Event],
    payloads: dict[int, object],
    metas: dict[int, str],
    *,
    tokens_are_unchanged: bool,
) -> Iterator[EventColumns]:
    """Divide a queue's events into columns that are stored as one chunk each.

    Args:
        events: of one run, in order.
        payloads: by an event's identity what is to be stored instead of its payload;
            what is used is taken out.
        metas: the same for its meta.
        tokens_are_unchanged: whether no hook has changed tokens.
    """
    for start, end, is_same_stream in _split_batch(
        events, _token_streams(events) if tokens_are_unchanged else []
    ):
        batch = events[start:end]
        constants, columns = _constants_and_columns(
            batch[:1] if is_same_stream else batch
        )
        type_column = columns.get("type")
        yield EventColumns(
            batch[0].seq or 0,
            array("d", [event.timestamp for event in batch]),
            constants,
            columns,
            {str(constants["type"]): len(batch)}
            if type_column is None
            else dict(Counter(type_column)),
            bool(payloads),
            _payloads(batch, payloads),
            None if is_same_stream else _metas(batch, metas),
        )


def _payloads(batch: Sequence[Event], replacements: dict[int, object]) -> list[Any]:
    if not replacements:
        return [event.payload for event in batch]
    return [replacements.pop(id(event), event.payload) for event in batch]


def _metas(batch: Sequence[Event], replacements: dict[int, str]) -> list[Any] | None:
    metas: list[Any] = [event.meta for event in batch]
    if replacements:
        metas = [replacements.pop(id(event), event.meta) for event in batch]
    return None if metas.count(None) == len(metas) else metas


def _token_streams(events: Sequence[Event]) -> list[str | None]:
    """Return the invocation id of each TOKEN event, and None for all other events."""
    return [event.invocation_id if event.type is _TOKEN else None for event in events]


def _split_batch(
    events: Sequence[Event], streams: Sequence[str | None]
) -> Iterator[tuple[int, int, bool]]:
    """Yield the begin, the end and whether all events between them are tokens of one stream."""
    if (
        streams
        and _is_from_this_run(events[0], streams[0])
        and streams.count(streams[0]) == len(streams)
    ):
        yield 0, len(events), True  # perf: most often all events are of one stream
        return
    batch_start = start = 0
    for stream, group in groupby(streams):
        end = start + len(list(group))
        if end - start >= MIN_STREAM_EVENTS and _is_from_this_run(
            events[start], stream
        ):
            yield from _split_at_gaps(events, batch_start, start)
            yield start, end, True
            batch_start = end
        start = end
    yield from _split_at_gaps(events, batch_start, len(events))


def _is_from_this_run(event: Event, stream: str | None) -> bool:
    """Tell whether a stream is of this run: hooks of a child may have changed a child's tokens."""
    return stream is not None and event.parent_run_id is None


def _split_at_gaps(
    events: Sequence[Event], batch_start: int, end: int
) -> Iterator[tuple[int, int, bool]]:
    """Split where a sequence number does not follow the one before: a hook may have changed it."""
    start = batch_start
    numbers = [event.seq or 0 for event in events[batch_start:end]]
    if not numbers:
        return
    if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        yield batch_start, end, False
        return
    for index in range(batch_start + 1, end):
        if numbers[index - start] != numbers[index - start - 1] + 1:
            yield batch_start, index, False
            batch_start = index
    yield batch_start, end, False


def _constants_and_columns(
    batch: Sequence[Event],
) -> tuple[dict[str, object], dict[str, list[Any]]]:
    """Return the fields that are equal in all events, and a column for each other field."""
    columns: dict[str, list[Any]] = {
        "type": [event.type._value_ for event in batch],
        "stage": [event.stage for event in batch],
        "origin_run_id": [event.origin_run_id for event in batch],
        "parent_run_id": [event.parent_run_id for event in batch],
        "node_kind": [event.node_kind._value_ for event in batch],
        "invocation_id": [event.invocation_id for event in batch],
        "parent_invocation_id": [event.parent_invocation_id for event in batch],
        "owner_invocation_id": [event.owner_invocation_id for event in batch],
        "attempt": [event.attempt for event in batch],
        "scope": [event.scope for event in batch],
    }
    constants = {
        name: column[0] for name, column in columns.items() if _is_constant(column)
    }
    return constants, {name: columns[name] for name in columns if name not in constants}


def _is_constant(column: list[Any]) -> bool:
    # perf: comparing two elements usually decides; counting compares every element.
    first = column[0]
    return first == column[len(column) // 2] and column.count(first) == len(column)


IMMUTABLE_TYPES = frozenset({str, int, float, bool, NoneType, PipelineEndData})
"""Immutable types; FINISH's payload does not change after publication either."""

_MARSHAL_VERSION = 2  # without references, so that equal values have equal bytes


def snapshot_value(value: Any) -> bytes:
    """Return a copy of a value as bytes, independent of later changes."""
    try:
        return marshal.dumps(value, _MARSHAL_VERSION)
    except ValueError:
        return marshal.dumps(to_plain(value), _MARSHAL_VERSION)


def restore_value(data: bytes) -> Any:
    """Return the copied value; it may contain values that JSON cannot represent."""
    return marshal.loads(data)


def has_only_text_keys(values: Iterable[Any]) -> bool:
    """Tell whether all keys are texts; ``json`` may map other keys to the same text.

    Level by level, so that C loops over all values of a level at once.
    """
    level = [value for value in values if type(value) in _CONTAINER_TYPES]
    for _ in range(LIMITS.depth):
        if not level:
            return True
        dicts = [value for value in level if type(value) is dict]
        try:
            "".join(chain.from_iterable(dicts))
        except TypeError:
            return False
        inner = [value.values() if type(value) is dict else value for value in level]
        level = [
            value
            for value in chain.from_iterable(inner)
            if type(value) in _CONTAINER_TYPES
        ]
    return False


_CONTAINER_TYPES = frozenset({dict, list, tuple})


def encode_meta(meta: dict[str, Any] | str | None) -> str:
    """Return an event's meta as JSON text; the usual one without asking the codec."""
    if meta is None:
        return "null"
    if isinstance(meta, str):
        return meta
    framework = meta.get("framework")
    if len(meta) == 1 and type(framework) is dict and len(framework) == 3:
        seconds, attempt = framework.get("duration_s"), framework.get("attempt")
        status = _STATUS_TEXTS.get(id(framework.get("status")))
        if type(seconds) is float and type(attempt) is int and status is not None:
            return (
                f'{{"framework":{{"duration_s":{seconds!r},'
                f'"attempt":{attempt},"status":{status}}}}}'
            )
    return to_text(meta)


# By identity: the hash of a member is computed in Python, each time.
_STATUS_TEXTS = {id(status): f'"{status.value}"' for status in StepStatus}
