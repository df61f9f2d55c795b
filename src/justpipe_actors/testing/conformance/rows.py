"""What a store does that takes events in pieces and not as text."""

from __future__ import annotations

import json
from datetime import timedelta

from ...abc import RowStore, StorageBackend
from ...events import EventType
from ...records import (
    EventRow,
    Place,
    TokenRow,
)
from .samples import (
    DAWN,
    Check,
    seqs,
    text_of,
)


def rows_are_events_too(store: StorageBackend) -> None:
    """Events that come in pieces are read like those that come as text."""
    if not isinstance(store, RowStore):
        return
    place = Place("gen", "r", None, "step", "r:4", "r:3", "other:1", 2, ("m[0]", "gen"))
    at = DAWN.timestamp()
    store.append_rows(
        "r",
        [
            EventRow(1, "start", at, Place("system", "r"), '{"n": 1}', None),
            EventRow(2, "step_start", at, place, None, None),
            TokenRow(3, (at, at + 1, at + 2), place, '["x", {"y": null}, 7]'),
            EventRow(6, "step_end", at, place, '{"n": 1}', '{"k": 2}', same=1),
        ],
    )

    events = store.get_events("r")
    assert seqs(events) == [1, 2, 3, 4, 5, 6]
    assert [json.loads(event.data)["payload"] for event in events] == [
        {"n": 1},
        None,
        "x",
        {"y": None},
        7,
        {"n": 1},
    ]
    assert events[4].timestamp == DAWN + timedelta(seconds=2)
    assert json.loads(events[5].data) == {
        "type": "step_end",
        "stage": "gen",
        "timestamp": at,
        "run_id": "r",
        "origin_run_id": "r",
        "parent_run_id": None,
        "seq": 6,
        "node_kind": "step",
        "invocation_id": "r:4",
        "parent_invocation_id": "r:3",
        "owner_invocation_id": "other:1",
        "attempt": 2,
        "scope": ["m[0]", "gen"],
        "meta": {"k": 2},
        "payload": {"n": 1},
    }
    assert store.count_events("r")["token"] == 3
    assert seqs(store.get_events("r", after=4)) == [5, 6]
    assert seqs(store.get_events("r", after=3, limit=2)) == [4, 5]
    assert seqs(store.get_events("r", EventType.TOKEN, after=3, limit=1)) == [4]


def rows_are_stored_once(store: StorageBackend) -> None:
    """Rows that overlap what is stored add only what is new."""
    if not isinstance(store, RowStore):
        return
    place = Place("gen", "r")
    tokens = TokenRow(2, (1.0, 2.0, 3.0), place, '["a", "b", "c"]')
    store.append_events("r", [text_of(3)])
    store.append_rows("r", [tokens])
    store.append_rows("r", [tokens, EventRow(5, "finish", 4.0, place, None, None)])
    store.append_events("r", [text_of(4), text_of(6)])

    assert seqs(store.get_events("r")) == [2, 3, 4, 5, 6]
    assert store.count_events("r") == {"token": 2, "step_start": 2, "finish": 1}


ROWS: tuple[Check, ...] = (
    rows_are_events_too,
    rows_are_stored_once,
)
