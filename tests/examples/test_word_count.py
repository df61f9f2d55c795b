"""The example that counts words: the same result in every placement."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


MAIN = (
    Path(__file__).resolve().parents[2] / "docs" / "examples" / "word_count" / "main.py"
)


def output_of(folder: Path, backend: str, *placements: str) -> list[str]:
    """Run the program on two small files, and return its lines."""
    (folder / "a.txt").write_text("to be or not to be", encoding="utf-8")
    (folder / "b.txt").write_text("To err is human", encoding="utf-8")
    line = [sys.executable, str(MAIN), str(folder), "--backend", backend]
    done = subprocess.run(
        [*line, "--placements", *placements],
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_it_counts_the_same_everywhere(
    tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """The results on the loop, in a thread and in processes are equal."""
    placements = ("here", "thread", "process")

    lines = output_of(tmp_path, anyio_backend[0], *placements)

    assert [line.split()[0] for line in lines[:-1]] == list(placements)
    assert all(line.endswith("10 words") for line in lines[:-1])
    assert lines[-1] == "all the same"


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs the extra [ray]"
)
def test_it_counts_the_same_on_ray(tmp_path: Path) -> None:
    """A cluster that is started for the program gives the same result."""
    lines = output_of(tmp_path, "trio", "here", "ray")

    assert lines[-1] == "all the same"
