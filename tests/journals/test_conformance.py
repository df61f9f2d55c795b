"""Every journal keeps the promises of the interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from justpipe_actors.abc import Journal
from justpipe_actors.journals import MemoryJournal, SQLiteJournal
from justpipe_actors.testing.conformance import JOURNAL_CHECKS, check_journal


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_each_journal_passes_each_check(
    kind: str, check: Callable[[Journal], None], tmp_path: Path
) -> None:
    """SQLite files and memory behave the same."""
    path = tmp_path / "deep" / "runs.db"
    journal: Journal = MemoryJournal()
    if kind == "sqlite":
        journal = SQLiteJournal(path, fsync=False)
    try:
        check(journal)
    finally:
        journal.close()


def test_a_check_that_fails_is_named() -> None:
    """The error says which promise a journal breaks."""

    class Forgetful(MemoryJournal):
        def find(self, run_id: str) -> None:
            return None

    with pytest.raises(AssertionError) as caught:
        check_journal(Forgetful)
    assert "a_run_is_stored_once" in "".join(caught.value.__notes__)


def test_all_checks_run_at_once() -> None:
    """One call is enough for the author of a journal."""
    check_journal(MemoryJournal)
