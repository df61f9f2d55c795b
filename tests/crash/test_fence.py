"""A worker that is stopped for longer than its lease cannot write when it goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from justpipe_actors.journals import SQLiteJournal


ROOT = Path(__file__).parents[2]


def _wait_for(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_commit_of_a_stopped_worker_is_refused(
    tmp_path: Path, backend: str
) -> None:
    """The other worker has the run; one end is stored, and the first one reports the loss."""
    journal, gate, said = (tmp_path / name for name in ("j.db", "gate", "said"))
    command = [sys.executable, "-m", "tests.crash.worker"]
    command += [str(journal), str(gate), str(said), backend]

    def words() -> list[str]:
        return said.read_text().splitlines() if said.exists() else []

    one = subprocess.Popen(command, cwd=ROOT)
    two = None
    try:
        _wait_for(lambda: words() == [f"began {one.pid}"])
        one.send_signal(signal.SIGSTOP)
        two = subprocess.Popen(command, cwd=ROOT)
        _wait_for(lambda: f"began {two.pid}" in words())
        gate.touch()
        _wait_for(lambda: f"success {two.pid}" in words())
        one.send_signal(signal.SIGCONT)
        _wait_for(lambda: f"released {one.pid}" in words())
        assert [one.wait(30), two.wait(30)] == [0, 0]
    finally:
        for process in (one, two):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()

    kept = SQLiteJournal(journal)
    row = kept.find("run")
    assert row is not None
    assert row.status == "success"
    rows = kept.commits(row.id)
    kept.close()
    assert [one_row.kind for one_row in rows].count("end") == 1
    assert f'"by":{two.pid}' in "".join(one_row.state or "" for one_row in rows)
