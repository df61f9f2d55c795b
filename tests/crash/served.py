"""A daemon with a journal, for signals: ``python -m tests.crash.served JOURNAL BACKEND``."""

from __future__ import annotations

import logging
import sys
from typing import Any

import anyio

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.daemon import serve
from justpipe_actors.journals import SQLiteJournal


async def main(path: str) -> None:
    """Submit a run that does not end by itself, and serve."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="served")

    @pipe.step("endless")
    async def endless(state: dict[str, Any]) -> None:
        sys.stdout.write("began\n")
        sys.stdout.flush()
        await anyio.sleep_forever()

    journal = SQLiteJournal(path, fsync=False)
    async with Supervisor(pipe, journal=journal, grace=60) as supervisor:
        await supervisor.submit(pipe, {}, run_id="run")
        report = await serve(supervisor)
        sys.stdout.write(f"released {' '.join(report.released)}\n")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    anyio.run(main, sys.argv[1], backend=sys.argv[2])
