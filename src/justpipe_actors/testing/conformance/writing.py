"""What a store does with what is written: all of it, once, or none."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from ...abc import StorageBackend
from ...events import EventType
from ...records import (
    RunQuery,
    StoredEvent,
)
from .samples import (
    FAILED,
    Check,
    a_run,
    a_running_run,
    names,
    seqs,
    text_of,
)


def it_is_a_backend(store: StorageBackend) -> None:
    """It has every method of the protocol."""
    assert isinstance(store, StorageBackend)


def an_empty_store_answers(store: StorageBackend) -> None:
    """Everything can be asked of a store that knows nothing."""
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


def a_run_comes_back_whole(store: StorageBackend) -> None:
    """Every field of a record is what it was."""
    run = a_run(
        "whole",
        status=FAILED,
        error_message="böse 😀",
        error_step="sub:inner",
        run_meta='{"data": {"k": 1}}',
        reason="step_error",
        fingerprint="f00",
        owner="host/boot/1/2",
        lost_events=3,
    )
    store.save_run(run, [text_of(1)])

    assert store.get_run("whole") == run
    assert store.list_runs() == [run]


def half_a_character_is_no_obstacle(store: StorageBackend) -> None:
    """A text with half a surrogate pair is stored, if not to the letter."""
    half = "half \ud83d"
    store.save_run(a_run("r", status=FAILED, error_message=half), [text_of(1, half)])

    found = store.get_run("r")

    assert found is not None
    assert (found.error_message or "").startswith("half ")
    assert store.get_events("r")[0].type_name.startswith("half ")


def naive_moments_are_local(store: StorageBackend) -> None:
    """A moment without a zone is local time, and comes back in UTC."""
    naive = datetime(2026, 3, 1, 12, 0)
    store.save_run(a_run("naive", start_time=naive, end_time=None))

    found = store.get_run("naive")

    assert found is not None
    assert found.start_time == naive.astimezone(UTC)
    assert found.start_time.utcoffset() == timedelta(0)


def events_keep_their_own_numbers(store: StorageBackend) -> None:
    """A number that an event brings is kept; one without gets the next."""
    store.append_events("r", [text_of(3), text_of(7)])
    store.save_run(a_run("r"), [text_of(8), text_of(None)])

    assert seqs(store.get_events("r")) == [3, 7, 8, 9]


def a_number_is_stored_once(store: StorageBackend) -> None:
    """The same events again, early or at the end, change nothing."""
    store.append_events("r", [text_of(1), text_of(2)])
    store.append_events("r", [text_of(2, "step_end"), text_of(3)])
    store.save_run(a_run("r"), [text_of(1), text_of(3), text_of(4)])

    assert seqs(store.get_events("r")) == [1, 2, 3, 4]
    assert store.get_events("r")[1].event_type is EventType.STEP_START


def event_text_comes_back_as_it_was(store: StorageBackend) -> None:
    """The text of an event is kept to the letter, with what matters beside it."""
    text = '{ "seq": 1, "type": "token",  "stage": "t", "timestamp": 1.5, "own": [1] }'
    store.save_run(a_run("r"), [text])

    assert store.get_events("r") == [
        StoredEvent(1, datetime.fromtimestamp(1.5, UTC), EventType.TOKEN, "t", text)
    ]


def unknown_types_stay_as_text(store: StorageBackend) -> None:
    """An event of a type that this version does not know is read like the others."""
    store.save_run(a_run("r"), [text_of(1), text_of(2, "teleported"), text_of(3)])

    events = store.get_events("r")

    assert [event.type_name for event in events] == [
        "step_start",
        "teleported",
        "step_start",
    ]
    assert store.count_events("r") == {"step_start": 2, "teleported": 1}


def no_json_no_run(store: StorageBackend) -> None:
    """What is no JSON object is refused, and nothing of its call is kept."""
    for bad in ("{", "[]", "3"):
        refused = False
        try:
            store.save_run(a_run("bad"), [text_of(1), bad])
        except Exception:  # noqa: BLE001 - whichever error it is
            refused = True
        assert refused, bad
        with suppress(Exception):
            store.append_events("bad", [text_of(1), bad])
    assert store.get_run("bad") is None
    assert store.get_events("bad") == []


def a_transaction_is_all_or_nothing(store: StorageBackend) -> None:
    """What is written in a block that fails is not there; blocks may be nested."""
    store.save_run(a_run("kept"), [text_of(1)])
    with suppress(ZeroDivisionError), store.transaction():
        store.begin_run(a_running_run("new"))
        with store.transaction():
            store.append_events("new", [text_of(1)])
            store.append_events("kept", [text_of(2)])
        store.delete_run("kept")
        raise ZeroDivisionError

    assert names(store.list_runs()) == ["kept"]
    assert seqs(store.get_events("kept")) == [1]
    assert store.get_events("new") == []

    with store.transaction():
        store.begin_run(a_running_run("new"))
    assert store.get_run("new") is not None


WRITING: tuple[Check, ...] = (
    it_is_a_backend,
    an_empty_store_answers,
    a_run_comes_back_whole,
    half_a_character_is_no_obstacle,
    naive_moments_are_local,
    events_keep_their_own_numbers,
    a_number_is_stored_once,
    event_text_comes_back_as_it_was,
    unknown_types_stay_as_text,
    no_json_no_run,
    a_transaction_is_all_or_nothing,
)
