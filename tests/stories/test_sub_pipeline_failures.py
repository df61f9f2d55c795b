"""Errors, handlers and timeouts of sub-pipelines."""

from __future__ import annotations

import anyio
import pytest

from justpipe_actors import Pipe
from justpipe_actors.types import FailureSource

from ..helpers import (
    AnyPipe,
    add_idle_steps,
    count_events,
    empty_state,
    end_of,
    event_words,
    hosted_runs,
    run_pipe,
)


# -- children


class RemoteError(Exception):
    """An error of a client library."""


RemoteError.__module__ = "httpx._exceptions"


def failing_child() -> AnyPipe:
    """Return a pipe that fails with a library's error."""
    child: AnyPipe = Pipe(dict)

    def ask() -> None:
        raise RemoteError("away")

    child.step("x", to="y")(ask)
    add_idle_steps(child, y=[])
    return child


@hosted_runs
async def test_a_childs_error_keeps_its_type_and_source(hosted_runs: int) -> None:
    """The record of the parent has both, under the names of the child and of the sub step."""
    pipe: AnyPipe = Pipe(dict)
    pipe.sub("s", pipeline=failing_child(), to="after")(empty_state)
    add_idle_steps(pipe, after=[])
    events = await run_pipe(pipe, hosted_runs=hosted_runs)
    end = end_of(events)

    assert (end.failure_source, end.failed_step) == (
        FailureSource.EXTERNAL_DEP,
        "s:x",
    )
    assert [r.step for r in end.errors] == ["s:x"]
    assert count_events(events, "STEP_ERROR s") == 1
    assert (
        count_events(events, "STEP_END s")
        == count_events(events, "STEP_START after")
        == 0
    )


@hosted_runs
@pytest.mark.parametrize("level", ["local", "global"])
async def test_the_handlers_of_a_sub_are_called(level: str, hosted_runs: int) -> None:
    """The sub's own handler, then the pipe's, gets the child's exception and may handle it."""
    asked: list[str] = []

    def mend(error: Exception, step_name: str) -> None:
        asked.append(f"{type(error).__name__} {step_name}")

    pipe: AnyPipe = Pipe(dict)
    handler = mend if level == "local" else None
    pipe.sub("s", pipeline=failing_child(), to="after", on_error=handler)(empty_state)
    add_idle_steps(pipe, after=[])
    if level == "global":
        pipe.on_error(mend)
    events = await run_pipe(pipe, hosted_runs=hosted_runs)

    assert event_words(events)[-2:] == ["STEP_END after", "FINISH SUCCESS"]
    assert asked == ["RemoteError s"] * max(hosted_runs, 1)


@hosted_runs
@pytest.mark.virtual_time
async def test_a_subs_timeout_limits_its_child(hosted_runs: int) -> None:
    """The child is cancelled and has its cleanup and hooks first."""
    log: list[str] = []
    child: AnyPipe = Pipe(dict)

    @child.step
    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cleaned")

    child.on_shutdown(lambda: log.append("shutdown"))
    pipe: AnyPipe = Pipe(dict)
    pipe.sub("s", pipeline=child, timeout=5)(empty_state)
    end = end_of(await run_pipe(pipe, hosted_runs=hosted_runs))

    assert (end.failed_step, end.error) == ("s", "Step 's' timed out after 5s")
    assert sorted(log) == sorted(["cleaned", "shutdown"] * max(hosted_runs, 1))
