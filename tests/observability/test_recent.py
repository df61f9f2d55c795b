"""What observers remember of runs, and that it does not grow."""

from __future__ import annotations

import pytest

from justpipe_actors.errors import UnknownRunError
from justpipe_actors.observability import recent
from justpipe_actors.observability.recent import RecentRuns


def test_only_the_newest_ended_runs_stay() -> None:
    """Of the ended runs the last few are remembered, of the live ones all."""
    runs: RecentRuns[list[str]] = RecentRuns(list, keep=2)
    for name in "abcde":
        runs.begin(name).append(name)
    for name in "abcd":
        runs.end(name)

    assert list(runs) == ["c", "d", "e"]
    assert runs.for_run("c") == ["c"]
    assert runs.latest() == ["e"]
    assert "a" not in runs
    with pytest.raises(UnknownRunError, match="No run 'a' is remembered"):
        runs.for_run("a")


def test_runs_that_never_end_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose end was never heard is forgotten in the end."""
    monkeypatch.setattr(recent, "MOST_LIVE", 3)
    runs: RecentRuns[list[str]] = RecentRuns(list)
    for number in range(100):
        runs.begin(str(number))

    assert list(runs) == ["97", "98", "99"]


def test_a_run_that_begins_again_begins_anew() -> None:
    """Nothing of an earlier run with the same id is left."""
    runs: RecentRuns[list[str]] = RecentRuns(list)
    runs.begin("a").append("old")
    runs.end("a")
    runs.end("never heard of")

    assert runs.begin("a") == []
    assert len(runs) == 1
