"""``compare`` explains differences that are greater than that of the whole run."""

from __future__ import annotations

import pytest

from justpipe_actors.cli.commands.compare import explanation
from justpipe_actors.observability import RunComparison


@pytest.mark.parametrize(
    ("steps", "is_explained"),
    [({}, False), ({"parse": 1.0}, False), ({"parse": -52.0, "rank": 1.0}, True)],
)
def test_times_that_overlap_are_explained(
    steps: dict[str, float], is_explained: bool
) -> None:
    """A map's worker can take 50 seconds longer in a run that took 2 seconds longer."""
    comparison = RunComparison("a", "b", "p", "p", 2.0, True, True, steps, [], [], 0)

    assert ("sum of its invocations" in explanation(comparison)) is is_explained
