"""The SQLite store as a file: who may read it, what it survives, where it came from."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
import struct
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from justpipe_actors.errors import StoreVersionError
from justpipe_actors.events import EventType
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import OpenStatus, RunQuery
from justpipe_actors.storage import SQLiteBackend
from justpipe_actors.testing.conformance.samples import (
    event_text,
    make_run,
    make_running_run,
    run_ids,
    seqs,
)
from justpipe_actors.testing.conformance.store_writes import make_chunk


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A path in a folder that does not exist yet."""
    return tmp_path / "root" / "hash" / "runs.db"


def test_only_the_user_can_read_it(file: Path) -> None:
    """New folders are 0700 and every file is 0600."""
    store = SQLiteBackend(file)
    store.save_run(make_run("r"), [event_text(1)])

    folders = [file.parent, file.parent.parent]
    files = list(file.parent.iterdir())

    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}
    assert len(files) > 1  # the write-ahead log is one of them


def test_reading_creates_nothing(file: Path) -> None:
    """A reader of a missing file sees an empty store and leaves no trace."""
    reader = SQLiteBackend(file, read_only=True)

    assert reader.list_runs() == []
    assert reader.summarize_runs(RunQuery()).total == 0
    assert reader.get_definition("f") is None
    assert not file.parent.exists()
    with pytest.raises(sqlite3.OperationalError, match="read only"):
        reader.save_run(make_run("r"))


def test_reading_a_quiet_file_leaves_no_files_beside_it(file: Path) -> None:
    """Nobody writes: the reader leaves the folder as it found it."""
    store = SQLiteBackend(file)
    store.save_run(make_run("r"), [event_text(1)])
    store.close()
    before = file.read_bytes()

    assert run_ids(SQLiteBackend(file, read_only=True).list_runs()) == ["r"]
    assert list(file.parent.iterdir()) == [file]
    assert file.read_bytes() == before


def test_a_reader_sees_what_a_writer_has_just_written(file: Path) -> None:
    """While a writer has the file open, readers see each committed event."""
    store = SQLiteBackend(file)
    reader = SQLiteBackend(file, read_only=True)

    store.append_events("r", [event_text(1)])
    assert seqs(reader.get_events("r")) == [1]
    with store.transaction():
        store.append_events("r", [event_text(2)])
        assert seqs(reader.get_events("r")) == [1]
    assert seqs(reader.get_events("r")) == [1, 2]


def test_a_folder_nobody_may_write_to_can_be_read(file: Path) -> None:
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


def test_what_is_no_database_is_refused(file: Path) -> None:
    """A file with something else in it is not overwritten."""
    file.parent.mkdir(parents=True)
    file.write_bytes(b"twenty bytes garbage" * 100)

    with pytest.raises(sqlite3.DatabaseError):
        SQLiteBackend(file)
    with pytest.raises(sqlite3.DatabaseError):
        SQLiteBackend(file, read_only=True).list_runs()
    assert file.read_bytes().startswith(b"twenty bytes")


def test_a_newer_schema_is_read_and_not_written(file: Path) -> None:
    """What a later version wrote is left alone."""
    store = SQLiteBackend(file)
    store.save_run(make_run("r"))
    store.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")

    assert run_ids(SQLiteBackend(file, read_only=True).list_runs()) == ["r"]
    with pytest.raises(StoreVersionError, match="99"):
        SQLiteBackend(file)


def test_one_bad_row_blocks_nothing(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows that make no sense are skipped with a warning each."""
    store = SQLiteBackend(file)
    store.append_chunks(
        "r", [make_chunk(n, ["token"] * 2, [n, n + 1]) for n in range(1, 15, 2)]
    )
    for name in ("r", "odd", "when"):
        store.save_run(make_run(name))
    moments = struct.pack("<2d", 1e300, 1.0)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE runs SET status = 'odd' WHERE run_id = 'odd'")
        connection.execute("UPDATE runs SET start_time = 'now' WHERE run_id = 'when'")
        connection.execute("UPDATE chunks SET times = ? WHERE first = 1", (moments,))
        connection.execute("UPDATE chunks SET fields = '{' WHERE first = 3")
        connection.execute("UPDATE chunks SET payloads = '[1' WHERE first = 5")
        connection.execute("UPDATE chunks SET times = x'00' WHERE first = 7")
        connection.execute("UPDATE chunks SET metas = '[]' WHERE first = 9")
        connection.execute("UPDATE chunks SET counts = '{' WHERE first = 11")
        connection.commit()

    with caplog.at_level(logging.WARNING, "justpipe_actors.storage"):
        assert run_ids(store.list_runs()) == ["r"]
        assert store.get_run("odd") is None
        assert seqs(store.get_events("r")) == [2, 11, 12, 13, 14]
        assert seqs(store.get_events("r", EventType.TOKEN, limit=2)) == [2, 11]
    assert len(caplog.records) == 2 + 1 + 5 + 5
    assert store.count_events("r") == {"token": 12}


def test_every_event_is_a_row_of_a_view(file: Path) -> None:
    """Whoever has nothing but SQL sees one row for each event."""
    store = SQLiteBackend(file)
    kinds = ["step_start", "token", "token"]
    store.append_chunks("r", [make_chunk(1, kinds, [None, "x", {"y": 1}])])
    store.append_events("r", [event_text(4, "finish", "system")])
    sql = "SELECT run_id, seq, type, stage, payload FROM every_event ORDER BY seq"

    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute(sql).fetchall()

    assert rows == [
        ("r", 1, "step_start", "gen", None),
        ("r", 2, "token", "gen", "x"),
        ("r", 3, "token", "gen", '{"y":1}'),
        ("r", 4, "finish", "system", 1),
    ]


SCHEMA_1 = """
DROP VIEW every_event;
DROP TABLE chunks;
INSERT INTO events VALUES
    (1, 1, 'start', 5.0, '["system", "system", 1, [], [""], null, null, null, null]',
        '{"n": 1}', NULL),
    (1, 2, 'token', x'00000000000014400000000000001840',
        '["gen", "step", 1, ["m"], [""], null, [":1"], "other", [":1"]]',
        '["a", {"b": 1}]', NULL),
    (1, 4, 'step_end', 7.0, 2, 1, '{"k": 2}');
PRAGMA user_version = 1;
"""


@pytest.mark.parametrize("read_only", [True, False], ids=["reader", "writer"])
def test_files_of_schema_1_can_be_read(file: Path, *, read_only: bool) -> None:
    """Rows of one event, or of a burst, are read where they are, and added to."""
    writer = SQLiteBackend(file)
    writer.save_run(make_run("r"))
    writer.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SCHEMA_1)

    store = SQLiteBackend(file, read_only=read_only)

    events = store.get_events("r")
    assert seqs(events) == [1, 2, 3, 4]
    assert [json.loads(event.data)["payload"] for event in events] == [
        {"n": 1},
        "a",
        {"b": 1},
        {"n": 1},
    ]
    assert [event.timestamp.timestamp() for event in events] == [5.0, 5.0, 6.0, 7.0]
    last = json.loads(events[3].data)
    assert (last["stage"], last["scope"], last["meta"]) == ("gen", ["m"], {"k": 2})
    assert last["invocation_id"] == last["owner_invocation_id"] == "r:1"
    assert last["parent_invocation_id"] == "other"
    assert seqs(store.get_events("r", after=2, limit=1)) == [3]
    assert store.count_events("r") == {"start": 1, "token": 2, "step_end": 1}
    if not read_only:
        store.append_chunks("r", [make_chunk(3, ["token"] * 3, ["no", "no", "new"])])
        assert seqs(store.get_events("r")) == [1, 2, 3, 4, 5]
        assert store.delete_run("r")
        assert store.get_events("r") == []


def test_threads_may_share_a_store(file: Path) -> None:
    """Eight threads write at once, and every event of each is there, in order."""
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
    """Two stores on one file see each other's runs, and cannot save one twice."""
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


# -- files of the reference


OLD = """
CREATE TABLE runs (run_id TEXT PRIMARY KEY, start_time REAL NOT NULL, end_time REAL,
    duration_s REAL, status TEXT, error_message TEXT{more});
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL
    REFERENCES runs (run_id) ON DELETE CASCADE, seq INTEGER NOT NULL,
    timestamp REAL NOT NULL, data TEXT NOT NULL);
CREATE INDEX idx_runs_time ON runs (start_time DESC);
INSERT INTO runs (run_id, start_time, end_time, duration_s, status)
    VALUES ('old', 100, 102, 2, 'success'), ('none', 90, 91, 1, NULL),
    ('placeholder', 0, NULL, NULL, 'running');
"""


def old_file(file: Path, *, more: str) -> None:
    """Write what the reference would have: a flush of two events, then the last."""
    file.parent.mkdir(parents=True)
    events = [
        ("old", 1, event_text(1, "start", "system")),
        ("old", 2, event_text(2)),
        ("old", 2, event_text(2)),  # flushed twice
        ("old", 1, event_text(3, "finish", "system")),  # numbered anew at the end
        ("placeholder", 1, event_text(1)),
    ]
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(OLD.format(more=more))
        connection.executemany(
            "INSERT INTO events (run_id, seq, timestamp, data) VALUES (?, ?, 100.5, ?)",
            events,
        )
        if "meta" in more:
            meta = json.dumps({"k": 1})
            connection.execute(f"UPDATE runs SET {more.split()[1]} = ?", (meta,))
        connection.commit()


@pytest.mark.parametrize("read_only", [True, False], ids=["reader", "writer"])
@pytest.mark.parametrize(
    "more", ["", ", user_meta TEXT", ", run_meta TEXT, error_step TEXT"]
)
def test_files_of_the_reference_can_be_read(
    file: Path, more: str, *, read_only: bool
) -> None:
    """Older releases' files show their runs, to readers without being changed."""
    old_file(file, more=more)
    before = file.read_bytes()

    store = SQLiteBackend(file, read_only=read_only)

    runs = {run.run_id: run for run in store.list_runs()}
    assert list(runs) == ["placeholder", "old", "none"]
    assert runs["old"].status is PipelineTerminalStatus.SUCCESS
    assert runs["old"].start_time == datetime.fromtimestamp(100, UTC)
    assert runs["old"].run_meta == ('{"k": 1}' if "meta" in more else None)
    assert runs["none"].status is PipelineTerminalStatus.FAILED
    assert runs["placeholder"].status is OpenStatus.ABANDONED
    assert runs["placeholder"].start_time == datetime.fromtimestamp(100.5, UTC)
    events = store.get_events("old")
    assert [event.event_type for event in events] == [
        EventType.START,
        EventType.STEP_START,
        EventType.FINISH,
    ]
    assert [event.step_name for event in events] == ["system", "a", "system"]
    if read_only:
        assert file.read_bytes() == before
        assert store.get_definition("f") is None
    else:
        store.save_run(make_run("new"), [event_text(1)])
        assert store.delete_run("old")


def test_a_running_run_is_readable_by_everyone(file: Path) -> None:
    """A run in progress is in every listing, and never breaks one."""
    store = SQLiteBackend(file)
    store.begin_run(make_running_run("live"))
    store.append_events("live", [event_text(1)])
    reader = SQLiteBackend(file, read_only=True)

    found = reader.get_run("live")

    assert found is not None
    assert found.label == "running"
    assert run_ids(reader.list_runs()) == run_ids(reader.find_runs_by_prefix("li"))
    assert reader.summarize_runs(RunQuery()).counts == {"running": 1}
