"""Events without payload and meta: what happened, when and where.

A run may store a growing state with every step, so reading payloads costs many times as
much as reading the other fields.  A chunk keeps payloads in a separate column, which
this module does not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import repeat
from typing import Any

from ..events import Event, EventType, NodeKind
from ..outcomes import filled
from ..records import StoredEvent
from .chunk_format import decode_fields, decode_times


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
) -> Iterator[Event]:
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

    ids = zip(*(column(name) for name in _IDS), strict=False)
    rest = zip(
        column("type", ""),
        column("stage", ""),
        moments,
        column("node_kind"),
        column("attempt", 1),
        column("scope", ()),
        ids,
        strict=False,
    )
    for seq, row in enumerate(rest, first):
        if row[0] in _TYPES:
            yield _header(seq, row)


def _header(seq: int, row: tuple[Any, ...]) -> Event:
    kind, stage, timestamp, node, attempt, scope, ids = row
    run, origin, parent_run, own, parent, owner = ids
    # perf: takes a third of the time of Event(...); spans may need 10,000 events.
    return filled(
        Event,
        {
            "type": _TYPES[kind],
            "stage": stage,
            "payload": None,
            "timestamp": timestamp,
            "run_id": run,
            "origin_run_id": origin,
            "parent_run_id": parent_run,
            "seq": seq,
            "node_kind": _KINDS.get(str(node), NodeKind.SYSTEM),
            "invocation_id": own,
            "parent_invocation_id": parent,
            "owner_invocation_id": owner,
            "attempt": attempt,
            "scope": tuple(scope),
            "meta": None,
        },
    )


def parse_header(stored: StoredEvent) -> Event | None:
    """Return a stored event without payload and meta; None if its type is not known.

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
    ids = (found.get(name) for name in _IDS)
    row = (
        stored.event_type.value,
        stored.step_name,
        stored.timestamp.timestamp(),
        found.get("node_kind"),
        attempt if isinstance(attempt, int) else 1,
        [str(part) for part in scope] if isinstance(scope, list) else (),
        tuple(name if isinstance(name, str) else None for name in ids),
    )
    return _header(stored.seq, row)
