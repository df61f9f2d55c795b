"""What every store must do: plain functions, each a claim, each given a fresh store.

``check_storage(factory)`` runs them all.  They use nothing but ``StorageBackend``, and
``RowStore`` where the store is one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from justpipe_actors.abc import RowStore, StorageBackend
from justpipe_actors.events import EventType
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import (
    EventRow,
    OpenStatus,
    Place,
    RunQuery,
    RunRecord,
    StoredEvent,
    TokenRow,
)
from justpipe_actors.storage.owners import this_owner


Check = Callable[[StorageBackend], None]

DAWN = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
SUCCESS = PipelineTerminalStatus.SUCCESS
FAILED = PipelineTerminalStatus.FAILED


def check_storage(factory: Callable[[], StorageBackend]) -> None:
    """Run every check against a store of its own.

    Args:
        factory: returns a new, empty store at each call.

    Raises:
        AssertionError: the store does not do what a check claims; the note says which.
    """
    for check in CHECKS:
        try:
            check(factory())
        except Exception as error:
            error.add_note(f"{check.__name__}: {check.__doc__}")
            raise


def a_run(name: str, *, minute: int = 0, **changes: Any) -> RunRecord:
    """Return a run that took two seconds."""
    start = DAWN + timedelta(minutes=minute)
    run = RunRecord(
        name, start, start + timedelta(seconds=2), timedelta(seconds=2), SUCCESS
    )
    return replace(run, **changes)


def a_running_run(name: str, **changes: Any) -> RunRecord:
    """Return a run of this very process that has not ended."""
    return a_run(
        name,
        **{
            "end_time": None,
            "duration": None,
            "status": OpenStatus.RUNNING,
            "owner": this_owner(),
            "last_seen": datetime.now(UTC),
            **changes,
        },
    )


def text_of(seq: int | None, kind: str = "step_start", stage: str = "a") -> str:
    """Return an event as JSON text."""
    event = {"type": kind, "stage": stage, "timestamp": DAWN.timestamp(), "payload": 1}
    return json.dumps(event if seq is None else {**event, "seq": seq})


def seqs(events: list[StoredEvent]) -> list[int]:
    """Return the events' numbers."""
    return [event.seq for event in events]


def names(runs: list[RunRecord]) -> list[str]:
    """Return the runs' ids."""
    return [run.run_id for run in runs]


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


def events_are_paged(store: StorageBackend) -> None:
    """A reader can go on from a number, with a limit, and by type."""
    kinds = ["start", "step_start", "token", "step_end", "finish"]
    store.save_run(a_run("r"), [text_of(n, k) for n, k in enumerate(kinds, 1)])

    assert seqs(store.get_events("r", after=2)) == [3, 4, 5]
    assert seqs(store.get_events("r", after=1, limit=2)) == [2, 3]
    assert seqs(store.get_events("r", limit=0)) == []
    assert seqs(store.get_events("r", EventType.TOKEN)) == [3]
    assert seqs(store.get_events("r", EventType.TOKEN, after=3)) == []


def the_newest_start_comes_first(store: StorageBackend) -> None:
    """Runs are listed by start, newest first, and cut into pages after that."""
    for name, minute in (("b", 2), ("c", 3), ("a", 1)):
        store.save_run(a_run(name, minute=minute))

    assert names(store.list_runs()) == ["c", "b", "a"]
    assert names(store.list_runs(limit=2)) == ["c", "b"]
    assert names(store.list_runs(limit=2, offset=2)) == ["a"]
    assert names(store.query_runs(RunQuery(), limit=1, offset=1)) == ["b"]
    assert names(store.find_runs_by_prefix("a")) == ["a"]


def runs_are_found_by_what_they_are(store: StorageBackend) -> None:
    """Status, label, time and text each restrict a query; together they all do."""
    store.save_run(a_run("ok", minute=1))
    store.save_run(a_run("paused", minute=2, is_suspended=True))
    store.save_run(
        a_run("bad", minute=3, status=FAILED, error_message="Boom", error_step="b")
    )
    noted = '{"data": {"customer": "Ada"}}'
    store.save_run(a_run("noted", minute=4, run_meta=noted))

    def found(**query: Any) -> list[str]:
        return names(store.query_runs(RunQuery(**query)))

    assert names(store.list_runs(SUCCESS)) == ["noted", "paused", "ok"]
    assert names(store.list_runs(SUCCESS, limit=1, offset=1)) == ["paused"]
    assert found(labels=("success",)) == ["noted", "ok"]
    assert found(labels=("suspended", "failed")) == ["bad", "paused"]
    assert found(labels=("no such word",)) == []
    assert found(since=DAWN + timedelta(minutes=3)) == ["noted", "bad"]
    assert found(until=DAWN + timedelta(minutes=3)) == ["paused", "ok"]
    assert found(text="boom") == ["bad"]
    assert found(text="ADA", labels=("success",)) == ["noted"]
    assert found(text="nowhere") == []


def figures_are_exact(store: StorageBackend) -> None:
    """Counts and durations are those of the runs meant, an average of zero included."""
    store.save_run(a_run("a", minute=1, duration=timedelta(0)))
    store.save_run(a_run("b", minute=2, duration=timedelta(seconds=4), status=FAILED))
    store.save_run(a_run("c", minute=3, is_suspended=True))
    store.begin_run(a_running_run("d", minute=4))

    everything = store.summarize_runs(RunQuery())
    assert everything.counts == {
        "success": 1,
        "failed": 1,
        "suspended": 1,
        "running": 1,
    }
    assert (everything.total, everything.timed) == (4, 3)
    assert everything.average == timedelta(seconds=2)
    assert (everything.shortest, everything.longest) == (
        timedelta(0),
        timedelta(seconds=4),
    )
    assert everything.last_start == DAWN + timedelta(minutes=4)

    one = store.summarize_runs(RunQuery(labels=("success",)))
    assert (one.total, one.average) == (1, timedelta(0))


def a_prefix_means_the_same_everywhere(store: StorageBackend) -> None:
    """Case counts, wildcards are no letters, and nothing begins with nothing."""
    for n, name in enumerate(("AbC-1", "abc-2", "abc_3", "abcd")):
        store.save_run(a_run(name, minute=n))

    assert names(store.find_runs_by_prefix("abc")) == ["abcd", "abc_3", "abc-2"]
    assert names(store.find_runs_by_prefix("Ab")) == ["AbC-1"]
    assert names(store.find_runs_by_prefix("abc-2")) == ["abc-2"]
    assert names(store.find_runs_by_prefix("abc", limit=2)) == ["abcd", "abc_3"]
    for nothing in ("", "%", "ab%", "_bc", "ab;", "ab c", "abç", "abc\n"):
        assert store.find_runs_by_prefix(nothing) == [], nothing


def running_runs_are_listed(store: StorageBackend) -> None:
    """A run is there from its beginning on, with its real start, and grows."""
    running = a_running_run("r")
    store.begin_run(running)
    store.append_events("r", [text_of(1)])

    assert store.list_runs() == [running]
    assert store.list_runs(OpenStatus.RUNNING) == [running]
    assert store.list_runs(SUCCESS) == []

    ended = a_run("r", owner=this_owner())
    store.save_run(ended, [text_of(2)])
    assert store.get_run("r") == ended
    assert seqs(store.get_events("r")) == [1, 2]


def an_ended_run_does_not_begin_again(store: StorageBackend) -> None:
    """Beginning or touching a run that has ended changes nothing."""
    store.save_run(a_run("r"))
    store.begin_run(a_running_run("r"))
    store.touch_runs(["r", "unknown"], DAWN)

    assert store.list_runs() == [a_run("r")]


def unannounced_events_begin_a_run(store: StorageBackend) -> None:
    """Events of an unknown run begin it, with the time of the first of them."""
    store.append_events("r", [text_of(1)])

    found = store.get_run("r")

    assert found is not None
    assert found.status is OpenStatus.RUNNING
    assert found.start_time == DAWN


def a_run_without_its_process_is_abandoned(store: StorageBackend) -> None:
    """Whoever reads sees it at once; marking makes it last; a late end still counts."""
    long_ago = DAWN - timedelta(days=1)
    store.begin_run(a_running_run("alive", minute=2))
    gone = a_running_run("gone", owner="elsewhere/boot/1/1", last_seen=long_ago)
    store.begin_run(gone)

    def see() -> None:
        found = store.get_run("gone")
        assert found is not None
        assert found.status is OpenStatus.ABANDONED
        assert found.error_message
        assert names(store.list_runs(OpenStatus.RUNNING)) == ["alive"]
        assert names(store.list_runs(OpenStatus.ABANDONED)) == ["gone"]
        assert names(store.query_runs(RunQuery(labels=("abandoned",)))) == ["gone"]
        counts = store.summarize_runs(RunQuery()).counts
        assert counts == {"running": 1, "abandoned": 1}

    see()
    assert store.mark_abandoned() == 1
    assert store.mark_abandoned() == 0
    see()

    store.save_run(a_run("gone"))
    assert store.get_run("gone") == a_run("gone")


def a_sign_of_life_counts(store: StorageBackend) -> None:
    """A process that cannot be looked up is alive as long as it says so."""
    store.begin_run(a_running_run("far", owner="elsewhere/boot/1/1", last_seen=DAWN))
    now = datetime.now(UTC)
    store.touch_runs(["far"], now)

    found = store.get_run("far")

    assert found is not None
    assert (found.status, found.last_seen) == (OpenStatus.RUNNING, now)


def deleting_takes_the_events_along(store: StorageBackend) -> None:
    """A deleted run leaves nothing, not even to a later run of the same id."""
    for name in ("a", "b", "c"):
        store.save_run(a_run(name), [text_of(1), text_of(2)])

    assert store.delete_run("a") is True
    assert store.delete_runs(["b", "unknown"]) == 1
    assert names(store.list_runs()) == ["c"]
    assert store.get_events("a") == []
    store.save_run(a_run("a"), [text_of(1)])
    assert seqs(store.get_events("a")) == [1]


def definitions_are_kept(store: StorageBackend) -> None:
    """What a fingerprint stands for can be looked up; saying it again is harmless."""
    store.save_definition("f1", '{"name": "one"}')
    store.save_definition("f2", '{"name": "two"}')
    store.save_definition("f1", '{"name": "one"}')

    assert store.get_definition("f1") == '{"name": "one"}'
    assert store.get_definition("f2") == '{"name": "two"}'


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


CHECKS: tuple[Check, ...] = (
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
    events_are_paged,
    the_newest_start_comes_first,
    runs_are_found_by_what_they_are,
    figures_are_exact,
    a_prefix_means_the_same_everywhere,
    running_runs_are_listed,
    an_ended_run_does_not_begin_again,
    unannounced_events_begin_a_run,
    a_run_without_its_process_is_abandoned,
    a_sign_of_life_counts,
    deleting_takes_the_events_along,
    definitions_are_kept,
    rows_are_events_too,
    rows_are_stored_once,
)
