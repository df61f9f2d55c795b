"""Worker processes end with their owner, whatever they do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ..programs import file, started


pytestmark = pytest.mark.slow

OWNER = """
import os
import sys
from pathlib import Path
import anyio
from justpipe_actors import Pipe

pipe = Pipe(dict)

@pipe.step(placement="process")
def work(state):
    Path(state["folder"], str(os.getpid())).touch()
    while True:
        sum(range(10_000))

async def main():
    await pipe.run({"folder": sys.argv[1]}).wait()

if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[2])
"""


def is_running(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return fields.rpartition(")")[2].split()[0] != "Z"


def worker_in(folder: Path) -> int:
    """Wait until a worker is in its computation, and return its id."""
    end = time.monotonic() + 40
    while time.monotonic() < end:
        for path in folder.iterdir():
            return int(path.name)
        time.sleep(0.02)
    msg = "No worker has begun."
    raise AssertionError(msg)


def is_gone_within(pid: int, seconds: float) -> bool:
    """Wait for the end of a process."""
    end = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_running(pid)


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_a_worker_ends_with_its_owner(
    how: str, tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """When the owner is killed, a worker that computes without a pause ends."""
    folder = tmp_path / "begun"
    folder.mkdir()
    script = tmp_path / "owner.py"
    script.write_text(OWNER, encoding="utf-8")

    with started(file(script, str(folder), anyio_backend[0])) as owner:
        worker = worker_in(folder)
        assert is_running(worker)
        getattr(owner, how)()
        owner.wait(30)

    assert is_gone_within(worker, 30)
