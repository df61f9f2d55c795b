"""The tests of the dashboard need its extra."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from .store import Store


collect_ignore_glob = [] if find_spec("starlette") else ["test_*.py"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty storage root for real runs."""
    return Store(tmp_path)
