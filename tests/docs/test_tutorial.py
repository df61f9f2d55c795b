"""The tests that the tutorial writes pass when a reader runs them with pytest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


CHAPTERS = sorted((Path(__file__).parents[2] / "docs" / "tutorial").glob("*.md"))

FILE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block that begins with the name of its file."""


def files_until(chapter: Path) -> dict[str, str]:
    """Return what a reader has after a chapter: the last text of each file."""
    read = CHAPTERS[: CHAPTERS.index(chapter) + 1]
    return dict(block for one in read for block in FILE.findall(one.read_text("utf-8")))


def with_tests() -> list[Path]:
    """Return the chapters that write a file of tests."""
    return [one for one in CHAPTERS if "\n# test_" in one.read_text("utf-8")]


@pytest.mark.slow
@pytest.mark.parametrize("chapter", with_tests(), ids=lambda one: one.stem)
def test_the_tests_of_a_chapter_pass(chapter: Path, tmp_path: Path) -> None:
    """With pytest alone: no setting and no other plugin makes them run."""
    pytest.importorskip("starlette", reason="a chapter has a page for a browser")
    files = files_until(chapter)
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    own = [name for name, _ in FILE.findall(chapter.read_text("utf-8"))]

    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    tests = [name for name in own if name.startswith("test_")]
    done = subprocess.run((*command, *tests), cwd=tmp_path, capture_output=True)

    assert done.returncode == 0, done.stdout.decode()
