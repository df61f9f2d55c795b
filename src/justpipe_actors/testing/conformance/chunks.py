"""What a store does that takes events in chunks and not as text."""

from __future__ import annotations

import json
import struct
from datetime import timedelta

from ...abc import ChunkStore, StorageBackend
from ...events import EventType
from ...records import EventChunk
from .samples import (
    DAWN,
    Check,
    seqs,
    text_of,
)


AT = DAWN.timestamp()


def a_chunk(first: int, kinds: list[str], payloads: list[object]) -> EventChunk:
    """Return consecutive events of one invocation, one second apart."""
    fields = {
        "run_id": "r",
        "stage": "gen",
        "origin_run_id": "r",
        "parent_run_id": None,
        "node_kind": "step",
        "invocation_id": "r:4",
        "parent_invocation_id": "r:3",
        "owner_invocation_id": "other:1",
        "attempt": 2,
        "scope": ["m[0]", "gen"],
        "each": {"type": kinds},
    }
    return EventChunk(
        first,
        first + len(kinds) - 1,
        struct.pack(f"<{len(kinds)}d", *(AT + n for n in range(len(kinds)))),
        json.dumps(fields),
        json.dumps(payloads),
        None,
        None,
        json.dumps({kind: kinds.count(kind) for kind in kinds}),
    )


def chunks_are_events_too(store: StorageBackend) -> None:
    """Events that come in chunks are read like those that come as text."""
    if not isinstance(store, ChunkStore):
        return
    kinds = ["step_start", "token", "token", "token"]
    end = a_chunk(6, ["step_end"], [None])._replace(
        metas='[{"k": 2}]', echoes='{"0": 1}'
    )
    store.append_chunks(
        "r",
        [
            a_chunk(1, ["start"], [{"n": 1}]),
            a_chunk(2, kinds, [None, "x", {"y": None}, 7]),
            end,
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
    assert events[4].timestamp == DAWN + timedelta(seconds=3)
    assert list(json.loads(events[5].data).items()) == [
        ("type", "step_end"),
        ("stage", "gen"),
        ("timestamp", AT),
        ("run_id", "r"),
        ("origin_run_id", "r"),
        ("parent_run_id", None),
        ("seq", 6),
        ("node_kind", "step"),
        ("invocation_id", "r:4"),
        ("parent_invocation_id", "r:3"),
        ("owner_invocation_id", "other:1"),
        ("attempt", 2),
        ("scope", ["m[0]", "gen"]),
        ("meta", {"k": 2}),
        ("payload", {"n": 1}),
    ]
    assert store.count_events("r")["token"] == 3
    assert seqs(store.get_events("r", after=4)) == [5, 6]
    assert seqs(store.get_events("r", after=3, limit=2)) == [4, 5]
    assert seqs(store.get_events("r", EventType.TOKEN, after=3, limit=1)) == [4]


def numbers_in_chunks_are_stored_once(store: StorageBackend) -> None:
    """Chunks that overlap what is stored add only what is new."""
    if not isinstance(store, ChunkStore):
        return
    tokens = a_chunk(2, ["token"] * 3, ["a", "b", "c"])
    store.append_events("r", [text_of(3)])
    store.append_chunks("r", [tokens])
    store.append_chunks("r", [tokens, a_chunk(5, ["finish"], [None])])
    store.append_chunks("r", [a_chunk(6, ["token"] * 2, ["d", "e"])])
    store.append_events("r", [text_of(4), text_of(7), text_of(8)])

    assert seqs(store.get_events("r")) == [2, 3, 4, 5, 6, 7, 8]
    assert store.count_events("r") == {"token": 4, "step_start": 2, "finish": 1}


CHUNKS: tuple[Check, ...] = (
    chunks_are_events_too,
    numbers_in_chunks_are_stored_once,
)
