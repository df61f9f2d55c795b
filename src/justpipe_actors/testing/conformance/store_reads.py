"""What a store answers: in order, in pages, and exact."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ...abc import StorageBackend
from ...events import EventType
from ...records import RunQuery
from .samples import (
    DAWN,
    FAILED,
    SUCCESS,
    Check,
    a_run,
    a_running_run,
    names,
    seqs,
    text_of,
)


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


READING: tuple[Check, ...] = (
    events_are_paged,
    the_newest_start_comes_first,
    runs_are_found_by_what_they_are,
    figures_are_exact,
    a_prefix_means_the_same_everywhere,
)
