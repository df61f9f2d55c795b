"""Random pipelines of all kinds of nodes recover from a crash after each commit."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings, strategies as st

from justpipe_actors.abc import CommitMode

from ..crash import random_graphs
from .crash_model import CopyingJournal, Ended, journal_of, run_through


pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Silence the log of failing steps."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["sync", "group"])
@settings(max_examples=8)
@given(seed=st.integers(0, 1_000_000))
@example(seed=524_288)  # Stop, while a join with a timeout waits
async def test_a_crash_after_any_commit_does_not_change_the_end(
    mode: CommitMode, seed: int
) -> None:
    """Status, errors and state are those of an uninterrupted run."""
    executed: list[str] = []
    graph = random_graphs.build(seed, executed.append)
    journal = CopyingJournal(mode=mode)
    plain = await run_through(graph.pipe, journal, {}, executed)

    for number, copy in enumerate(journal.copies):
        found = journal_of(copy, mode=mode)
        again = await run_through(graph.pipe, found, {}, executed)
        if not _is_same(graph, again, plain):
            other = CopyingJournal(mode=mode)
            repeated = await run_through(graph.pipe, other, {}, executed)
            if repeated.summary != plain.summary:
                return  # its end depends on timing
        assert _is_same(graph, again, plain), (number, again.summary, plain.summary)


def _is_same(graph: random_graphs.Graph, one: Ended, other: Ended) -> bool:
    if graph.ends_early:
        return one.end.status is other.end.status
    return one.summary == other.summary
