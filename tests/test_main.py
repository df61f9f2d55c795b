"""``python -m justpipe_actors`` with the extra and without it."""

from __future__ import annotations

import subprocess
import sys


WITHOUT = """
import sys
sys.modules[{module!r}] = None
from justpipe_actors.__main__ import (main)
main()
"""


def test_a_missing_extra_is_reported_in_a_sentence() -> None:
    """Without click the command names what to install, and its status is 2."""
    code = WITHOUT.format(module="click")

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "pip install 'justpipe_actors[cli]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_another_missing_module_is_raised() -> None:
    """The error of any other module is not taken for a missing extra."""
    code = WITHOUT.format(module="justpipe_actors.cli.main")

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
