"""A run that is only waited for does the same as a run that is read, on random graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from tests.properties.test_invariants import check

from justpipe_actors import Event, EventType, Supervisor
from justpipe_actors.types import PipelineEndData

from .strategies import Sketch, build, sketches, tapes


pytestmark = [
    pytest.mark.virtual_time,  # a run that hangs is a deadlock, at once
    pytest.mark.filterwarnings("ignore"),
]

relaxed = settings(
    max_examples=60, suppress_health_check=list(HealthCheck), deadline=None
)


def outcome(end: PipelineEndData) -> Any:
    """Return the part of an end that does not depend on time or readers."""
    metrics = end.metrics
    assert metrics is not None
    return (
        end.status,
        [(one.step, one.kind, str(one.error)) for one in end.errors],
        metrics.events,
        metrics.maps,
        metrics.tasks,
        {step: timing.count for step, timing in metrics.step_latency.items()},
        {join: (row.waits, row.releases) for join, row in metrics.barriers.items()},
        end.diagnostics,
    )


def counts(events: list[Event]) -> dict[str, int]:
    """Return the number of events of each type, without FINISH."""
    own = Counter(event.type.value for event in events[:-1])
    return dict(own)


async def read(events: AsyncIterator[Event], into: list[Event]) -> None:
    """Read to the end."""
    async for event in events:
        into.append(event)


@relaxed
@given(sketch=sketches())
async def test_an_unread_run_ends_as_a_read_one_does(sketch: Sketch) -> None:
    """Same status, failures, counts and diagnostics, alone and in a supervisor."""
    sketch = attrs.evolve(sketch, queue_size=0)
    events: list[Event] = []
    with anyio.fail_after(20):
        async with build(sketch, iter([])).run({}) as run:
            await read(run, events)
        waited = await build(sketch, iter([])).run({}).wait()
        async with Supervisor() as supervisor:
            kept = await supervisor.run(build(sketch, iter([])), {}).wait()

    expected = outcome(events[-1].payload)
    assert outcome(waited) == expected
    assert outcome(kept) == expected


@relaxed
@given(sketch=sketches(), tape=tapes)
async def test_a_listener_sees_all_of_an_unread_run(
    sketch: Sketch, tape: list[int]
) -> None:
    """It gets every event with the number that it has in a read run, and FINISH."""
    pipe, events = build(sketch, iter(tape)), list[Event]()
    with anyio.fail_after(20):
        async with (
            Supervisor() as supervisor,
            anyio.create_task_group() as tasks,
            supervisor.run(pipe, {}) as run,
        ):
            tasks.start_soon(read, supervisor.listen(run.run_id), events)
            end = await run.wait()

    check(events, aborted=sketch.on_failure == "stop")
    assert events[-1].payload is end
    assert end.metrics is not None
    assert counts(events) == end.metrics.events
    assert all(event.type is not EventType.GAP for event in events)
