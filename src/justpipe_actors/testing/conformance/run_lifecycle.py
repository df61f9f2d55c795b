"""Checks for stores: running, ended, abandoned and deleted runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ...abc import StorageBackend
from ...records import OpenStatus, RunQuery
from ...storage.queries import this_owner
from .samples import (
    START_TIME,
    SUCCESS,
    Check,
    event_text,
    make_run,
    make_running_run,
    run_ids,
    seqs,
)


def running_runs_are_listed(store: StorageBackend) -> None:
    """A run is there from its beginning on, with its real start, and grows."""
    running = make_running_run("r")
    store.begin_run(running)
    store.append_events("r", [event_text(1)])

    assert store.list_runs() == [running]
    assert store.list_runs(OpenStatus.RUNNING) == [running]
    assert store.list_runs(SUCCESS) == []

    ended = make_run("r", owner=this_owner())
    store.save_run(ended, [event_text(2)])
    assert store.get_run("r") == ended
    assert seqs(store.get_events("r")) == [1, 2]


def an_ended_run_does_not_begin_again(store: StorageBackend) -> None:
    """Beginning or touching a run that has ended changes nothing."""
    store.save_run(make_run("r"))
    store.begin_run(make_running_run("r"))
    store.touch_runs(["r", "unknown"], START_TIME)

    assert store.list_runs() == [make_run("r")]


def unannounced_events_begin_a_run(store: StorageBackend) -> None:
    """Events of an unknown run begin it, with the time of the first of them."""
    store.append_events("r", [event_text(1)])

    found = store.get_run("r")

    assert found is not None
    assert found.status is OpenStatus.RUNNING
    assert found.start_time == START_TIME


def a_run_without_its_process_is_abandoned(store: StorageBackend) -> None:
    """Reads show it as abandoned, marking stores that, and a late end overrides it."""
    long_ago = START_TIME - timedelta(days=1)
    store.begin_run(make_running_run("alive", minute=2))
    gone = make_running_run("gone", owner="elsewhere/boot/1/1", last_seen=long_ago)
    store.begin_run(gone)

    def check_abandoned() -> None:
        found = store.get_run("gone")
        assert found is not None
        assert found.status is OpenStatus.ABANDONED
        assert found.error_message
        assert run_ids(store.list_runs(OpenStatus.RUNNING)) == ["alive"]
        assert run_ids(store.list_runs(OpenStatus.ABANDONED)) == ["gone"]
        assert run_ids(store.query_runs(RunQuery(labels=("abandoned",)))) == ["gone"]
        counts = store.summarize_runs(RunQuery()).counts
        assert counts == {"running": 1, "abandoned": 1}

    check_abandoned()
    assert store.mark_abandoned() == 1
    assert store.mark_abandoned() == 0
    check_abandoned()

    store.save_run(make_run("gone"))
    assert store.get_run("gone") == make_run("gone")


def a_durable_run_without_its_process_waits(store: StorageBackend) -> None:
    """Its journal has it, so the next process takes it up: it is never abandoned."""
    long_ago = START_TIME - timedelta(days=1)
    gone = make_running_run("gone", owner="elsewhere/boot/1/1", last_seen=long_ago)
    store.begin_run(replace(gone, journal="/somewhere/journal.db"))

    assert store.mark_abandoned() == 0

    found = store.get_run("gone")
    assert found is not None
    assert (found.status, found.error_message) == (OpenStatus.WAITING, None)
    assert found.journal == "/somewhere/journal.db"
    assert run_ids(store.query_runs(RunQuery(labels=("waiting",)))) == ["gone"]
    assert store.summarize_runs(RunQuery()).counts == {"waiting": 1}


def a_heartbeat_keeps_a_run_alive(store: StorageBackend) -> None:
    """A process that cannot be checked is alive as long as it sends heartbeats."""
    store.begin_run(
        make_running_run("far", owner="elsewhere/boot/1/1", last_seen=START_TIME)
    )
    now = datetime.now(UTC)
    store.touch_runs(["far"], now)

    found = store.get_run("far")

    assert found is not None
    assert (found.status, found.last_seen) == (OpenStatus.RUNNING, now)


def deleting_a_run_deletes_its_events(store: StorageBackend) -> None:
    """A later run with the id of a deleted run has none of its events."""
    for name in ("a", "b", "c"):
        store.save_run(make_run(name), [event_text(1), event_text(2)])

    assert store.delete_run("a") is True
    assert store.delete_runs(["b", "unknown"]) == 1
    assert run_ids(store.list_runs()) == ["c"]
    assert store.get_events("a") == []
    store.save_run(make_run("a"), [event_text(1)])
    assert seqs(store.get_events("a")) == [1]


def definitions_are_kept(store: StorageBackend) -> None:
    """A definition can be looked up by fingerprint; saving it twice is harmless."""
    store.save_definition("f1", '{"name": "one"}')
    store.save_definition("f2", '{"name": "two"}')
    store.save_definition("f1", '{"name": "one"}')

    assert store.get_definition("f1") == '{"name": "one"}'
    assert store.get_definition("f2") == '{"name": "two"}'


RUN_LIFECYCLE_CHECKS: tuple[Check, ...] = (
    running_runs_are_listed,
    an_ended_run_does_not_begin_again,
    unannounced_events_begin_a_run,
    a_run_without_its_process_is_abandoned,
    a_durable_run_without_its_process_waits,
    a_heartbeat_keeps_a_run_alive,
    deleting_a_run_deletes_its_events,
    definitions_are_kept,
)
