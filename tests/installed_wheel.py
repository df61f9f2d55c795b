"""Checks of an installed wheel: run the quickstart of a README on both event loops.

A script and no test, because its environment has the wheel and its dependencies only::

    python -I tests/installed_wheel.py README.md
"""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import metadata, requires
from importlib.resources import files
from pathlib import Path


EXPECTED = "4 words, names: Ada, Grace\n"
ASSETS = ("py.typed", "dashboard/static/shell.html", "dashboard/static/app.css")


def quickstart_of(readme: Path) -> str:
    """Return the first Python block of a page."""
    found = re.search(r"```python\n(.*?)```", readme.read_text("utf-8"), re.DOTALL)
    assert found is not None, f"{readme} has no Python block"
    return found.group(1)


def output_of(program: str) -> str:
    """Run a program in a Python of its own; return what it prints."""
    command = [sys.executable, "-I", "-W", "error", "-c", program]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Check assets, metadata and the quickstart."""
    package = files("justpipe_actors")
    assert "site-packages" in str(package), f"{package} is not an installed wheel"
    missing = [name for name in ASSETS if not package.joinpath(name).is_file()]
    assert not missing, f"the wheel lacks {missing}"
    assert any("extra ==" in one for one in requires("justpipe_actors") or ())
    description = metadata("justpipe_actors")["Description"]
    assert "](docs/" not in description, "the description has relative links"
    program = quickstart_of(Path(sys.argv[1]))
    on_trio = program.replace("anyio.run(main)", "anyio.run(main, backend='trio')")
    assert on_trio != program, "the quickstart does not call anyio.run(main)"
    for text in (program, on_trio):
        printed = output_of(text)
        assert printed == EXPECTED, f"the quickstart printed {printed!r}"


if __name__ == "__main__":
    main()
