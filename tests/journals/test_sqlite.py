"""The SQLite journal: its file, its versions, other processes, and retention."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from justpipe_actors._util.process_identity import this_process
from justpipe_actors.abc import Batch, NewRun, RunFilter
from justpipe_actors.errors import (
    JournalUnusableError,
    StoreError,
    StoreVersionError,
)
from justpipe_actors.journals import MemoryJournal, SQLiteJournal, open_journal
from justpipe_actors.journals.sql_journal import SQLJournal


def a_run(run_id: str = "r") -> NewRun:
    """Return a run to store."""
    return NewRun(run_id=run_id, pipe="p", fingerprint="f", input="{}")


def ended(journal: SQLJournal, run_id: str, status: Any = "success") -> None:
    """Store a run that has ended."""
    claim = journal.submit(a_run(run_id), journal.add_worker("w")).claim
    assert claim is not None
    journal.append([Batch(run=claim.run.id, n=2, kind="end", status=status)])


def test_the_file_is_readable_for_its_user_alone(tmp_path: Path) -> None:
    """Runs contain users' data, so neither the file nor a new folder can be read by others."""
    journal = SQLiteJournal(tmp_path / "new" / "runs.db")
    journal.open()
    journal.close()
    assert (tmp_path / "new" / "runs.db").stat().st_mode & 0o077 == 0
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_runs_outlive_the_process(tmp_path: Path) -> None:
    """Another journal on the same file finds the stored runs."""
    first = SQLiteJournal(tmp_path / "runs.db")
    first.submit(a_run())
    first.close()
    second = SQLiteJournal(tmp_path / "runs.db")
    found = second.find("r")
    second.close()
    assert found is not None
    assert found.input == "{}"


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """A file of a later version is not changed, and the message has the remedy."""
    path = tmp_path / "runs.db"
    journal = SQLiteJournal(path)
    journal.open()
    journal.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreVersionError, match=r"version 99 .* Upgrade"):
        SQLiteJournal(path).open()


def test_another_database_is_refused(tmp_path: Path) -> None:
    """A journal never adds its tables to a file with other tables."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    with pytest.raises(StoreError, match="no journal"):
        SQLiteJournal(path).open()


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    """A file that is no database is not overwritten."""
    path = tmp_path / "runs.db"
    path.write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(
        JournalUnusableError, match=r"runs\.db cannot be used: file is not a"
    ):
        SQLiteJournal(path).open()
    assert path.read_bytes().startswith(b"this is a letter")


def test_a_dead_process_is_noticed_at_once(tmp_path: Path) -> None:
    """The runs of a process that has ended are ready long before its lease expires."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("processes cannot be looked up here")
    program = (
        "import sys; from justpipe_actors.abc import NewRun;"
        "from justpipe_actors.journals import SQLiteJournal;"
        "from justpipe_actors._util.process_identity import this_process;"
        "j = SQLiteJournal(sys.argv[1]);"
        "j.submit(NewRun(run_id='r', pipe='p', fingerprint='f', input='{}'),"
        " j.add_worker(this_process()))"
    )
    path = str(tmp_path / "runs.db")
    subprocess.run([sys.executable, "-c", program, path], check=True)
    journal = SQLiteJournal(path, lease=3600)
    mine = journal.add_worker(this_process())
    assert journal.claim(mine, ["p"]) == []
    assert journal.bury_workers() == 1
    [claim] = journal.claim(mine, ["p"])
    journal.close()
    assert (claim.run.incarnation, claim.deaths) == (2, 1)


def test_a_worker_without_heartbeats_is_dead_after_its_lease() -> None:
    """A worker of another machine keeps its runs as long as it sends heartbeats."""
    moment = [1000.0]
    journal = MemoryJournal(lease=10, clock=lambda: moment[0])
    journal.submit(a_run(), journal.add_worker("elsewhere"))
    moment[0] += 9
    assert journal.bury_workers() == 0
    moment[0] += 2
    assert journal.bury_workers() == 1
    found = journal.find("r")
    assert found is not None
    assert found.status == "ready"


def test_old_ended_runs_are_deleted_and_their_ids_kept() -> None:
    """Such an id begins no run until ``forget`` frees it; suspended runs stay."""
    moment = [1000.0]
    journal = MemoryJournal(keep=timedelta(hours=1), clock=lambda: moment[0])
    ended(journal, "old")
    ended(journal, "paused", "suspended")
    moment[0] += 3601
    ended(journal, "young")
    assert journal.sweep() == 1
    assert {run.run_id for run in journal.runs(RunFilter())} == {"paused", "young"}
    again = journal.submit(a_run("old"))
    assert (again.is_new, again.is_forgotten, again.run.status) == (
        False,
        True,
        "success",
    )
    assert journal.forget(moment[0]) == 1
    assert journal.submit(a_run("old")).is_new


def test_a_failed_transaction_changes_nothing(tmp_path: Path) -> None:
    """After a full disk the same batch can be written later."""
    journal = SQLiteJournal(tmp_path / "runs.db")
    claim = journal.submit(a_run(), journal.add_worker("w")).claim
    assert claim is not None
    with journal._database.read() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    big = Batch(run=claim.run.id, n=2, kind="commit", delta='"' + "x" * 100_000 + '"')
    with pytest.raises(sqlite3.OperationalError, match="full"):
        journal.append([big])
    assert len(journal.commits(claim.run.id)) == 1
    with journal._database.read() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    assert journal.append([big]) == frozenset()
    journal.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_changes_by_others_are_noticed(kind: str, tmp_path: Path) -> None:
    """A waiting worker is woken by the writes of another process, and by ``wake``."""
    journal: SQLJournal = MemoryJournal()
    other = journal
    if kind == "sqlite":
        journal = SQLiteJournal(tmp_path / "runs.db")
        other = SQLiteJournal(tmp_path / "runs.db")
    journal.open()
    journal.wait_change(0)
    threading.Timer(0.05, lambda: other.submit(a_run())).start()
    assert journal.wait_change(20)
    threading.Timer(0.05, journal.wake).start()
    assert not journal.wait_change(20)
    journal.close()
    other.close()


def test_a_forked_child_opens_a_connection_of_its_own(tmp_path: Path) -> None:
    """A child of a fork never uses its parent's connection."""
    journal = SQLiteJournal(tmp_path / "runs.db")
    journal.submit(a_run())
    journal._database._process = os.getpid() + 1  # type: ignore[attr-defined]
    before = journal._database._connection  # type: ignore[attr-defined]
    assert journal.find("r") is not None
    assert journal._database._connection is not before  # type: ignore[attr-defined]
    before.close()
    journal.close()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"mode": "later"}, "mode"),
        ({"keep": timedelta(-1)}, "keep"),
        ({"attempts": 0}, "attempts"),
        ({"lease": 0}, "lease"),
    ],
)
def test_invalid_settings_are_refused(settings: dict[str, Any], word: str) -> None:
    """The message names the setting."""
    with pytest.raises(ValueError, match=word):
        SQLiteJournal("runs.db", **settings)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"keep": 3}, "keep must be a timedelta, not 3"),
        ({"types": ["Page"]}, "types must be classes, and 'Page' is none"),
        ({"attempts": "3"}, "attempts must be a count, not '3'"),
        ({"lease": "10"}, "lease must be a number of seconds, not '10'"),
        ({"fsync": "no"}, "fsync must be True or False, not 'no'"),
    ],
)
def test_settings_of_another_type_are_refused(
    settings: dict[str, Any], problem: str
) -> None:
    """The message names the setting, and says what is taken."""
    with pytest.raises(TypeError, match=problem):
        SQLiteJournal("runs.db", **settings)


def test_a_path_means_a_sqlite_journal(tmp_path: Path) -> None:
    """``Supervisor(journal=...)`` takes a path or a journal, and nothing else."""
    journal = MemoryJournal()
    assert open_journal(journal) is journal
    assert isinstance(open_journal(tmp_path / "runs.db"), SQLiteJournal)
    assert isinstance(open_journal("runs.db"), SQLiteJournal)
    with pytest.raises(ValueError, match="mysql"):
        open_journal("mysql://host/db")
    with pytest.raises(TypeError, match="int"):
        open_journal(3)
