"""Makes tests of the examples: Markdown code blocks, and ``>>>`` in docstrings.

Blocks of one page share their names, in order, like cells of a notebook.
Pseudo-code is fenced as ``text``; ``<!--- skip: next -->`` leaves out the next block.
"""

from __future__ import annotations

from doctest import ELLIPSIS
from pathlib import Path

from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser


ROOT = Path(__file__).parent

markdown = Sybil(
    path=str(ROOT),
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS), SkipParser()],
)

docstrings = Sybil(
    path=str(ROOT / "src"),
    patterns=["**/*.py"],
    document_types={".py": PythonDocStringDocument},
    parsers=[DocTestParser(optionflags=ELLIPSIS)],
)

pytest_collect_file = (markdown + docstrings).pytest()
