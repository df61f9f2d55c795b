"""Random pipelines that wait, crashed at any point, under any schedule, in virtual time."""

from __future__ import annotations

import pytest

from justpipe_actors.abc import CommitMode
from justpipe_actors.testing.virtual_clock import Backend

from .model import Model, Report, try_model, without_threads


@pytest.mark.parametrize("mode", ["sync", "group"])
@pytest.mark.parametrize(
    ("seeds", "most"),
    [(range(4), 8), pytest.param(range(4, 40), 60, marks=pytest.mark.soak)],
    ids=["few", "many"],
)
def test_a_crash_at_any_point_changes_nothing(
    seeds: range,
    most: int,
    mode: CommitMode,
    loop_backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end is the same, no finished step runs again, no event number occurs twice."""
    report = Report()
    with without_threads(monkeypatch):
        for seed in seeds:
            for schedule in range(2):
                try_model(Model(seed, loop_backend, mode), schedule, most, report)

    assert report.problems == []
    assert report.cases
