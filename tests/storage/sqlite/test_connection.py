"""Access to an SQLite file: permissions, concurrent users, and readers without a trace."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import RunQuery
from justpipe_actors.storage import SQLiteBackend
from justpipe_actors.testing.conformance.samples import (
    event_text,
    make_run,
    make_running_run,
    run_ids,
    seqs,
)


def test_only_the_user_can_read_it(file: Path) -> None:
    """New folders have mode 0700, and every file has 0600."""
    store = SQLiteBackend(file)
    store.save_run(make_run("r"), [event_text(1)])

    folders = [file.parent, file.parent.parent]
    files = list(file.parent.iterdir())

    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    assert len(files) > 1  # the write-ahead log is one of them


def test_reading_creates_nothing(file: Path) -> None:
    """A reader of a missing file gets an empty store."""
    reader = SQLiteBackend(file, read_only=True)

    assert reader.list_runs() == []
    assert reader.summarize_runs(RunQuery()).total == 0
    assert reader.get_definition("f") is None
    assert not file.parent.exists()
    with pytest.raises(sqlite3.OperationalError, match="read only"):
        reader.save_run(make_run("r"))


def test_reading_a_quiet_file_leaves_no_files_beside_it(file: Path) -> None:
    """Without a writer the folder stays as it was."""
    store = SQLiteBackend(file)
    store.save_run(make_run("r"), [event_text(1)])
    store.close()
    before = file.read_bytes()

    assert run_ids(SQLiteBackend(file, read_only=True).list_runs()) == ["r"]
    assert list(file.parent.iterdir()) == [file]
    assert file.read_bytes() == before


def test_a_reader_gets_each_committed_event(file: Path) -> None:
    """This holds while a writer has the file open."""
    store = SQLiteBackend(file)
    reader = SQLiteBackend(file, read_only=True)

    store.append_events("r", [event_text(1)])
    assert seqs(reader.get_events("r")) == [1]
    with store.transaction():
        store.append_events("r", [event_text(2)])
        assert seqs(reader.get_events("r")) == [1]
    assert seqs(reader.get_events("r")) == [1, 2]


def test_a_read_only_folder_can_be_read(file: Path) -> None:
    """A store on a read-only medium is read like any other."""
    store = SQLiteBackend(file)
    store.save_run(make_run("r"))
    store.close()
    file.chmod(0o400)
    file.parent.chmod(0o500)
    try:
        assert run_ids(SQLiteBackend(file, read_only=True).list_runs()) == ["r"]
    finally:
        file.parent.chmod(0o700)


def test_a_file_that_is_no_database_is_refused(file: Path) -> None:
    """It is not overwritten."""
    file.parent.mkdir(parents=True)
    file.write_bytes(b"twenty bytes garbage" * 100)

    with pytest.raises(sqlite3.DatabaseError):
        SQLiteBackend(file)
    with pytest.raises(sqlite3.DatabaseError):
        SQLiteBackend(file, read_only=True).list_runs()
    assert file.read_bytes().startswith(b"twenty bytes")


def test_threads_may_share_a_store(file: Path) -> None:
    """Eight threads write at once, and all events of each are there in order."""
    store = SQLiteBackend(file)

    def write(name: str) -> None:
        for n in range(1, 21):
            store.append_events(name, [event_text(n)])
        store.save_run(make_run(name))

    threads = [threading.Thread(target=write, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(store.list_runs(PipelineTerminalStatus.SUCCESS)) == 8
    for n in range(8):
        assert seqs(store.get_events(f"t{n}")) == list(range(1, 21))


def test_stores_may_share_a_file(file: Path) -> None:
    """Two stores on one file have the same runs, and cannot save one twice."""
    one, two = SQLiteBackend(file), SQLiteBackend(file)
    one.save_run(make_run("a", minute=1))
    two.save_run(make_run("b", minute=2))

    assert run_ids(one.list_runs()) == run_ids(two.list_runs()) == ["b", "a"]
    with pytest.raises(sqlite3.IntegrityError):
        two.save_run(make_run("a"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_opens_the_file_for_itself(file: Path) -> None:
    """The parent's connection is neither used nor closed by its child."""
    store = SQLiteBackend(file)
    store.save_run(make_run("parent", minute=1))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.save_run(make_run("child", minute=2))
            store.close()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    store.save_run(make_run("again", minute=3))

    assert status == 0
    assert run_ids(store.list_runs()) == ["again", "child", "parent"]


def test_a_running_run_can_be_read(file: Path) -> None:
    """It is in every listing."""
    store = SQLiteBackend(file)
    store.begin_run(make_running_run("live"))
    store.append_events("live", [event_text(1)])
    reader = SQLiteBackend(file, read_only=True)

    found = reader.get_run("live")

    assert found is not None
    assert found.label == "running"
    assert run_ids(reader.list_runs()) == run_ids(reader.find_runs_by_prefix("li"))
    assert reader.summarize_runs(RunQuery()).counts == {"running": 1}
