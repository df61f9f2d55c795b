"""Finding pipelines and runs below a storage root."""

from __future__ import annotations

import json
import logging
import sqlite3
from pathlib import Path

import pytest

from justpipe_actors.errors import AmbiguousRunError
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.records import RunQuery, RunRecord
from justpipe_actors.storage import PipelineRegistry, SQLiteBackend, storage_root
from justpipe_actors.testing.conformance.samples import event_text, make_run


def fill(root: Path, folder: str, *runs: RunRecord, name: str | None = None) -> None:
    """Store runs of one pipeline."""
    store = SQLiteBackend(root / folder / "runs.db")
    for run in runs:
        store.save_run(run, [event_text(1)])
    store.close()
    if name is not None:
        description = json.dumps({"name": name})
        (root / folder / "pipeline.json").write_text(description)


def ids(registry: PipelineRegistry, name: str | None = None) -> list[str]:
    """List the runs' ids."""
    return [one.run.run_id for one in registry.list_all_runs(name)]


def test_a_missing_root_is_empty(tmp_path: Path) -> None:
    """Nothing is found, and nothing is created."""
    registry = PipelineRegistry(tmp_path / "no" / "root")

    assert registry.list_pipelines() == []
    assert ids(registry) == []
    assert registry.resolve_run("r") is None
    assert registry.describe_pipeline("h") is None
    assert list(tmp_path.iterdir()) == []


def test_runs_of_all_pipelines_are_merged(tmp_path: Path) -> None:
    """The newest come first, whatever their pipeline; names and statuses restrict."""
    failed = PipelineTerminalStatus.FAILED
    fill(tmp_path, "h1", make_run("a", minute=1), make_run("c", minute=3), name="one")
    fill(tmp_path, "h2", make_run("b", minute=2, status=failed), name="two")
    registry = PipelineRegistry(str(tmp_path))

    pipelines = [(one.name, one.hash) for one in registry.list_pipelines()]
    assert pipelines == [("one", "h1"), ("two", "h2")]
    assert ids(registry) == ["c", "b", "a"]
    assert ids(registry, "one") == ["c", "a"]
    assert ids(registry, "ONE") == []
    newest = registry.list_all_runs(limit=1)[0]
    assert (newest.pipeline_name, newest.pipeline_hash) == ("one", "h1")
    bad = registry.list_all_runs(status=failed)
    assert [one.run.run_id for one in bad] == ["b"]
    summaries = registry.summarize_runs(RunQuery())
    assert [(info.name, figures.total) for info, figures in summaries] == [
        ("one", 2),
        ("two", 1),
    ]
    assert registry.describe_pipeline("h2") == {"name": "two"}


def test_a_broken_pipeline_hides_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A corrupt database and an invalid description affect only their pipeline."""
    fill(tmp_path, "good", make_run("r"), name="fine")
    fill(tmp_path, "list", make_run("s"))
    (tmp_path / "list" / "pipeline.json").write_text("[]")
    fill(tmp_path, "noname", make_run("t"))
    (tmp_path / "noname" / "pipeline.json").write_text('{"name": 3}')
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "runs.db").write_bytes(b"\xff" * 2000)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a file").write_text("")
    registry = PipelineRegistry(tmp_path)

    with caplog.at_level(logging.WARNING, "justpipe_actors.storage"):
        assert sorted(ids(registry)) == ["r", "s", "t"]
        found = registry.resolve_run("r")

    assert {one.name for one in registry.list_pipelines()} == {
        "bad",
        "fine",
        "list",
        "noname",
    }
    assert found is not None
    assert "Skipped the store" in caplog.text
    assert registry.describe_pipeline("list") is None
    with pytest.raises(sqlite3.DatabaseError):
        registry.get_backend("bad").list_runs()


def test_a_run_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    """An exact id has priority; a prefix of several ids is an error."""
    fill(tmp_path, "h1", make_run("abc"), make_run("abcdef"), name="one")
    fill(tmp_path, "h2", make_run("abx"), name="two")
    registry = PipelineRegistry(tmp_path)

    def resolved(prefix: str) -> str | None:
        found = registry.resolve_run(prefix)
        return None if found is None else found[0].run.run_id

    assert resolved("abc") == "abc"
    assert resolved("abcd") == "abcdef"
    assert resolved("abx") == "abx"
    assert [resolved(nothing) for nothing in ("", "%", "zz")] == [None, None, None]
    with pytest.raises(AmbiguousRunError, match="Ambiguous") as caught:
        registry.resolve_run("ab")
    assert set(caught.value.candidates) == {"abc", "abcdef", "abx"}


def test_a_found_run_comes_with_its_store(tmp_path: Path) -> None:
    """Its events can be read from that store."""
    fill(tmp_path, "h1", make_run("abc"))
    found = PipelineRegistry(tmp_path).resolve_run("a")

    assert found is not None
    run, store = found
    assert [event.seq for event in store.get_events(run.run.run_id)] == [1]


def test_a_hash_is_no_path(tmp_path: Path) -> None:
    """A hash with dots or slashes leads to no folder outside of the root."""
    registry = PipelineRegistry(tmp_path)

    for path in ("..", "../x", "/etc", "a/b"):
        with pytest.raises(ValueError, match="no pipeline hash"):
            registry.get_backend(path)


def test_the_root_is_looked_up_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable has priority, ``~`` is expanded, and empty means the data directory."""
    variable = "JUSTPIPE_ACTORS_STORAGE_PATH"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv(variable, "~/runs")
    assert storage_root() == tmp_path / "runs"
    assert PipelineRegistry().storage_dir == tmp_path / "runs"

    monkeypatch.setenv(variable, "")
    assert storage_root().name == "justpipe_actors"
    assert tmp_path in storage_root().parents
