"""Event hooks change what is said, and break nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe, Raise

from ..helpers import (
    CANCELLED,
    FAILED,
    SUCCESS,
    TIMEOUT,
    AnyPipe,
    end_of,
    hosted_runs,
    idle_chain,
    run_pipe,
)


# -- event hooks


@hosted_runs
@pytest.mark.parametrize(
    "change", [{"type": EventType.TOKEN}, {"stage": "elsewhere"}, {"payload": None}]
)
async def test_a_hook_changes_what_is_said_and_not_what_is(
    change: dict[str, Any], hosted_runs: int
) -> None:
    """A STEP_ERROR that is rewritten is still the failure of the step it was."""
    pipe = idle_chain("r", "a")
    pipe.step("bad")(lambda: Raise(ValueError("boom")))
    pipe.allow_multi_root = True

    def rewrite(event: Event) -> Event:
        is_error = event.type is EventType.STEP_ERROR
        return dataclasses.replace(event, **change) if is_error else event

    pipe.add_event_hook(rewrite)
    end = end_of(await run_pipe(pipe, hosted_runs=hosted_runs))

    assert (end.status, end.failed_step, end.error) == (FAILED, "bad", "boom")


@pytest.mark.virtual_time
async def test_a_hook_that_breaks_leaves_the_ending_alone() -> None:
    """A run that times out is TIMEOUT although a hook broke over its TIMEOUT event."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("a")(anyio.sleep_forever)

    def break_down(event: Event) -> Event:
        if event.type is EventType.TIMEOUT:
            raise LookupError("hook")
        return event

    pipe.add_event_hook(break_down)
    events: list[Event] = []
    with pytest.raises(LookupError):
        async for event in pipe.run({}, timeout=1):
            events.append(event)

    assert end_of(events).status is TIMEOUT
    assert [r.reason.value for r in end_of(events).errors] == ["internal_error"]


async def test_the_other_runs_of_a_broken_hook() -> None:
    """One run broken by its hook leaves the next one of the same pipe untouched."""
    broken = True
    pipe = idle_chain("a", "b")

    def hook(event: Event) -> Event:
        if broken and event.stage == "a":
            raise LookupError("hook")
        return event

    pipe.add_event_hook(hook)
    with pytest.raises(LookupError):
        await run_pipe(pipe)
    broken = False
    events = await run_pipe(pipe)
    assert end_of(events).status is SUCCESS
    assert CANCELLED is not end_of(events).status
