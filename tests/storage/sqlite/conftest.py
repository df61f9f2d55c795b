"""The file of an SQLite store."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A path in a folder that does not exist yet."""
    return tmp_path / "root" / "hash" / "runs.db"
