"""A worker for ``test_fence``: it begins a run, waits for a file, and reports the end.

::

    python -m tests.crash.worker JOURNAL GATE SAID BACKEND
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import anyio

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import RunReleased
from justpipe_actors.journals import SQLiteJournal


def build(gate: Path, said: Path) -> Pipe[Any, Any]:
    """Return a pipe with a step that waits for a file."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="fenced")

    @pipe.step("slow", to="last")
    async def slow(state: dict[str, Any]) -> None:
        with said.open("a") as file:
            file.write(f"began {os.getpid()}\n")
        while not gate.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
            await anyio.sleep(0.01)
        state["by"] = os.getpid()

    @pipe.step("last")
    async def last(state: dict[str, Any]) -> None:
        state["last"] = True

    return pipe


async def main(journal: str, gate: str, said: str) -> None:
    """Submit the run and wait for its end."""
    pipe = build(Path(gate), Path(said))
    kept = SQLiteJournal(journal, fsync=False, lease=1.0)
    async with Supervisor(pipe, journal=kept) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="run")
        try:
            end = await run.wait()
            word = end.status.value
        except RunReleased:
            word = "released"
        with Path(said).open("a") as file:  # noqa: ASYNC230 - a line
            file.write(f"{word} {os.getpid()}\n")


if __name__ == "__main__":
    journal_path, gate_path, said_path, loop = sys.argv[1:5]
    anyio.run(main, journal_path, gate_path, said_path, backend=loop)
