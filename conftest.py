"""Makes tests of the examples: Markdown code blocks, and ``>>>`` in docstrings.

Blocks of one page share their names, in order, like cells of a notebook.
Pseudo-code is fenced as ``text``; ``<!--- skip: next -->`` leaves out the next block.
"""

from __future__ import annotations

import os
import re
import sys
from doctest import ELLIPSIS
from pathlib import Path
from types import ModuleType
from typing import Any

from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser


ROOT = Path(__file__).parent

# What tests expect of a terminal does not depend on the one that pytest runs in.
for name in (
    "CLICOLOR_FORCE",
    "COLUMNS",
    "FORCE_COLOR",
    "LINES",
    "NO_COLOR",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
):
    os.environ.pop(name, None)

PROGRAM = re.compile(r"```python\n(# desk\.py\n.*?)```", re.DOTALL)
"""The program of a chapter of the tutorial."""


def load_program(page: str) -> None:
    """Make the program of a chapter the module ``desk``, which later chapters import."""
    text = (ROOT / "docs" / "tutorial" / page).read_text(encoding="utf-8")
    found = PROGRAM.search(text)
    assert found is not None, page
    module = sys.modules["desk"] = ModuleType("desk")
    exec(compile(found[1], page, "exec"), module.__dict__)


def provide(namespace: dict[str, Any]) -> None:
    """Give the invisible blocks of a page what they call."""
    namespace["load_program"] = load_program


markdown = Sybil(
    path=str(ROOT),
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS), SkipParser()],
    setup=provide,
)

docstrings = Sybil(
    path=str(ROOT / "src"),
    patterns=["**/*.py"],
    document_types={".py": PythonDocStringDocument},
    parsers=[DocTestParser(optionflags=ELLIPSIS)],
)

pytest_collect_file = (markdown + docstrings).pytest()
