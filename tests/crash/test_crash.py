"""Processes that are killed with SIGKILL at each transaction of random pipelines.

The slice here takes less than a minute; ``nox -s crash`` tries thousands of cases.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(610)  # dozens of processes, each started anew


@pytest.mark.parametrize(
    "arguments",
    [
        ("0", "1", "asyncio", "sync"),
        pytest.param(("3", "4", "trio", "sync"), marks=pytest.mark.slow),
        ("4", "5", "trio", "group"),
        pytest.param(
            ("1", "2", "asyncio", "sync", "--waits", "--every", "5"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("8", "9", "trio", "group", "--waits", "--every", "8"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("4", "5", "asyncio", "sync", "--recoveries", "1"), marks=pytest.mark.slow
        ),
        pytest.param(
            ("3", "4", "trio", "sync", "--recoveries", "2", "--waits"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("4", "5", "trio", "sync", "--recoveries", "2", "--waits"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=" ".join,
)
def test_a_killed_run_goes_on_and_ends_as_without_a_crash(
    arguments: tuple[str, ...],
) -> None:
    """The end is the same, no finished step runs again, no event number occurs twice."""
    command = [sys.executable, "-m", "tests.crash.driver", *arguments]
    done = subprocess.run(
        command, capture_output=True, cwd=ROOT, text=True, check=False, timeout=600
    )
    found = json.loads(done.stdout.splitlines()[-1])

    assert found["problems"] == []
    assert found["cases"] > 0
    assert found["finished"] > 0 or "group" in arguments
