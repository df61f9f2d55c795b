"""Checks for stores: order, paging, filters and summaries of reads.

Each check gets an empty store and raises an ``AssertionError`` if the store does not
do what ``abc.StorageBackend`` says.  ``check_storage`` calls all of them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ...abc import StorageBackend
from ...events import EventType
from ...records import RunQuery
from .samples import (
    FAILED,
    START_TIME,
    SUCCESS,
    Check,
    event_text,
    make_run,
    make_running_run,
    run_ids,
    seqs,
)


def events_are_paged(store: StorageBackend) -> None:
    """A reader can go on from a number, with a limit, and by type."""
    types = ["start", "step_start", "token", "step_end", "finish"]
    store.save_run(make_run("r"), [event_text(n, k) for n, k in enumerate(types, 1)])

    assert seqs(store.get_events("r", after=2)) == [3, 4, 5]
    assert seqs(store.get_events("r", after=1, limit=2)) == [2, 3]
    assert seqs(store.get_events("r", limit=0)) == []
    assert seqs(store.get_events("r", EventType.TOKEN)) == [3]
    assert seqs(store.get_events("r", EventType.TOKEN, after=3)) == []


def the_newest_start_comes_first(store: StorageBackend) -> None:
    """Runs are listed by start, newest first, and cut into pages after that."""
    for name, minute in (("b", 2), ("c", 3), ("a", 1)):
        store.save_run(make_run(name, minute=minute))

    assert run_ids(store.list_runs()) == ["c", "b", "a"]
    assert run_ids(store.list_runs(limit=2)) == ["c", "b"]
    assert run_ids(store.list_runs(limit=2, offset=2)) == ["a"]
    assert run_ids(store.query_runs(RunQuery(), limit=1, offset=1)) == ["b"]
    assert run_ids(store.find_runs_by_prefix("a")) == ["a"]


def queries_filter_runs(store: StorageBackend) -> None:
    """Status, label, time and text each restrict a query; together they all do."""
    store.save_run(make_run("ok", minute=1))
    store.save_run(make_run("paused", minute=2, is_suspended=True))
    store.save_run(
        make_run("bad", minute=3, status=FAILED, error_message="Boom", error_step="b")
    )
    noted = '{"data": {"customer": "Ada"}}'
    store.save_run(make_run("noted", minute=4, run_meta=noted))

    def found(**query: Any) -> list[str]:
        return run_ids(store.query_runs(RunQuery(**query)))

    assert run_ids(store.list_runs(SUCCESS)) == ["noted", "paused", "ok"]
    assert run_ids(store.list_runs(SUCCESS, limit=1, offset=1)) == ["paused"]
    assert found(labels=("success",)) == ["noted", "ok"]
    assert found(labels=("suspended", "failed")) == ["bad", "paused"]
    assert found(labels=("no such word",)) == []
    assert found(since=START_TIME + timedelta(minutes=3)) == ["noted", "bad"]
    assert found(until=START_TIME + timedelta(minutes=3)) == ["paused", "ok"]
    assert found(text="boom") == ["bad"]
    assert found(text="ADA", labels=("success",)) == ["noted"]
    assert found(text="nowhere") == []


def summaries_are_exact(store: StorageBackend) -> None:
    """Counts and durations are those of the runs meant, an average of zero included."""
    store.save_run(make_run("a", minute=1, duration=timedelta(0)))
    store.save_run(
        make_run("b", minute=2, duration=timedelta(seconds=4), status=FAILED)
    )
    store.save_run(make_run("c", minute=3, is_suspended=True))
    store.begin_run(make_running_run("d", minute=4))

    summary = store.summarize_runs(RunQuery())
    assert summary.counts == {
        "success": 1,
        "failed": 1,
        "suspended": 1,
        "running": 1,
    }
    assert (summary.total, summary.timed) == (4, 3)
    assert summary.average == timedelta(seconds=2)
    assert (summary.shortest, summary.longest) == (
        timedelta(0),
        timedelta(seconds=4),
    )
    assert summary.last_start == START_TIME + timedelta(minutes=4)

    success_summary = store.summarize_runs(RunQuery(labels=("success",)))
    assert (success_summary.total, success_summary.average) == (1, timedelta(0))


def a_prefix_means_the_same_everywhere(store: StorageBackend) -> None:
    """Prefixes are case-sensitive and literal, and an empty one matches no run."""
    for n, name in enumerate(("AbC-1", "abc-2", "abc_3", "abcd")):
        store.save_run(make_run(name, minute=n))

    assert run_ids(store.find_runs_by_prefix("abc")) == ["abcd", "abc_3", "abc-2"]
    assert run_ids(store.find_runs_by_prefix("Ab")) == ["AbC-1"]
    assert run_ids(store.find_runs_by_prefix("abc-2")) == ["abc-2"]
    assert run_ids(store.find_runs_by_prefix("abc", limit=2)) == ["abcd", "abc_3"]
    for nothing in ("", "%", "ab%", "_bc", "ab;", "ab c", "abç", "abc\n"):
        assert store.find_runs_by_prefix(nothing) == [], nothing


READ_CHECKS: tuple[Check, ...] = (
    events_are_paged,
    the_newest_start_comes_first,
    queries_filter_runs,
    summaries_are_exact,
    a_prefix_means_the_same_everywhere,
)
