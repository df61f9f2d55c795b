"""Programs that tests start: each ends with its test, or with the pytest that started it.

A test that fails while its program still waits would wait for it too, and a test that
hangs is ended together with pytest (pytest-timeout leaves by ``os._exit``), which runs
no ``finally``.  So the block kills the program, and the leash lets Linux do it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path


LEASH = """
import sys
if sys.platform == "linux":
    import ctypes, signal
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
"""
"""Opens the code of a program: it is killed when whoever started it is gone."""

_FILE = """
import runpy
from pathlib import Path
sys.argv = sys.argv[1:]
sys.path[0] = str(Path(sys.argv[0]).parent)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def code(text: str, *arguments: str) -> list[str]:
    """Return the command that runs code with these arguments and ends with pytest."""
    return [sys.executable, "-c", LEASH + text, *arguments]


def file(path: Path, *arguments: str) -> list[str]:
    """Return the command ``python FILE`` for a process that ends with pytest."""
    return code(_FILE, str(path), *arguments)


@contextmanager
def started(line: Sequence[str]) -> Generator[subprocess.Popen[str]]:
    """Start a program, read its output, and kill it if it outlives the block."""
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
