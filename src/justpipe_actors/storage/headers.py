"""Events without payload and notes: what happened, when and where.

A run may store a growing state with every step, so reading payloads costs many times as
much as reading the other fields.  A chunk keeps payloads in a separate column, which
this module does not read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count, islice, repeat
from typing import Any

from ..events import EventType, NodeKind
from ..records import EventHeader, StoredEvent
from .chunk_format import decode_fields, decode_times, tries_in


_TYPES: dict[str, EventType] = {kind.value: kind for kind in EventType}
_KINDS: dict[str, NodeKind] = {kind.value: kind for kind in NodeKind}

_IDS = (
    "run_id",
    "origin_run_id",
    "parent_run_id",
    "invocation_id",
    "parent_invocation_id",
    "owner_invocation_id",
)


def decode_headers(
    run_id: str, first: int, times: bytes, fields_text: str
) -> list[EventHeader]:
    """Return the events of a chunk, those of unknown types left out.

    Args:
        run_id: the run.
        first: number of the first event.
        times: ``EventChunk.times``.
        fields_text: ``EventChunk.fields``.

    Raises:
        ValueError: the chunk cannot be read.
    """
    fields = decode_fields(run_id, fields_text)
    fields["run_id"] = run_id
    each: dict[str, list[Any]] = fields.pop("each")
    moments = decode_times(times)
    if any(len(column) != len(moments) for column in each.values()):
        msg = "the columns of a chunk are not of one length"
        raise ValueError(msg)

    def column(name: str, default: object = None) -> Any:
        return each[name] if name in each else repeat(fields.get(name, default))

    kinds = list(map(_TYPES.get, islice(column("type", ""), len(moments))))
    # perf: the loop runs in C; it takes half of what building events takes.
    rows = zip(
        kinds,
        column("stage", ""),
        moments,
        count(first),
        map(_KINDS.get, column("node_kind"), repeat(NodeKind.SYSTEM)),
        column("attempt", 1),
        column("scope", ()),
        *(column(name) for name in _IDS),
        _tries_column(fields.get("tries"), len(moments)),
        strict=False,
    )
    headers = list(map(_new_header, rows))
    if None in kinds:
        pairs = zip(headers, kinds, strict=True)
        return [header for header, kind in pairs if kind is not None]
    return headers


_new_header: Callable[[tuple[Any, ...]], EventHeader] = partial(
    tuple.__new__, EventHeader
)


def _tries_column(tries: object, count: int) -> Iterable[int]:
    """Return the tries of each event of a chunk, which names those with several."""
    if not isinstance(tries, dict):
        return repeat(1)
    return [int(tries.get(str(n), 1)) for n in range(count)]


def parse_header(stored: StoredEvent) -> EventHeader | None:
    """Return a stored event without payload and notes; None if its type is not known.

    Unreadable fields are left out.
    """
    if not isinstance(stored.event_type, EventType):
        return None
    try:
        data = json.loads(stored.data)
    except (ValueError, RecursionError):
        data = None
    found: dict[str, Any] = data if isinstance(data, dict) else {}
    attempt, scope = found.get("attempt"), found.get("scope")
    ids = map(found.get, _IDS)
    names: list[Any] = [name if isinstance(name, str) else None for name in ids]
    return _new_header(
        (
            stored.event_type,
            stored.step_name,
            stored.timestamp.timestamp(),
            stored.seq,
            _KINDS.get(str(found.get("node_kind")), NodeKind.SYSTEM),
            attempt if isinstance(attempt, int) else 1,
            [str(part) for part in scope] if isinstance(scope, list) else (),
            *names,
            tries_in(found.get("meta")),
        )
    )
