"""Files of older and newer versions."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from justpipe_actors.errors import StoreVersionError
from justpipe_actors.events import EventType
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import OpenStatus
from justpipe_actors.storage import SQLiteBackend
from justpipe_actors.testing.conformance.samples import (
    event_text,
    make_run,
    run_ids,
    seqs,
)
from justpipe_actors.testing.conformance.store_writes import make_chunk


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


def test_a_newer_schema_is_read_and_not_written(file: Path) -> None:
    """A file of a later version is not changed."""
    store = SQLiteBackend(file)
    store.save_run(make_run("r"))
    store.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")

    assert run_ids(SQLiteBackend(file, read_only=True).list_runs()) == ["r"]
    with pytest.raises(StoreVersionError, match="99"):
        SQLiteBackend(file)


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
    """Write a file of the reference: a flush of two events, then the last one."""
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
    """The runs in files of older releases are shown, and reading does not change the files."""
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
