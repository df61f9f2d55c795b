from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers find the functions of this folder by the names they have here."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
