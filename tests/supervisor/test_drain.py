"""How runs end when a supervisor closes: they finish, are cancelled, or are reported as stuck."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import RunRejected

from ..helpers import sleeping_pipe


@pytest.mark.virtual_time
async def test_a_drain_reports_finished_and_cancelled_runs() -> None:
    """Runs may finish within the grace; the others are cancelled with the reason."""
    pipe = sleeping_pipe()
    states = {name: {"seconds": s} for name, s in (("quick", 2), ("long", 3600))}

    async with Supervisor() as supervisor:
        runs = {
            name: await supervisor.submit(pipe, state, run_id=name)
            for name, state in states.items()
        }
        began = anyio.current_time()
        report = await supervisor.drain(grace=5)
        seconds = anyio.current_time() - began
        with pytest.raises(RunRejected, match="draining"):
            await supervisor.submit(pipe, {"seconds": 0})
        ends = {name: await run.wait() for name, run in runs.items()}

    assert (report.completed, report.cancelled, report.stuck) == (
        ("quick",),
        ("long",),
        (),
    )
    assert seconds == pytest.approx(5)
    assert ends["quick"].status.value == "success"
    assert (ends["long"].status.value, ends["long"].error) == (
        "cancelled",
        "The supervisor was drained",
    )


@pytest.mark.virtual_time
async def test_a_drain_ends_with_the_last_run() -> None:
    """The grace is a limit; a drain does not wait for it to pass."""
    async with Supervisor(grace=3600) as supervisor:
        await supervisor.submit(sleeping_pipe(), {"seconds": 2})
        began = anyio.current_time()
        await supervisor.drain()
        seconds = anyio.current_time() - began

    assert seconds == pytest.approx(2)


@pytest.mark.virtual_time
async def test_a_run_that_ignores_its_cancellation_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A drain returns although a run is stuck, and the report has the line where it waits."""
    pipe, state = sleeping_pipe(), {"seconds": 3600.0, "cleanup": 60.0}

    with caplog.at_level(logging.ERROR, "justpipe_actors.supervisor"):
        async with Supervisor(grace=5) as supervisor:
            await supervisor.submit(pipe, state, run_id="mule")
            began = anyio.current_time()
            report = await supervisor.drain()
            waited = anyio.current_time() - began
        left = anyio.current_time() - began

    (stuck,) = report.stuck
    (step,) = stuck.steps
    assert (stuck.run_id, stuck.pipe, stuck.holders) == (
        "mule",
        "sleeper",
        {"sleep": 1},
    )
    assert step.step == "sleep"
    assert step.seconds == pytest.approx(10)
    own = [line for line in step.where if "helpers.py" in line]
    assert own[-1].endswith("in sleeping_pipe.<locals>.sleep")
    assert waited == pytest.approx(10)
    # The block is left only when nothing of it is alive, and it says whom it waits for.
    assert left == pytest.approx(65)
    assert "step 'sleep' for" in caplog.messages[0]


@pytest.mark.virtual_time
async def test_a_poller_that_is_rejected_while_draining_is_not_restarted() -> None:
    """Its failure during a drain does not count against the restart intensity either."""
    starts: list[float] = []

    async def poll() -> None:
        starts.append(anyio.current_time())
        while True:
            await anyio.sleep(1)
            await supervisor.submit(sleeping_pipe(), {"seconds": 30})

    supervisor = Supervisor(grace=100, intensity=1)
    supervisor.add_service("poller", poll)
    async with supervisor:
        await anyio.sleep(2.5)
        report = await supervisor.drain()

    assert (len(report.completed), report.cancelled) == (2, ())
    assert len(starts) == 1


@pytest.mark.virtual_time
async def test_leaving_the_block_drains() -> None:
    """A normal exit from the block waits for the runs, up to the grace."""
    pipe = sleeping_pipe()

    async with Supervisor(grace=10) as supervisor:
        runs = [await supervisor.submit(pipe, {"seconds": s}) for s in (5, 3600)]

    ends = [await run.wait() for run in runs]
    assert [end.status.value for end in ends] == ["success", "cancelled"]
    assert ends[1].error == "The supervisor was closed"


@pytest.mark.virtual_time
async def test_an_error_of_the_body_cancels_the_runs_at_once() -> None:
    """Leaving waits only for their cleanup, and the error is raised without a group."""
    pipe, state = sleeping_pipe(), {"seconds": 3600.0, "cleanup": 4.0}
    began = anyio.current_time()

    with pytest.raises(KeyError, match="mine"):
        async with Supervisor(grace=600) as supervisor:
            run = await supervisor.submit(pipe, state)
            await anyio.wait_all_tasks_blocked()
            raise KeyError("mine")

    assert anyio.current_time() - began == pytest.approx(4, abs=0.5)
    end = await run.wait()
    assert end.error == "The supervisor's block failed with KeyError"


@pytest.mark.virtual_time
async def test_a_cancelled_block_cancels_its_runs() -> None:
    """The runs are cancelled at once, and the block waits for their cleanup."""
    pipe, state = sleeping_pipe(), {"seconds": 3600.0, "cleanup": 4.0}
    began = anyio.current_time()

    with anyio.move_on_after(10):
        async with Supervisor(grace=600) as supervisor:
            run = await supervisor.submit(pipe, state)
            await anyio.sleep_forever()

    assert state["cleaned"] - began == pytest.approx(14)
    assert anyio.current_time() - began == pytest.approx(14)
    end = await run.wait()
    assert (end.status.value, end.error) == (
        "cancelled",
        "The supervisor was cancelled",
    )


@pytest.mark.virtual_time
async def test_a_cancelled_drain_cancels_the_runs() -> None:
    """When the task that drains is cancelled, the runs do not get the rest of the grace."""
    pipe, state = sleeping_pipe(), {"seconds": 3600.0}

    async with Supervisor(grace=600) as supervisor:
        run = await supervisor.submit(pipe, state)
        began = anyio.current_time()
        with anyio.move_on_after(7):
            await supervisor.drain()
        end = await run.wait()
        seconds = anyio.current_time() - began

    assert end.status.value == "cancelled"
    assert seconds == pytest.approx(7)


@pytest.mark.virtual_time
async def test_a_nursery_serves_until_it_is_drained() -> None:
    """``nursery.start(supervisor.serve)`` returns the open supervisor; a drain ends it."""
    async with anyio.create_task_group() as nursery:
        supervisor = await nursery.start(Supervisor(grace=5).serve)
        run = await supervisor.submit(sleeping_pipe(), {"seconds": 2})
        report = await supervisor.drain()

    assert report.completed == (run.run_id,)


@pytest.mark.virtual_time
async def test_a_cancelled_nursery_cancels_the_runs_of_a_served_supervisor() -> None:
    """The nursery waits for the cleanup of the runs."""
    state: dict[str, Any] = {"seconds": 3600.0, "cleanup": 1.0}
    async with anyio.create_task_group() as nursery:
        supervisor = await nursery.start(Supervisor(grace=5).serve)
        await supervisor.submit(sleeping_pipe(), state)
        await anyio.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert "cleaned" in state


async def test_plain_runs_find_the_open_supervisor_of_their_loop() -> None:
    """Supervisors may close in any order; the one that is still open is the ambient one."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("s")(lambda state: None)
    first, second = Supervisor(), Supervisor()
    found: list[list[int]] = []

    async def look() -> None:
        await pipe.run({}).wait()
        found.append([len(one.snapshot().actors) for one in (first, second)])

    async with anyio.create_task_group() as nursery:
        await nursery.start(first.serve)
        await nursery.start(second.serve)
        await look()
        await second.drain()
        await anyio.wait_all_tasks_blocked()
        await look()
        await first.drain()
        await anyio.wait_all_tasks_blocked()
        await look()

    assert found == [[0, 1], [1, 1], [1, 1]]
