"""A retried run ends as if nothing had failed, whichever function failed."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator

import anyio
import attrs
import pytest
from hypothesis import given, settings, strategies as st

from justpipe_actors import Supervisor
from justpipe_actors.abc import CommitMode
from justpipe_actors.outcomes import PipelineTerminalStatus

from ..crash import random_graphs
from .crash_model import RUN, CopyingJournal, final_state, journal_of


pytestmark = pytest.mark.filterwarnings("ignore")

SUCCESS = PipelineTerminalStatus.SUCCESS


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Silence the log of failing steps."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@attrs.define
class Calls:
    """Fails some functions at their first call."""

    share: float = 0.0
    """The share of the functions that fail."""
    rng: random.Random = attrs.field(factory=lambda: random.Random(0))
    seen: set[str] = attrs.field(factory=set)

    def __call__(self, name: str) -> None:
        """Count a call, or fail it."""
        if name not in self.seen:
            self.seen.add(name)
            if self.rng.random() < self.share:
                raise ValueError(name)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["sync", "group"])
@settings(max_examples=25)
@given(seed=st.integers(0, 1_000_000), share=st.sampled_from([0.1, 0.3]))
async def test_a_retried_run_ends_as_if_nothing_had_failed(
    mode: CommitMode, seed: int, share: float
) -> None:
    """The process may die between the failure and the end, or in the retry."""
    calls = Calls()
    graph = random_graphs.build(seed, lambda name: calls(name))
    plain = CopyingJournal(mode=mode)
    if await _end_of(graph, plain) is not SUCCESS or graph.stops:
        return  # it fails by itself, or its end depends on timing
    expected = final_state(graph.pipe, plain)

    calls = Calls(share, random.Random(seed))
    journal = CopyingJournal(mode=mode)
    status = await _end_of(graph, journal)
    calls.share = 0
    for copy in [*journal.copies[-4:-1], None]:
        found = journal if copy is None else journal_of(copy, mode=mode)
        if copy is not None:
            status = await _end_of(graph, found)
        if status is not SUCCESS:
            await _retry(graph, found)
            assert final_state(graph.pipe, found, "again") == expected


async def _end_of(
    graph: random_graphs.Graph, journal: CopyingJournal
) -> PipelineTerminalStatus:
    async with Supervisor(graph.pipe, journal=journal) as supervisor:
        run = await supervisor.submit(graph.pipe, {}, run_id=RUN)
        with anyio.fail_after(30):
            return (await run.wait()).status


async def _retry(graph: random_graphs.Graph, journal: CopyingJournal) -> None:
    async with Supervisor(graph.pipe, journal=journal) as supervisor:
        again = await supervisor.retry(RUN, new_id="again")
        with anyio.fail_after(30):
            end = await again.wait()
    assert end.status is SUCCESS, end
