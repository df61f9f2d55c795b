"""The check of the built site finds links that lead nowhere."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


SCRIPT = Path(__file__).parents[2] / "docs" / "_site" / "check.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    """Import the script."""
    spec = importlib.util.spec_from_file_location("site_check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def problems(check: ModuleType, folder: Path) -> list[str]:
    """Check every page of a folder."""
    pages = {file: check.Page(file) for file in folder.rglob("*.html")}
    return [one for page in pages.values() for one in check.problems_of(page, pages)]


def test_a_whole_site_has_no_problem(check: ModuleType, tmp_path: Path) -> None:
    """Links to pages, anchors, pictures and other sites are in order."""
    (tmp_path / "picture.png").touch()
    (tmp_path / "a.html").write_text(
        '<a href="b.html#part">b</a> <a href="#top">up</a> <h1 id="top">A</h1>'
        '<img src="picture.png"> <a href="https://example.org/x#y">away</a>'
        '<link rel="canonical" href="https://example.org/a.html">'
    )
    (tmp_path / "b.html").write_text('<h2 id="part">B</h2>')

    assert problems(check, tmp_path) == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<a href="c.html">c</a>', "c.html leads to no file"),
        ('<a href="#part">part</a>', "#part leads to no anchor"),
        ('<a href="a.html#part">part</a>', "a.html#part leads to no anchor"),
        ('<img src="no.png">', "no.png leads to no file"),
        (
            '<script src="https://cdn.example.org/x.js"></script>',
            "loads https://cdn.example.org/x.js",
        ),
        (
            '<link rel="stylesheet" href="//fonts.example.org/f.css">',
            "loads //fonts.example.org/f.css",
        ),
    ],
)
def test_a_missing_target_is_found(
    check: ModuleType, tmp_path: Path, html: str, problem: str
) -> None:
    """A missing page, anchor or picture is found, and a file from another site."""
    (tmp_path / "a.html").write_text(html)

    assert problems(check, tmp_path) == [problem]
