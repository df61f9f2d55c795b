"""Several processes share the runs of one journal file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from justpipe_actors.abc import RunFilter
from justpipe_actors.journals import SQLiteJournal

from .crowd import SHARED


ROOT = Path(__file__).parents[2]
RUNS = 10
STEPS = ["first", "fan", "item0", "item1", "item2", "last"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_three_processes_run_each_step_of_each_run_once(
    tmp_path: Path, backend: str
) -> None:
    """A lock for longer than SQLite waits is an error that no caller gets."""
    journal, log = tmp_path / "j.db", tmp_path / "log"
    SQLiteJournal(journal).open()
    command = [sys.executable, "-m", "tests.crash.crowd", str(journal), str(log)]
    processes = [
        subprocess.Popen(
            [*command, name, str(RUNS), backend],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b", "c")
    ]
    try:
        while not log.exists():
            assert any(one.poll() is None for one in processes)
            time.sleep(0.05)
        holder = sqlite3.connect(journal, timeout=30)
        holder.execute("BEGIN IMMEDIATE")
        time.sleep(1.5)
        holder.close()
        errors = [one.communicate(timeout=120)[1] for one in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
    assert [one.returncode for one in processes] == [0, 0, 0], errors
    assert "Traceback" not in "".join(errors)

    names = [f"{name}-{number}" for name in "abc" for number in range(RUNS)]
    names += [f"shared-{number}" for number in range(SHARED)]
    expected = Counter(f"{name} {step}" for name in names for step in STEPS)
    assert Counter(log.read_text().splitlines()) == expected
    kept = SQLiteJournal(journal)
    assert {one.status for one in kept.runs(RunFilter())} == {"success"}
    kept.close()
