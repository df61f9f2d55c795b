"""A daemon that gets a signal releases its durable runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from justpipe_actors.journals import SQLiteJournal


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_two_signals_release_a_run_that_does_not_finish(
    tmp_path: Path, backend: str
) -> None:
    """After the first one it waits for the step, after the second it releases the run."""
    path = tmp_path / "j.db"
    command = [sys.executable, "-m", "tests.crash.served", str(path), backend]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout is not None
        assert daemon.stderr is not None
        assert daemon.stdout.readline() == "began\n"
        daemon.send_signal(signal.SIGTERM)
        for line in daemon.stderr:
            if "draining" in line:
                break
        daemon.send_signal(signal.SIGTERM)
        out, _ = daemon.communicate(timeout=30)

    assert daemon.returncode == 0
    assert out == "released run\n"
    journal = SQLiteJournal(path)
    row = journal.find("run")
    journal.close()
    assert row is not None
    assert row.status == "ready"
    assert row.worker is None
