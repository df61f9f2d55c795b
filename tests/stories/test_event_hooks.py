"""Event hooks change events, and a hook that fails affects its own run only."""

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
async def test_a_hook_changes_the_event_and_not_the_failure(
    change: dict[str, Any], hosted_runs: int
) -> None:
    """A rewritten STEP_ERROR is still the failure of the step."""
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
async def test_a_hook_that_fails_leaves_the_status_alone() -> None:
    """A run that times out is TIMEOUT although a hook failed at its TIMEOUT event."""
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


async def test_a_hook_that_fails_does_not_affect_other_runs() -> None:
    """The next run of the same pipe succeeds."""
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
