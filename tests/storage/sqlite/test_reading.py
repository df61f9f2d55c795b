"""Rows that cannot be read, and a view for plain SQL."""

from __future__ import annotations

import logging
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from justpipe_actors.events import EventType
from justpipe_actors.storage import SQLiteBackend
from justpipe_actors.testing.conformance.samples import (
    event_text,
    make_run,
    run_ids,
    seqs,
)
from justpipe_actors.testing.conformance.store_writes import make_chunk


def test_a_bad_row_hides_no_other(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each invalid row is skipped with a warning."""
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
    """A program that only has SQL gets one row for each event."""
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
