"""Checks for stores: writing records, events, transactions and chunks."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from ..._util.user_objects import call_or
from ...abc import ChunkStore, StorageBackend
from ...events import EventType
from ...records import EventChunk, RunQuery, StoredEvent
from .samples import (
    FAILED,
    START_TIME,
    Check,
    event_text,
    make_run,
    make_running_run,
    run_ids,
    seqs,
)


def it_is_a_backend(store: StorageBackend) -> None:
    """It has every method of the protocol."""
    assert isinstance(store, StorageBackend)


def an_empty_store_answers(store: StorageBackend) -> None:
    """Every query works on an empty store."""
    assert store.get_run("r") is None
    assert store.list_runs() == []
    assert store.query_runs(RunQuery()) == []
    assert store.get_events("r") == []
    assert store.count_events("r") == {}
    assert store.find_runs_by_prefix("r") == []
    assert store.get_definition("f") is None
    assert store.summarize_runs(RunQuery()).total == 0
    assert store.delete_run("r") is False
    assert store.delete_runs(["r"]) == 0
    assert store.mark_abandoned() == 0


def a_record_is_stored_completely(store: StorageBackend) -> None:
    """Every field of a record is what it was."""
    run = make_run(
        "whole",
        status=FAILED,
        error_message="böse 😀",
        error_step="sub:inner",
        run_meta='{"data": {"k": 1}}',
        reason="step_error",
        fingerprint="f00",
        owner="host/boot/1/2",
        lost_events=3,
        journal="/somewhere/journal.db",
    )
    store.save_run(run, [event_text(1)])

    assert store.get_run("whole") == run
    assert store.list_runs() == [run]


def surrogate_halves_are_stored(store: StorageBackend) -> None:
    """A text with a lone surrogate is stored, possibly with a replacement."""
    text = "half \ud83d"
    store.save_run(
        make_run("r", status=FAILED, error_message=text), [event_text(1, text)]
    )

    found = store.get_run("r")

    assert found is not None
    assert (found.error_message or "").startswith("half ")
    assert store.get_events("r")[0].type_name.startswith("half ")


def naive_timestamps_are_local(store: StorageBackend) -> None:
    """A naive timestamp is local time, and is returned in UTC."""
    naive = datetime(2026, 3, 1, 12, 0)
    store.save_run(make_run("naive", start_time=naive, end_time=None))

    found = store.get_run("naive")

    assert found is not None
    assert found.start_time == naive.astimezone(UTC)
    assert found.start_time.utcoffset() == timedelta(0)


def events_keep_their_own_numbers(store: StorageBackend) -> None:
    """A number that an event brings is kept; one without gets the next."""
    store.append_events("r", [event_text(3), event_text(7)])
    store.save_run(make_run("r"), [event_text(8), event_text(None)])

    assert seqs(store.get_events("r")) == [3, 7, 8, 9]


def sequence_numbers_are_stored_once(store: StorageBackend) -> None:
    """The same events again, early or at the end, change nothing."""
    store.append_events("r", [event_text(1), event_text(2)])
    store.append_events("r", [event_text(2, "step_end"), event_text(3)])
    store.save_run(make_run("r"), [event_text(1), event_text(3), event_text(4)])

    assert seqs(store.get_events("r")) == [1, 2, 3, 4]
    assert store.get_events("r")[1].event_type is EventType.STEP_START


def event_text_is_kept_unchanged(store: StorageBackend) -> None:
    """The text of an event is stored unchanged, and its fields are parsed."""
    text = '{ "seq": 1, "type": "token",  "stage": "t", "timestamp": 1.5, "own": [1] }'
    store.save_run(make_run("r"), [text])

    assert store.get_events("r") == [
        StoredEvent(1, datetime.fromtimestamp(1.5, UTC), EventType.TOKEN, "t", text)
    ]


def unknown_types_stay_as_text(store: StorageBackend) -> None:
    """An event of a type that this version does not know is read like the others."""
    store.save_run(
        make_run("r"), [event_text(1), event_text(2, "teleported"), event_text(3)]
    )

    events = store.get_events("r")

    assert [event.type_name for event in events] == [
        "step_start",
        "teleported",
        "step_start",
    ]
    assert store.count_events("r") == {"step_start": 2, "teleported": 1}


def malformed_events_are_refused(store: StorageBackend) -> None:
    """Text that is no JSON object is refused with all other events of the call."""
    for bad in ("{", "[]", "3"):
        events = [event_text(1), bad]
        answer = call_or("refused", store.save_run, make_run("bad"), events)
        assert answer == "refused", bad
        with suppress(Exception):
            store.append_events("bad", [event_text(1), bad])
    assert store.get_run("bad") is None
    assert store.get_events("bad") == []


def a_transaction_is_all_or_nothing(store: StorageBackend) -> None:
    """The writes of a failed block are rolled back; blocks may be nested."""
    store.save_run(make_run("kept"), [event_text(1)])
    with suppress(ZeroDivisionError), store.transaction():
        store.begin_run(make_running_run("new"))
        with store.transaction():
            store.append_events("new", [event_text(1)])
            store.append_events("kept", [event_text(2)])
        store.delete_run("kept")
        raise ZeroDivisionError

    assert run_ids(store.list_runs()) == ["kept"]
    assert seqs(store.get_events("kept")) == [1]
    assert store.get_events("new") == []

    with store.transaction():
        store.begin_run(make_running_run("new"))
    assert store.get_run("new") is not None


WRITE_CHECKS: tuple[Check, ...] = (
    it_is_a_backend,
    an_empty_store_answers,
    a_record_is_stored_completely,
    surrogate_halves_are_stored,
    naive_timestamps_are_local,
    events_keep_their_own_numbers,
    sequence_numbers_are_stored_once,
    event_text_is_kept_unchanged,
    unknown_types_stay_as_text,
    malformed_events_are_refused,
    a_transaction_is_all_or_nothing,
)


START_TIMESTAMP = START_TIME.timestamp()


def make_chunk(first: int, types: list[str], payloads: list[object]) -> EventChunk:
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
        "each": {"type": types},
    }
    return EventChunk(
        first,
        first + len(types) - 1,
        struct.pack(
            f"<{len(types)}d", *(START_TIMESTAMP + n for n in range(len(types)))
        ),
        json.dumps(fields),
        json.dumps(payloads),
        None,
        None,
        json.dumps({event_type: types.count(event_type) for event_type in types}),
    )


def chunks_are_events_too(store: StorageBackend) -> None:
    """Events that come in chunks are read like those that come as text."""
    if not isinstance(store, ChunkStore):
        return
    types = ["step_start", "token", "token", "token"]
    end = make_chunk(6, ["step_end"], [None])._replace(
        metas='[{"k": 2}]', echoes='{"0": 1}'
    )
    store.append_chunks(
        "r",
        [
            make_chunk(1, ["start"], [{"n": 1}]),
            make_chunk(2, types, [None, "x", {"y": None}, 7]),
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
    assert events[4].timestamp == START_TIME + timedelta(seconds=3)
    assert list(json.loads(events[5].data).items()) == [
        ("type", "step_end"),
        ("stage", "gen"),
        ("timestamp", START_TIMESTAMP),
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


def sequence_numbers_in_chunks_are_stored_once(store: StorageBackend) -> None:
    """Chunks that overlap stored events add only the new events."""
    if not isinstance(store, ChunkStore):
        return
    tokens = make_chunk(2, ["token"] * 3, ["a", "b", "c"])
    store.append_events("r", [event_text(3)])
    store.append_chunks("r", [tokens])
    store.append_chunks("r", [tokens, make_chunk(5, ["finish"], [None])])
    store.append_chunks("r", [make_chunk(6, ["token"] * 2, ["d", "e"])])
    store.append_events("r", [event_text(4), event_text(7), event_text(8)])

    assert seqs(store.get_events("r")) == [2, 3, 4, 5, 6, 7, 8]
    assert store.count_events("r") == {"token": 4, "step_start": 2, "finish": 1}


CHUNK_CHECKS: tuple[Check, ...] = (
    chunks_are_events_too,
    sequence_numbers_in_chunks_are_stored_once,
)
