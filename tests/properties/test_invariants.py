"""Invariants of every event stream, for random graphs and schedules."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings, strategies as st

from justpipe_actors import Event, EventType
from justpipe_actors.types import PipelineTerminalStatus

from .strategies import Sketch, build, sketches, tapes


pytestmark = pytest.mark.virtual_time  # a run that hangs is a deadlock, at once

TERMINAL = (EventType.STEP_END, EventType.STEP_ERROR, EventType.CANCELLED)
relaxed = settings(
    max_examples=120, suppress_health_check=list(HealthCheck), deadline=None
)


def check(events: list[Event], *, aborted: bool) -> None:
    """Check the invariants that hold for every stream that was read to its end."""
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert len({e.run_id for e in events}) == 1
    finishes = [e for e in events if e.type is EventType.FINISH and e.stage == "system"]
    assert finishes == [events[-1]]
    assert events[0].type is EventType.START
    check_invocations(events, aborted=aborted)
    check_maps(events)


def check_invocations(events: list[Event], *, aborted: bool) -> None:
    """Check that each invocation starts once, and ends at most once, after its other events."""
    open_now: set[tuple[Any, Any]] = set()
    superseded = {
        e.parent_invocation_id
        for e in events
        if e.type is EventType.STEP_START and e.attempt > 1
    }
    for event in events:
        key = (event.origin_run_id, event.invocation_id)
        if event.type is EventType.STEP_START:
            assert key not in open_now
            open_now.add(key)
        elif event.type in TERMINAL and event.invocation_id is not None:
            assert key in open_now
            open_now.discard(key)
        elif event.type in (EventType.TOKEN, EventType.SUSPEND):
            # The handler of a join that waited too long speaks for no invocation.
            assert key in open_now or event.invocation_id is None
    left = {ident for _, ident in open_now} - superseded
    assert aborted or not left


def check_maps(events: list[Event]) -> None:
    """Check that a map completes after its workers' last event and before its own end."""
    for place, event in enumerate(events):
        if event.type is not EventType.MAP_COMPLETE:
            continue
        owner = event.invocation_id
        workers = [
            at
            for at, e in enumerate(events)
            if e.owner_invocation_id == owner
            and e.invocation_id != owner
            and e.type in (EventType.STEP_START, *TERMINAL)
        ]
        assert all(at < place for at in workers)
        ends = [
            at
            for at, e in enumerate(events)
            if e.type in TERMINAL and e.invocation_id == owner
        ]
        assert all(at > place for at in ends)


@relaxed
@given(sketch=sketches(), tape=tapes)
@pytest.mark.filterwarnings("ignore")
async def test_every_stream_keeps_the_invariants(
    sketch: Sketch, tape: list[int]
) -> None:
    """Any graph under any schedule ends once, in order, without a token left."""
    pipe = build(sketch, iter(tape))
    with anyio.fail_after(20):
        async with pipe.run({}) as run:
            events = [event async for event in run]
            snapshot = run.snapshot()

    assert snapshot.tokens == {}
    assert snapshot.running == ()
    assert snapshot.waiting == {}
    check(events, aborted=sketch.on_failure == "stop")


@relaxed
@given(sketch=sketches(), tape=tapes, at=st.integers(0, 60))
@pytest.mark.filterwarnings("ignore")
async def test_a_cancelled_run_has_one_finish(
    sketch: Sketch, tape: list[int], at: int
) -> None:
    """This holds for a cancellation at any point, and no token is left."""
    pipe = build(sketch, iter(tape))
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, pipe.run({}) as run:

            async def interrupt() -> None:
                for _ in range(at):
                    await checkpoint()
                run.cancel("enough")

            tasks.start_soon(interrupt)
            events = [event async for event in run]
            snapshot = run.snapshot()

    assert snapshot.tokens == {}
    end = events[-1].payload
    if end.status is PipelineTerminalStatus.CANCELLED:
        assert end.error == "enough"
    assert events[0].type in (EventType.START, EventType.FINISH)
    finishes = [e for e in events if (e.type, e.stage) == (EventType.FINISH, "system")]
    assert finishes == [events[-1]]


@relaxed
@given(sketch=sketches(), tape=tapes, keep=st.integers(0, 20))
@pytest.mark.filterwarnings("ignore")
async def test_a_closed_run_leaves_nothing(
    sketch: Sketch, tape: list[int], keep: int
) -> None:
    """A run that is left after any number of events has ended with its block."""
    pipe = build(sketch, iter(tape))
    with anyio.fail_after(20):
        async with pipe.run({}) as run:
            for _ in range(keep):
                if await anext(run, None) is None:
                    break

    snapshot = run.snapshot()
    assert snapshot.tokens == {}
    assert snapshot.running == ()
    assert run.end is not None
