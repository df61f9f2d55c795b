"""The tests of the command line need its extra."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from justpipe_actors import Event, Pipe
from justpipe_actors.codec import event_to_plain
from justpipe_actors.outcomes import PipelineTerminalStatus
from justpipe_actors.storage import OpenStatus, RunRecord, SQLiteBackend


collect_ignore_glob = [] if find_spec("click") and find_spec("rich") else ["*test_*.py"]

NOW = datetime.now(UTC)
STATUSES = {status.value: status for status in PipelineTerminalStatus} | {
    status.value: status for status in OpenStatus
}


@attrs.define
class Store:
    """A storage root for a test to fill."""

    root: Path
    """Where it is."""

    def pipeline(self, key: str, name: str, **more: Any) -> SQLiteBackend:
        """Add a pipeline and return its store."""
        folder = self.root / key
        store = SQLiteBackend(folder / "runs.db")
        described = {"nodes": {}, "topology": {}, **more, "name": name}
        (folder / "pipeline.json").write_text(json.dumps(described))
        return store

    def run(
        self, store: SQLiteBackend, run_id: str, hours: float = 0.0, **facts: Any
    ) -> RunRecord:
        """Add a run with a begin so long ago; it took a second unless it is open."""
        status = STATUSES[facts.pop("status", "success")]
        start = NOW - timedelta(hours=hours)
        if isinstance(status, OpenStatus):
            record = RunRecord(run_id, start, None, None, status, **facts)
            store.begin_run(record)
            return record
        second = timedelta(seconds=1)
        record = RunRecord(run_id, start, start + second, second, status, **facts)
        store.save_run(record)
        return record

    def record(self, pipe: Pipe[Any, Any], state: Any, key: str) -> str:
        """Run a pipe, store its events, and return the run's id."""

        async def collect() -> list[Event]:
            return [event async for event in pipe.run(state)]

        with redirect_stdout(StringIO()):
            events = anyio.run(collect)
        store = self.pipeline(key, **pipe.describe())
        end, run_id = events[-1].payload, str(events[0].run_id)
        start = datetime.fromtimestamp(events[0].timestamp, UTC)
        took = timedelta(seconds=end.duration_s)
        record = RunRecord(
            run_id,
            start,
            start + took,
            took,
            end.status,
            end.error,
            end.failed_step,
        )
        store.save_run(record, [json.dumps(event_to_plain(event)) for event in events])
        return run_id


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return the empty storage root that commands use by default."""
    monkeypatch.setenv("JUSTPIPE_ACTORS_STORAGE_PATH", str(tmp_path / "store"))
    return Store(tmp_path / "store")


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """Name the event loop."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the import path after each test."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process; return its status, its output and its errors."""
    from justpipe_actors.cli.main import main

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(list(arguments))
        out, err = capsys.readouterr()
        return status, out, err

    return run
