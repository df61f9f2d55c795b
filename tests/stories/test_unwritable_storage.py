"""Runs go on when they cannot be stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..helpers import (
    SUCCESS,
    end_of,
    event_words,
    idle_chain,
    run_pipe,
)


# -- storage that cannot be written


@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_a_run_that_cannot_be_stored_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The storage path is no directory; the log has the reason."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("JUSTPIPE_ACTORS_STORAGE_PATH", str(blocked / "store"))
    pipe = idle_chain("a", "b", persist=True)
    events = await run_pipe(pipe)
    warned = [
        record
        for record in caplog.records
        if record.name == "justpipe_actors.persistence"
    ]

    assert end_of(events).status is SUCCESS
    assert event_words(events)[-2] == "STEP_END b"
    assert warned
    assert all(record.levelname == "WARNING" for record in warned)


@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_a_store_that_is_a_dangling_symlink_is_not_created(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another user may have made the link; the run goes on without its store."""
    elsewhere = tmp_path / "elsewhere.db"
    pipe = idle_chain("a", "b", storage=tmp_path / "store")
    folder = tmp_path / "store" / pipe.pipeline_hash
    folder.mkdir(parents=True)
    (folder / "runs.db").symlink_to(elsewhere)
    events = await run_pipe(pipe)

    assert end_of(events).status is SUCCESS
    assert not elsewhere.exists()
    assert "symlink" in caplog.text
