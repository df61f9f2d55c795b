"""The architecture page names modules and packages that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import justpipe_actors


ROOT = Path(__file__).parents[2]
PACKAGE = Path(justpipe_actors.__file__).parent


@pytest.mark.parametrize("page", ["docs/design/architecture.md", "CONTRIBUTING.md"])
def test_every_file_that_a_page_names_exists(page: str) -> None:
    """A path may leave out the folders of the package or of the tests."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w./]+(?:\.py|\.md|/))`", text))

    assert named
    assert [path for path in sorted(named) if not exists(path)] == []


def exists(path: str) -> bool:
    """Tell whether a file is in the repository, or below the package."""
    folders = (PACKAGE, ROOT, ROOT / "tests")
    return any((folder / path).exists() for folder in folders) or any(
        PACKAGE.rglob(path.rstrip("/"))
    )


def test_the_table_of_packages_is_complete() -> None:
    """Each package and public module of the first level is in the table."""
    text = (ROOT / "docs/design/architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Packages")[2].partition("## Ownership")[0]
    named = set(re.findall(r"`(\w+)`", table))
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert sorted(packages - named) == []
