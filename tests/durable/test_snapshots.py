"""Intermediate snapshots do not change the recovered run."""

from __future__ import annotations

from typing import Any

import pytest

from justpipe_actors._engine import batch_stream

from .crash_model import CopyingJournal, journal_of, run_through
from .test_recovery import mixed


@pytest.mark.parametrize("every", [1, 2, 3])
async def test_a_run_with_many_snapshots_recovers_the_same(
    monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """Rows before the last snapshot are no longer needed."""
    monkeypatch.setattr(batch_stream, "SNAPSHOT_EVERY", every)
    executed: list[str] = []
    pipe: Any = mixed(executed)
    journal = CopyingJournal()
    plain = await run_through(pipe, journal, {}, executed)

    for number, copy in enumerate(journal.copies):
        again = await run_through(pipe, journal_of(copy), {}, executed)
        assert again.summary == plain.summary, number
    row = journal.find("run")
    assert row is not None
    kinds = {commit.kind for commit in journal.commits(row.id)}
    assert "snapshot" in kinds
