"""``tail`` of a run in another process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ...programs import started
from .test_run import program, target


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX here"),
]


def read_until(process: subprocess.Popen[str], kind: str) -> None:
    """Read events up to one of a kind."""
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["type"] == kind:
            return
    pytest.fail(f"it ended without {kind}: {process.stderr and process.stderr.read()}")


def test_a_run_is_followed_to_its_end(backend: str, tmp_path: Path) -> None:
    """Its events are shown while it runs, from the beginning on."""
    storage = ("--storage", str(tmp_path))
    with started(
        program("run", target("waiting"), *storage, "--backend", backend)
    ) as run:
        read_until(run, "token")
        with started(program("tail", "--wait", *storage)) as tail:
            read_until(tail, "token")
            run.send_signal(signal.SIGINT)
            out, _ = tail.communicate()

    last = json.loads(out.splitlines()[-1])
    assert last["type"] == "finish"
    assert last["payload"]["status"] == "cancelled"
    assert tail.returncode == 1


def test_ctrl_c_ends_only_the_tail(tmp_path: Path) -> None:
    """The status is 130, and the run goes on."""
    storage = ("--storage", str(tmp_path))
    with started(program("run", target("waiting"), *storage)) as run:
        read_until(run, "token")
        with started(program("tail", "--wait", *storage)) as tail:
            read_until(tail, "token")
            tail.send_signal(signal.SIGINT)
            _, err = tail.communicate()
        assert run.poll() is None

    assert tail.returncode == 130
    assert "the run goes on" in err
    assert "Traceback" not in err


def test_a_killed_run_is_noticed(tmp_path: Path) -> None:
    """The tail reports that the process of the run has ended."""
    storage = ("--storage", str(tmp_path))
    with started(program("run", target("waiting"), *storage)) as run:
        read_until(run, "token")
        with started(program("tail", "--wait", *storage)) as tail:
            read_until(tail, "token")
            run.kill()
            run.wait()
            _, err = tail.communicate()

    assert tail.returncode == 1
    assert "abandoned: The process that ran it is gone" in err
