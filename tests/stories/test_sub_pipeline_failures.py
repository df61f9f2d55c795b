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


# -- the log


def nested(child: AnyPipe, levels: int) -> AnyPipe:
    """Return a pipe with a child at the bottom of so many levels."""
    for _ in range(levels):
        pipe: AnyPipe = Pipe(dict)
        pipe.sub("s", pipeline=child)(empty_state)
        child = pipe
    return child


async def test_a_failure_in_nested_pipes_has_one_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is where the failure was; the record of each run around it says where that is."""
    async with nested(failing_child(), 4).run({}) as run:
        await run.wait()

    first, *others = caplog.records
    assert first.getMessage().startswith(
        "Step 'x' failed with RemoteError: away\nState"
    )
    assert first.exc_info is not None
    assert [one.getMessage() for one in others] == [
        f"Step 's' failed with RemoteError: away (in {path}x)"
        for path in ("s:", "s:s:", "s:s:s:", "s:s:s:s:")
    ]
    assert [one.exc_info for one in others] == [None] * 4
    assert len({vars(one)["run"] for one in caplog.records}) == 5
    assert vars(others[-1])["run"] == run.run_id


async def test_the_log_names_the_item_of_a_pipe_that_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A map of a thousand files says nothing without it."""
    pipe: AnyPipe = Pipe(dict)
    pipe.map("files", each="s")(lambda: ["a.csv"])

    def state_of(item: str) -> dict[str, str]:
        return {"file": item}

    pipe.sub("s", pipeline=failing_child())(state_of)
    await run_pipe(nested(pipe, 1))

    for record in caplog.records[1:3]:
        assert "In s[0], for the item 'a.csv'" in record.getMessage()


async def test_a_failed_hook_of_a_child_has_one_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The records of the pipes around it say that it was the startup."""
    child: AnyPipe = Pipe(dict)
    add_idle_steps(child, x=[])

    @child.on_startup
    async def connect() -> None:
        raise RemoteError("away")

    await run_pipe(nested(child, 2))

    first, *others = caplog.records
    assert first.exc_info is not None
    assert [(one.getMessage(), one.exc_info) for one in others] == [
        (f"Step 's' failed with RemoteError: away (in {path}startup)", None)
        for path in ("s:", "s:s:")
    ]
