"""However a run fails, and however that is handled, it ends once and reports what happened."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings

from justpipe_actors import Event, EventType
from justpipe_actors.supervisor import Supervisor
from justpipe_actors.types import PipelineEndData, PipelineTerminalStatus

from .failures import Failure, Story, build, failures
from .test_invariants import check


relaxed = settings(
    max_examples=120, suppress_health_check=list(HealthCheck), deadline=None
)


async def run_failure_story(
    trouble: Failure, story: Story
) -> tuple[list[Event], dict[str, Any]]:
    """Run a sketch to its end; return its events and what its records still hold."""
    with anyio.fail_after(10_000):
        async with build(trouble).run(story, timeout=trouble.seconds) as run:
            events = [event async for event in run]
            run_state = run._run.run_state  # type: ignore[union-attr]
    held: dict[str, Any] = {
        "tokens": run_state.tokens,
        "holders": run_state.holders,
        "waves": run_state.waves,
        "timers": run_state.timers,
        "fans": run_state.maps,
        "invocations": run_state.active_invocations,
    }
    return events, {name: book for name, book in held.items() if book}


def check_status(events: list[Event], trouble: Failure) -> None:
    """Check that FINISH agrees with the events."""
    end: PipelineEndData = events[-1].payload
    errors = [
        e for e in events if e.type is EventType.STEP_ERROR and e.parent_run_id is None
    ]
    assert len(end.errors) == len(errors)
    if end.status is PipelineTerminalStatus.TIMEOUT:
        assert trouble.seconds is not None
        assert any(e.type is EventType.TIMEOUT for e in events)
    else:
        status = (
            PipelineTerminalStatus.FAILED if errors else PipelineTerminalStatus.SUCCESS
        )
        assert end.status is status
    if end.status is PipelineTerminalStatus.FAILED:
        assert end.failed_step is not None
        assert end.failed_step.split(":")[0] == errors[0].stage
        assert end.error == errors[0].payload
    assert end.metrics is not None
    assert end.metrics.tasks.started == end.metrics.tasks.completed


def check_starts(events: list[Event], trouble: Failure, story: Story) -> None:
    """Check that each start has a cause: a parent, or a step that named it."""
    started = {e.stage for e in events if e.type is EventType.STEP_START}
    ended = {
        e.stage for e in events if e.type in (EventType.STEP_END, EventType.STEP_ERROR)
    }
    for number, part in enumerate(trouble.parts):
        for target in (f"s{n}" for n in part.to):
            if target not in started or target in story.named:
                continue
            parents = [
                f"s{n}" for n, p in enumerate(trouble.parts) if int(target[1:]) in p.to
            ]
            assert any(parent in ended for parent in parents), (number, target)


def check_joins(events: list[Event], trouble: Failure, story: Story) -> None:
    """Check that a join that was reached and never began is named, or has timed out."""
    end: PipelineEndData = events[-1].payload
    interrupted = end.status is PipelineTerminalStatus.TIMEOUT
    stopped = trouble.on_failure == "stop" and end.errors
    if interrupted or stopped or story.halted:
        return
    started = {e.stage for e in events if e.type is EventType.STEP_START}
    assert end.metrics is not None
    late = {name for name, row in end.metrics.barriers.items() if row.timeouts}
    named = {diagnostic.step for diagnostic in end.diagnostics}
    for number, part in enumerate(trouble.parts):
        if f"s{number}" not in story.arrived:
            continue
        for target in (f"s{n}" for n in part.to):
            assert target in started | late | named, target


def check_pruned(events: list[Event], trouble: Failure, story: Story) -> None:
    """Check that no successor of a failed step runs, unless that was wanted."""
    if trouble.on_failure == "continue" or story.named:
        return
    failed = {e.stage for e in events if e.type is EventType.STEP_ERROR}
    started = {e.stage for e in events if e.type is EventType.STEP_START}
    routed = {n for p in trouble.parts if p.act in ("switch", "ask") for n in p.to}
    for number, part in enumerate(trouble.parts):
        for target in part.to:
            if target in routed or trouble.parts[target].is_any:
                continue
            assert not {f"s{number}"} & failed or f"s{target}" not in started, target


@relaxed
@given(trouble=failures())
@pytest.mark.virtual_time
@pytest.mark.filterwarnings("ignore")
async def test_a_run_with_failures_ends_once(trouble: Failure) -> None:
    """For any graph it gives its reason, names its joins and leaves nothing."""
    story = Story()
    events, held = await run_failure_story(trouble, story)
    end: PipelineEndData = events[-1].payload

    assert held == {}
    aborted = (
        trouble.on_failure == "stop" or end.status is PipelineTerminalStatus.TIMEOUT
    )
    check(events, aborted=aborted)
    check_status(events, trouble)
    check_starts(events, trouble, story)
    check_joins(events, trouble, story)
    check_pruned(events, trouble, story)


@pytest.mark.slow
@relaxed
@given(trouble=failures())
@pytest.mark.virtual_time
@pytest.mark.filterwarnings("ignore")
async def test_a_run_with_failures_ends_the_same_beside_others(
    trouble: Failure,
) -> None:
    """Sharing actors does not change its end."""
    stories = [Story(), Story(), Story()]
    alone, _ = await run_failure_story(trouble, stories[2])
    ends: list[PipelineEndData] = []

    async def one(story: Story) -> None:
        events, held = await run_failure_story(trouble, story)
        assert held == {}
        ends.append(events[-1].payload)

    async with Supervisor(), anyio.create_task_group() as tasks:
        for story in stories[:2]:
            tasks.start_soon(one, story)
    if any(story.halted for story in stories) or trouble.seconds is not None:
        return  # what had begun by then depends on the schedule
    assert [end.status for end in ends] == [alone[-1].payload.status] * 2
