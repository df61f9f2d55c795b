"""A run that does not end although it was told to logs the reason every ten seconds."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._util.sync import REPORT_INTERVAL


pytestmark = pytest.mark.virtual_time


def deaf(pipe: Pipe[Any, Any], name: str, **options: Any) -> None:
    """Add a step that ignores its cancellation for a while."""

    async def step() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(2 * REPORT_INTERVAL + 5)

    pipe.step(name, **options)(step)


async def fail() -> None:
    """Fail after a second."""
    await anyio.sleep(1)
    raise ValueError("bad")


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log messages about runs that do not end, without their ids."""
    lines = [record.getMessage() for record in caplog.records]
    return [line.partition("held up by: ")[2] for line in lines if "held up" in line]


async def drive(pipe: Pipe[Any, Any], *, hosted: bool) -> None:
    """Run a pipe to its end."""
    async with Supervisor() if hosted else nullcontext():
        await pipe.run({}).wait()


@pytest.mark.parametrize("hosted", [False, True])
@pytest.mark.parametrize("order", [("deaf", "fail"), ("fail", "deaf")])
async def test_a_failure_that_stops_the_run_is_reported_too(
    order: tuple[str, str], hosted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """With on_failure="stop" the reports come, whatever the run's own task does."""
    pipe: Pipe[Any, Any] = Pipe(None, on_failure="stop", allow_multi_root=True)
    for name in order:
        if name == "deaf":
            deaf(pipe, "deaf")
        else:
            pipe.step("fail")(fail)
    await drive(pipe, hosted=hosted)

    assert complaints(caplog) == ["deaf x1", "deaf x1"]


async def test_a_step_that_cancels_its_run_often_gets_one_report(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A hundred cancellations make one watching task."""
    pipe: Pipe[Any, Any] = Pipe(None)
    counts: list[int] = []

    @pipe.step
    async def stop() -> None:
        before = len(anyio.get_running_tasks())
        for _ in range(100):
            run.cancel("enough")
        counts.append(len(anyio.get_running_tasks()) - before)
        with anyio.CancelScope(shield=True):
            await anyio.sleep(REPORT_INTERVAL + 5)

    run = pipe.run({})
    await run.wait()

    assert counts == [1]
    assert complaints(caplog) == ["stop x1"]


@pytest.mark.parametrize("hosted", [False, True])
async def test_there_is_one_report_after_a_step_has_ended(
    hosted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The run's own task reports when it is free again, and no other task does."""
    pipe: Pipe[Any, Any] = Pipe(None, allow_multi_root=True)

    @pipe.step
    async def stop() -> None:
        await anyio.sleep(1)
        run.cancel("enough")
        await anyio.sleep(1)

    deaf(pipe, "deaf")
    async with Supervisor() if hosted else nullcontext():
        run = pipe.run({})
        await run.wait()

    assert complaints(caplog) == ["deaf x1", "deaf x1"]
