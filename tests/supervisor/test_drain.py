"""How everybody leaves: finish, be cancelled, or be named as stuck."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import RunRejected

from ..helpers import sleeping_pipe


@pytest.mark.virtual_time
async def test_a_drain_reports_who_finished_and_who_did_not() -> None:
    """Runs may finish within the grace; the rest is cancelled with the reason."""
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
async def test_a_drain_ends_as_soon_as_nobody_is_left() -> None:
    """The grace is a bound and not a pause."""
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
    """A drain returns though a run is stuck, and says which line holds it."""
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
async def test_a_poller_that_is_rejected_while_draining_does_no_harm() -> None:
    """A service that fails because no runs are taken is not restarted, nor given up on."""
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
async def test_leaving_normally_drains() -> None:
    """Leaving the block waits for the runs, up to the grace."""
    pipe = sleeping_pipe()

    async with Supervisor(grace=10) as supervisor:
        runs = [await supervisor.submit(pipe, {"seconds": s}) for s in (5, 3600)]

    ends = [await run.wait() for run in runs]
    assert [end.status.value for end in ends] == ["success", "cancelled"]
    assert ends[1].error == "The supervisor was closed"


@pytest.mark.virtual_time
async def test_an_error_of_the_body_cancels_at_once() -> None:
    """A body that fails waits for cleanup only, and its error comes out bare."""
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
async def test_a_cancellation_from_outside_is_relayed() -> None:
    """A cancelled block cancels its runs at once and waits for their cleanup."""
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
async def test_a_drain_that_is_cancelled_cancels_the_runs() -> None:
    """Who gives up on a drain does not get it for nothing: the runs end now."""
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
async def test_a_nursery_that_is_cancelled_ends_what_it_serves() -> None:
    """Cancelling the nursery cancels the runs of a served supervisor, with cleanup."""
    state: dict[str, Any] = {"seconds": 3600.0, "cleanup": 1.0}
    async with anyio.create_task_group() as nursery:
        supervisor = await nursery.start(Supervisor(grace=5).serve)
        await supervisor.submit(sleeping_pipe(), state)
        await anyio.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert "cleaned" in state


async def test_plain_runs_find_the_supervisor_of_their_loop() -> None:
    """Supervisors that close in any order leave the one that is open the ambient one."""
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
