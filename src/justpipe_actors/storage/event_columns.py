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

SHARED = 32
"""Tokens of one stream that are worth a stretch of their own."""


@attrs.frozen
class Stretch:
    """Consecutive events of one run, field by field."""

    first: int
    """Number of the first one; the others follow without a gap."""
    times: array[float]
    """``Event.timestamp``."""
    alike: dict[str, object]
    """Fields that are the same in all of them, by the key they have in JSON."""
    each: dict[str, list[Any]]
    """The other fields."""
    counts: dict[str, int]
    """How many there are of each type."""
    has_copies: bool
    """Whether any payload may be a copy."""
    payloads: list[Any]
    """Atoms, and ``bytes`` that are copies."""
    metas: list[Any] | None
    """Dicts, JSON texts and None; None when no event has one."""

    def __len__(self) -> int:
        return len(self.payloads)

    def field(self, name: str, place: int) -> Any:
        """Return a field of one event."""
        return self.each[name][place] if name in self.each else self.alike[name]


def stretches_of(
    events: Sequence[Event],
    payloads: dict[int, object],
    metas: dict[int, str],
    *,
    knows_kin: bool,
) -> Iterator[Stretch]:
    """Return the stretches that events make.

    Args:
        events: of one run, in order.
        payloads: by an event's identity what is to be stored instead of its payload;
            what is used is taken out.
        metas: the same for its meta.
        knows_kin: whether tokens are as their step said them.
    """
    for start, end, is_alike in _cuts(events, _kins(events) if knows_kin else []):
        some = events[start:end]
        alike, each = _fields(some[:1] if is_alike else some)
        kinds = each.get("type")
        yield Stretch(
            some[0].seq or 0,
            array("d", [event.timestamp for event in some]),
            alike,
            each,
            {str(alike["type"]): len(some)} if kinds is None else dict(Counter(kinds)),
            bool(payloads),
            _payloads(some, payloads),
            None if is_alike else _metas(some, metas),
        )


def _payloads(some: Sequence[Event], instead: dict[int, object]) -> list[Any]:
    if not instead:
        return [event.payload for event in some]
    return [instead.pop(id(event), event.payload) for event in some]


def _metas(some: Sequence[Event], instead: dict[int, str]) -> list[Any] | None:
    metas: list[Any] = [event.meta for event in some]
    if instead:
        metas = [instead.pop(id(event), event.meta) for event in some]
    return None if metas.count(None) == len(metas) else metas


def _kins(events: Sequence[Event]) -> list[str | None]:
    """Return by which stream each event was said; None when by none."""
    return [event.invocation_id if event.type is _TOKEN else None for event in events]


def _cuts(
    events: Sequence[Event], kins: Sequence[str | None]
) -> Iterator[tuple[int, int, bool]]:
    """Return where stretches begin and end, and whether all in them are of a kin."""
    if kins and _is_own(events[0], kins[0]) and kins.count(kins[0]) == len(kins):
        yield 0, len(events), True  # one stream alone is what there is most of
        return
    begin = start = 0
    for kin, group in groupby(kins):
        end = start + len(list(group))
        if end - start >= SHARED and _is_own(events[start], kin):
            yield from _dense(events, begin, start)
            yield start, end, True
            begin = end
        start = end
    yield from _dense(events, begin, len(events))


def _is_own(event: Event, kin: str | None) -> bool:
    """Tell whether a stream is this run's; what a child's hooks do is not known here."""
    return kin is not None and event.parent_run_id is None


def _dense(
    events: Sequence[Event], begin: int, end: int
) -> Iterator[tuple[int, int, bool]]:
    """Cut where a number does not follow the one before; a hook may have changed it."""
    start = begin
    numbers = [event.seq or 0 for event in events[begin:end]]
    if not numbers:
        return
    if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        yield begin, end, False
        return
    for place in range(begin + 1, end):
        if numbers[place - start] != numbers[place - start - 1] + 1:
            yield begin, place, False
            begin = place
    yield begin, end, False


def _fields(some: Sequence[Event]) -> tuple[dict[str, object], dict[str, list[Any]]]:
    """Return what is alike, and what is not."""
    columns: dict[str, list[Any]] = {
        "type": [event.type._value_ for event in some],
        "stage": [event.stage for event in some],
        "origin_run_id": [event.origin_run_id for event in some],
        "parent_run_id": [event.parent_run_id for event in some],
        "node_kind": [event.node_kind._value_ for event in some],
        "invocation_id": [event.invocation_id for event in some],
        "parent_invocation_id": [event.parent_invocation_id for event in some],
        "owner_invocation_id": [event.owner_invocation_id for event in some],
        "attempt": [event.attempt for event in some],
        "scope": [event.scope for event in some],
    }
    alike = {name: one[0] for name, one in columns.items() if _is_constant(one)}
    return alike, {name: columns[name] for name in columns if name not in alike}


def _is_constant(column: list[Any]) -> bool:
    # Mostly two looks tell; counting compares text with text.
    first = column[0]
    return first == column[len(column) // 2] and column.count(first) == len(column)


ATOMS = frozenset({str, int, float, bool, NoneType, PipelineEndData})
"""Types whose values cannot change; neither can FINISH's payload, once it is said."""

_FORMAT = 2  # without references, so that equal values have equal bytes


def copied(value: Any) -> bytes:
    """Return bytes that stay as the value is now; no atom is ever bytes."""
    try:
        return marshal.dumps(value, _FORMAT)
    except ValueError:
        return marshal.dumps(to_plain(value), _FORMAT)


def value_of(copy: bytes) -> Any:
    """Return what was copied; it may still hold what JSON has no word for."""
    return marshal.loads(copy)


def has_text_keys(values: Iterable[Any]) -> bool:
    """Tell whether ``json`` would lose no key; other keys may become the same text.

    Level by level, so that C loops over all values of a level at once.
    """
    level = [value for value in values if type(value) in _HOLDERS]
    for _ in range(LIMITS.depth):
        if not level:
            return True
        tables = [one for one in level if type(one) is dict]
        try:
            "".join(chain.from_iterable(tables))
        except TypeError:
            return False
        inner = [one.values() if type(one) is dict else one for one in level]
        level = [one for one in chain.from_iterable(inner) if type(one) in _HOLDERS]
    return False


_HOLDERS = frozenset({dict, list, tuple})


def meta_text(meta: dict[str, Any] | str | None) -> str:
    """Return an event's meta as JSON text; the usual one without asking the codec."""
    if meta is None:
        return "null"
    if isinstance(meta, str):
        return meta
    figures = meta.get("framework")
    if len(meta) == 1 and type(figures) is dict and len(figures) == 3:
        seconds, attempt = figures.get("duration_s"), figures.get("attempt")
        status = _words.get(id(figures.get("status")))
        if type(seconds) is float and type(attempt) is int and status is not None:
            return (
                f'{{"framework":{{"duration_s":{seconds!r},'
                f'"attempt":{attempt},"status":{status}}}}}'
            )
    return to_text(meta)


# By identity: the hash of a member is computed in Python, each time.
_words = {id(status): f'"{status.value}"' for status in StepStatus}
