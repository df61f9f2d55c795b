"""What the log says about submitted runs that end without a failed step."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.journals import MemoryJournal


pytestmark = pytest.mark.virtual_time


async def submitted(pipe: Pipe[Any, Any], **options: Any) -> None:
    """Submit one run and wait for its end."""
    async with Supervisor(pipe, **options.pop("supervisor", {})) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="r-1", **options)
        await run.wait()


def record_of(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """Return the only record about the run's end."""
    (record,) = [r for r in caplog.records if "'r-1'" in r.getMessage()]
    return record


async def test_a_startup_hook_that_fails_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The record names the run, and has the hook's exception with its traceback."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="p")
    error = OSError("no database")

    @pipe.on_startup
    async def connect(state: dict[str, Any]) -> None:
        raise error

    @pipe.step
    async def work(state: dict[str, Any]) -> None: ...

    await submitted(pipe)

    record = record_of(caplog)
    assert record.levelno == logging.ERROR
    assert record.name == "justpipe_actors.supervisor"
    assert record.getMessage().startswith("Run 'r-1' of pipe 'p': failed after ")
    assert "no database" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_a_run_that_times_out_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The warning names the step that was at work."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="p")

    @pipe.step
    async def slow(state: dict[str, Any]) -> None:
        await anyio.sleep(100)

    await submitted(pipe, timeout=5)

    record = record_of(caplog)
    assert record.levelno == logging.WARNING
    text = "Run 'r-1' of pipe 'p': timeout after 5.0s, at work: slow"
    assert record.getMessage() == text


async def test_a_state_that_cannot_be_stored_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A durable run that ends because of its journal ends with a record."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="p")

    @pipe.step(to="after")
    async def spoil(state: dict[str, Any]) -> None:
        state["client"] = object()

    @pipe.step
    async def after(state: dict[str, Any]) -> None: ...

    await submitted(pipe, supervisor={"journal": MemoryJournal()})

    record = record_of(caplog)
    assert record.levelno == logging.ERROR
    assert "state['client'] cannot be stored" in record.getMessage()


async def test_a_failed_step_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The record of the step is enough."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="p")

    @pipe.step
    async def broken(state: dict[str, Any]) -> None:
        raise ValueError("no")

    await submitted(pipe)

    (record,) = caplog.records
    assert record.getMessage().startswith("Step 'broken' failed with ValueError: no")


async def test_the_end_of_a_run_with_a_reader_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A run in a block has a reader, which gets FINISH."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="p")

    @pipe.step
    async def slow(state: dict[str, Any]) -> None:
        await anyio.sleep(100)

    async with Supervisor(pipe) as supervisor:
        await supervisor.run(pipe, {}, timeout=5).wait()

    assert caplog.records == []
