"""Records examples as pictures of a terminal: ``python tests/examples/pictures.py``.

Each example runs as a program, and what it prints is drawn by rich as SVG.  The pictures
are in the repository, so that pages show them; run this again when an output changes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text


EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"

PICTURED = ("20_retrieval", "21_agent", "23_crawler", "24_nightly_report")

ELSEWHERE = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
"""Fonts that a browser would load from elsewhere; each has a monospaced font itself."""

WIDTH = 92


def record(name: str) -> str:
    """Run an example and return the picture of its output."""
    program = EXAMPLES / name / "main.py"
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=True
    )
    console = Console(record=True, width=WIDTH, file=StringIO())
    console.print(Text.assemble(("$ ", "bold green"), f"python {name}/main.py"))
    for line in done.stdout.rstrip().splitlines():
        console.print(line, markup=False, emoji=False, highlight=True)
    drawn = console.export_svg(title=name, unique_id=f"example-{name[:2]}")
    return ELSEWHERE.sub("", drawn)


if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURED:
        target = EXAMPLES / name / "terminal.svg"
        target.write_text(record(name), encoding="utf-8")
        sys.stdout.write(f"{target}\n")
