"""Programs that use Ray and have no cluster: one is started for them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from ..programs import file, started


pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs the extra [ray]", allow_module_level=True)


SCRIPT = """
import sys
import anyio
import ray
from justpipe_actors import Pipe, Supervisor

pipe = Pipe(dict)

class Point:
    x = 1

@pipe.step(placement="ray")
def work(state):
    state["point"] = Point()

async def main():
    state = {}
    async with Supervisor():
        end = await pipe.run(state).wait()
        during = ray.is_initialized()
    print(isinstance(state["point"], Point), end.error, during, ray.is_initialized())

anyio.run(main, backend=sys.argv[1])
"""


def test_a_local_cluster_is_started_and_stopped(
    tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """Without a cluster one is started with the first step, and ends with its owner."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")

    with started([*file(script, anyio_backend[0])]) as process:
        out, err = process.communicate(timeout=250)

    assert "True None True False" in out, err
