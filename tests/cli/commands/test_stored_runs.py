"""The commands for stored runs: their output and their exit status."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from justpipe_actors.storage import SQLiteBackend

from ...programs import started
from .. import runnable
from ..conftest import Store
from .test_run import program


Command = Callable[..., tuple[int, str, str]]

WORDS = runnable.Words(["ada", "grace"])


# -- which runs there are


def test_a_missing_store_is_empty(store: Store, command: Command) -> None:
    """Every list is empty, the status is 0, and no directory is made."""
    assert command("list") == (0, "No runs found\n", "")
    assert command("list", "--json") == (0, "[]\n", "")
    assert command("pipelines") == (0, "No pipelines found\n", "")
    assert command("stats")[:2] == (0, "No runs found in the last 7 days\n")
    assert command("cleanup", "--yes")[:2] == (0, "Nothing to clean up\n")
    assert not store.root.exists()


def test_list_shows_the_newest_first(store: Store, command: Command) -> None:
    """It has runs of all pipelines, with time zone and a symbol of the status."""
    first, second = store.pipeline("aa", "[red]one"), store.pipeline("bb", "two")
    store.run(first, "old", hours=3)
    store.run(second, "younger", hours=2, status="failed")
    store.run(first, "a-run-with-a-long-id", hours=1, status="cancelled")

    status, out, _ = command("list")

    lines = out.splitlines()
    assert status == 0
    assert [line.split()[0] for line in lines[1:4]] == [
        "a-run-with-a...",
        "younger",
        "old",
    ]
    assert "[red]one" in lines[1], "a name is no markup"
    assert "■ cancelled" in lines[1]
    assert "✗ failed" in lines[2]
    assert lines[1].rstrip().endswith("1.0s")
    assert "3 run(s)" in lines[-1]


def test_list_can_be_restricted(store: Store, command: Command) -> None:
    """Name, status, text and limit restrict it; ids can be shown whole."""
    first, second = store.pipeline("aa", "one"), store.pipeline("bb", "two")
    store.run(first, "fine", hours=1)
    store.run(
        first, "a-run-with-a-long-id", 2, status="failed", error_message="no Disk"
    )
    store.run(second, "other", hours=3, status="failed", error_message="no net")

    def ids(*options: str) -> list[str]:
        found = json.loads(command("list", "--json", *options)[1])
        return [run["run_id"] for run in found]

    assert ids("-p", "one") == ["fine", "a-run-with-a-long-id"]
    assert ids("-s", "failed", "-s", "timeout") == ["a-run-with-a-long-id", "other"]
    assert ids("--search", "disk") == ["a-run-with-a-long-id"]
    assert ids("-n", "1") == ["fine"]
    assert "a-run-with-a-long-id" in command("list", "--full")[1]


def test_a_running_run_is_listed(store: Store, command: Command) -> None:
    """Runs without an end are listed, shown and counted; those of dead processes as abandoned."""
    one = store.pipeline("aa", "one")
    store.run(one, "dead", status="running")

    assert "abandoned" in command("list")[1]
    assert "abandoned" in command("show", "dead")[1]
    assert json.loads(command("stats", "--json")[1])["status_counts"] == {
        "abandoned": 1
    }
    assert command("cleanup", "--keep", "0", "--yes")[0] == 0
    assert command("list")[1] == "No runs found\n"


def test_a_suspended_run_is_not_a_success(store: Store, command: Command) -> None:
    """It is shown as suspended and found by that status."""
    store.run(
        store.pipeline("aa", "one"), "waits", is_suspended=True, reason="an answer"
    )

    assert "■ suspended" in command("list")[1]
    assert "waits" in command("list", "-s", "suspended")[1]
    assert command("list", "-s", "success")[1] == "No runs found\n"


def test_unknown_events_hide_no_others(store: Store, command: Command) -> None:
    """An event of a later version is counted, and the rest is shown."""
    one = store.pipeline("aa", "one")
    store.run(one, "run")
    events = [
        {"type": "step_start", "stage": "a", "seq": 1, "timestamp": 1.0},
        {"type": "teleport", "stage": "[b]a", "seq": 2, "timestamp": 2.0},
        {"type": "step_end", "stage": "a", "seq": 3, "timestamp": 3.0},
    ]
    one.append_events("run", [json.dumps(event) for event in events])

    status, out, _ = command("show", "run")

    assert status == 0
    assert "1 teleport" in out
    assert "✓ a" in out
    assert json.loads(command("export", "run", "-o", "-")[1])["event_count"] == 3
    assert command("timeline", "run")[0] == 0


def test_a_broken_store_hides_no_other(store: Store, command: Command) -> None:
    """A corrupt database and an invalid description affect only their own pipeline."""
    store.run(store.pipeline("aa", "one"), "fine")
    (store.root / "bb").mkdir()
    (store.root / "bb" / "runs.db").write_bytes(b"this is no database, " * 100)
    (store.root / "bb" / "pipeline.json").write_text("[]")

    for name in ("list", "pipelines", "stats"):
        status, out, _ = command(name, "--json")
        assert status == 0
        assert json.loads(out)


def test_pipelines_are_summed_up(store: Store, command: Command) -> None:
    """The runs of a pipeline are counted; its success rate counts only ended runs."""
    one = store.pipeline("aa", "one")
    for number, status in enumerate(["success", "failed", "running", "success"]):
        store.run(one, f"run{number}", hours=number, status=status)

    (found,) = json.loads(command("pipelines", "--json")[1])
    out = command("pipelines")[1]

    assert (found["total_runs"], found["success_rate"]) == (4, 66.7)
    assert "66.7%" in out
    assert "1 pipeline(s)" in out


def test_stats_show_problems(store: Store, command: Command) -> None:
    """They have figures of the last days: statuses, durations, failures, and what is unusual."""
    one, two = store.pipeline("aa", "one"), store.pipeline("bb", "[b]two")
    store.run(one, "good", hours=0)
    store.run(
        one, "bad-and-long-id", hours=1, status="failed", error_message="no [i]disk"
    )
    store.run(two, "worse", hours=2, status="failed", error_message="no net")
    store.run(two, "ancient", hours=24 * 30)

    out = command("stats")[1]
    shape = json.loads(command("stats", "--json")[1])

    assert "Total Runs  3 in 7 days" in out
    assert "33.3% of those that ended" in out
    assert "Today" in out
    assert "no [i]disk" in out
    assert "[b]two" in out
    assert "More runs failed (2) than succeeded (1)." in out
    assert shape["success_rate"] == 33.3
    assert shape["duration_stats"] == {"avg": 1.0, "min": 1.0, "max": 1.0, "total": 3.0}
    assert [e["run_id"] for e in shape["recent_errors"]] == ["bad-and-long-id", "worse"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")
def test_a_list_without_a_reader_ends_quietly(store: Store) -> None:
    """The status is 141."""
    store.run(store.pipeline("aa", "one"), "run")
    line = program("list", "--storage", str(store.root))
    with started(line) as one:
        assert one.stdout is not None
        assert one.stderr is not None
        one.stdout.close()
        errors = one.stderr.read()
        status = one.wait()

    assert status == 141
    assert errors == ""


# -- one run


def test_a_store_that_fails_is_reported_in_a_sentence(
    store: Store, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails while it is read gives one line and status 1."""

    def broken(*_: object, **__: object) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    store.run(store.pipeline("aa", "one"), "run")
    monkeypatch.setattr(SQLiteBackend, "count_events", broken)

    status, out, err = command("show", "run")

    assert (status, out) == (1, "")
    assert err == "Error: database disk image is malformed\n"


def test_show_has_the_steps(store: Store, command: Command) -> None:
    """It has the facts of a run, its events by type, and every step with its count."""
    run_id = store.record(runnable.counting, WORDS, "aa")

    status, out, _ = command("show", run_id[:8])
    shape = json.loads(command("show", "last", "--json")[1])

    assert status == 0
    assert run_id in out
    assert "[red]counting (aa)" in out
    assert "✓ success" in out
    assert "2/2" in out
    assert shape["event_types"]["step_start"] == 4
    assert [(s["name"], s["done"]) for s in shape["steps"]] == [
        ("split", 1),
        ("count", 2),
        ("report", 1),
    ]


def test_show_has_the_failures(store: Store, command: Command) -> None:
    """For a failed run it has the step, the error, and the line of code."""
    store.record(runnable.failing, WORDS, "aa")

    out = command("show", "last")[1]

    assert "refuse failed" in out
    assert "ValueError: no 1" in out
    assert "in refuse[0], for the item 1\n" in out
    assert "runnable.py:" in out
    assert "\x1b" not in out


def test_show_has_the_metadata(store: Store, command: Command) -> None:
    """There is a line per key; text that is not JSON is shown unchanged."""
    one = store.pipeline("aa", "one")
    store.run(one, "first", run_meta='{"data": {"[b]k": 1}, "tags": ["t"]}')
    store.run(one, "second", run_meta="only words")

    assert 'Metadata  data: {"[b]k": 1}\n' in command("show", "first")[1]
    assert "Metadata  only words\n" in command("show", "second")[1]


@pytest.mark.parametrize("name", ["show", "timeline", "export", "tail"])
def test_an_unknown_run_is_reported_in_a_sentence(
    name: str, store: Store, command: Command
) -> None:
    """It goes to standard error, with status 1."""
    store.run(store.pipeline("aa", "one"), "abc1")

    for run_id in ("zzz", "", "%", "last~7"):
        status, out, err = command(name, run_id)
        assert (status, out) == (1, "")
        assert "not found" in err


@pytest.mark.parametrize("name", ["show", "timeline", "export", "tail"])
def test_an_ambiguous_prefix_is_refused(
    name: str, store: Store, command: Command
) -> None:
    """The matching ids are listed, and the status is 2."""
    one = store.pipeline("aa", "one")
    store.run(one, "abc1")
    store.run(one, "abc2")

    status, out, err = command(name, "abc")

    assert (status, out) == (2, "")
    assert "Ambiguous" in err
    assert "abc1" in err
    assert "abc2" in err


# -- documents


@pytest.mark.parametrize(
    ("form", "beginning"),
    [
        ("ascii", "Timeline of [red]counting"),
        ("mermaid", "gantt"),
        ("chrome", "{"),
        ("html", "<!DOCTYPE"),
    ],
)
def test_timelines_can_be_piped(
    form: str, beginning: str, store: Store, command: Command
) -> None:
    """With ``--output -`` every format goes to standard output, and nothing else does."""
    store.record(runnable.counting, WORDS, "aa")

    status, out, err = command("timeline", "last", "-f", form, "-o", "-")

    assert (status, err) == (0, "")
    assert out.startswith(beginning)


def test_a_timeline_has_every_worker(store: Store, command: Command) -> None:
    """Two workers of a map are two lines."""
    store.record(runnable.counting, WORDS, "aa")

    out = command("timeline", "last")[1]

    assert "count[0]" in out
    assert "count[1]" in out


def test_a_timeline_counts_from_the_start_event(store: Store, command: Command) -> None:
    """A run may have waited for its place, or for its startup hooks, before."""
    run_id = store.record(runnable.counting, WORDS, "aa")
    backend = SQLiteBackend(store.root / "aa" / "runs.db")
    run, events = backend.get_run(run_id), backend.get_events(run_id)
    assert run is not None
    earlier = replace(run, start_time=run.start_time - timedelta(hours=1))
    backend.delete_run(run_id)
    backend.save_run(earlier, [event.data for event in events])

    trace = json.loads(command("timeline", "last", "-f", "chrome")[1])

    begin = events[0].timestamp.timestamp()
    first = next(e for e in events if e.type_name == "step_start")
    spans = [one for one in trace["traceEvents"] if one["ph"] == "X"]
    waited = first.timestamp.timestamp() - begin
    assert min(one["ts"] for one in spans) == pytest.approx(waited * 1e6, abs=10)


def test_an_html_timeline_goes_to_a_file(
    store: Store, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default the file is in the working directory and has the run's id."""
    monkeypatch.chdir(tmp_path)
    run_id = store.record(runnable.counting, WORDS, "aa")

    status, out, err = command("timeline", "last", "-f", "html")

    name = f"timeline_{run_id[:8]}.html"
    assert (status, out, err) == (0, "", f"written to {name}\n")
    assert (tmp_path / name).read_text("utf-8").startswith("<!DOCTYPE")


def test_exports_are_complete(
    store: Store, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export has the run and every event, in a file or on standard output."""
    monkeypatch.chdir(tmp_path)
    run_id = store.record(runnable.counting, WORDS, "aa")

    status, out, err = command("export", "last")
    piped = json.loads(command("export", "last", "--output", "-")[1])

    written = json.loads((tmp_path / f"run_{run_id[:8]}.json").read_text("utf-8"))
    assert (status, out) == (0, "")
    assert "Exported run" in err
    assert written["run"]["id"] == run_id
    assert written["event_count"] == len(written["events"])
    assert written["events"][-1]["data"]["payload"]["status"] == "success"
    assert {**piped, "exported_at": 0} == {**written, "exported_at": 0}


def test_compare_two_runs(store: Store, command: Command) -> None:
    """Two runs are compared as text and as JSON."""
    store.record(runnable.counting, WORDS, "aa")
    store.record(runnable.failing, WORDS, "bb")

    status, out, _ = command("compare", "last~1", "last")
    shape = json.loads(command("compare", "last~1", "last", "--json")[1])

    assert status == 0
    assert out.startswith("Run Comparison")
    assert shape["status_same"] is False
    assert "report" in shape["removed_steps"]


# -- forgetting


def twelve(store: Store) -> None:
    """Store twelve runs of one pipeline and one of another."""
    many = store.pipeline("aa", "[b]many")
    for number in range(12):
        status = "failed" if number % 2 else "success"
        store.run(many, f"run{number:02}", hours=number * 24, status=status)
    store.run(store.pipeline("bb", "single"), "single", hours=9999)


def ids(command: Command) -> list[str]:
    """Return the ids that are left."""
    found = json.loads(command("list", "-n", "100", "--json")[1])
    return [run["run_id"] for run in found]


def test_a_dry_run_deletes_nothing(store: Store, command: Command) -> None:
    """It shows which runs would be deleted, per pipeline."""
    twelve(store)

    status, out, _ = command("cleanup", "--dry-run")

    assert status == 0
    assert "2 runs to delete: 1 success, 1 failed" in out
    assert "[b]many" in out
    assert "DRY RUN" in out
    assert len(ids(command)) == 13


def test_yes_deletes_the_shown_runs(store: Store, command: Command) -> None:
    """With --yes the selected runs are deleted: by age, status, pipeline, without the newest."""
    twelve(store)

    status, out, _ = command(
        "cleanup",
        "-y",
        "--keep",
        "1",
        "-s",
        "failed",
        "--older-than",
        "2.5",
        "-p",
        "[b]many",
    )

    assert status == 0
    assert out.endswith("5 runs deleted\n")
    assert ids(command) == [
        *("run00", "run01", "run02", "run04", "run06", "run08", "run10", "single")
    ]


@pytest.mark.parametrize(
    ("answer", "left"), [("y\n", 11), ("yes\n", 13), ("\n", 13), ("", 13)]
)
def test_only_y_deletes(
    answer: str,
    left: int,
    store: Store,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Any other answer, and none, deletes nothing; the status is then 1."""
    twelve(store)
    monkeypatch.setattr("sys.stdin", StringIO(answer))

    status, _, err = command("cleanup")

    assert "Delete 2 runs? [y/N]" in err
    assert status == (0 if left == 11 else 1)
    assert len(ids(command)) == left


@pytest.mark.parametrize(
    "options",
    [("--keep", "-1"), ("--older-than", "-1"), ("-s", "running"), ("--json",)],
)
def test_invalid_rules_are_refused(
    options: tuple[str, ...], store: Store, command: Command
) -> None:
    """A negative number, a running run, or JSON without --yes has status 2."""
    twelve(store)

    status, out, _ = command("cleanup", *options)

    assert (status, out) == (2, "")
    assert len(ids(command)) == 13


def test_cleanup_writes_json(store: Store, command: Command) -> None:
    """It has the selected and the deleted runs."""
    twelve(store)

    shape: dict[str, Any] = json.loads(command("cleanup", "--json", "--yes")[1])

    assert shape["count"] == 2
    assert sorted(shape["deleted"]) == ["run10", "run11"]
    assert shape["failed"] == {}


def test_a_locked_store_is_reported_in_a_sentence(
    store: Store, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that cannot be deleted are named with the reason, and the status is 1."""
    monkeypatch.setattr("justpipe_actors.storage.sqlite.connection.LOCK_TIMEOUT", 0.01)
    twelve(store)
    other = sqlite3.connect(store.root / "aa" / "runs.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    status, _, err = command("cleanup", "--yes")

    other.close()
    assert status == 1
    assert "2 runs could not be deleted" in err
    assert "run10: database is locked" in err
    assert "Traceback" not in err


# -- watching


def test_tail_shows_an_ended_run_to_its_end(store: Store, command: Command) -> None:
    """The status is that of the run."""
    store.record(runnable.failing, WORDS, "aa")

    status, out, err = command("tail", "last", "--text")

    assert (status, out) == (1, "")
    assert "in step refuse: ValueError: no 1" in err


def test_tail_writes_stored_events(store: Store, command: Command) -> None:
    """As JSON, each event is the line that was stored."""
    run_id = store.record(runnable.counting, WORDS, "aa")

    status, out, _ = command("tail", run_id)

    events = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


def test_tail_notices_an_abandoned_run(store: Store, command: Command) -> None:
    """It does not wait for a run whose process has ended."""
    store.run(store.pipeline("aa", "one"), "dead", status="running")

    status, _, err = command("tail", "dead", "--text")

    assert status == 1
    assert "abandoned: The process that ran it is gone" in err


def test_tail_needs_a_running_run(store: Store, command: Command) -> None:
    """This holds when no id is given."""
    status, _, err = command("tail")

    assert status == 1
    assert "No run is running" in err
