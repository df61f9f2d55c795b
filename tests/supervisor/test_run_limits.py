"""A task that is cancelled while it gets a place gives the place back."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._supervisor.admission import AdmissionLimiter
from justpipe_actors.errors import RunRejected


async def test_a_place_is_given_back_when_its_run_is_cancelled_at_once() -> None:
    """A place was free, and the run was cancelled before it began."""
    admission = AdmissionLimiter(1)

    with anyio.CancelScope() as scope:
        scope.cancel()
        await admission.acquire()

    assert scope.cancelled_caught
    assert admission.statistics().inside == 0
    admission.acquire_nowait()


async def test_a_run_that_stops_waiting_takes_no_place() -> None:
    """The place goes to the next run in the queue when the first one is cancelled."""
    admission = AdmissionLimiter(1)
    admission.acquire_nowait()
    scope = anyio.CancelScope()

    async def enter() -> None:
        with scope:
            await admission.acquire()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert admission.statistics().waiting == 0
    with pytest.raises(RunRejected, match="1 of 1 runs are at work"):
        admission.acquire_nowait()


async def test_a_step_that_is_cancelled_while_it_waits_for_its_slot_takes_none() -> (
    None
):
    """No trace is left of a step that waited to go on behind another run."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step(concurrency=1)
    async def talk(state: dict[str, Any]) -> Any:
        for item in range(state["tokens"]):
            yield item
        await state["go"].wait()

    def slots() -> tuple[int, int]:
        (actor,) = (it for it in supervisor.snapshot().actors if it.step == "talk")
        return actor.busy, actor.returning

    go = anyio.Event()
    async with Supervisor() as supervisor:
        parked = supervisor.run(pipe, {"tokens": 50, "go": go}, queue_size=1)
        await anext(parked)
        await anyio.wait_all_tasks_blocked()
        async with supervisor.run(pipe, {"tokens": 0, "go": go}) as other:
            await anext(other)
            await anyio.wait_all_tasks_blocked()
            await anext(parked)
            await anyio.wait_all_tasks_blocked()
            assert slots() == (1, 1)

            parked.cancel("enough")
            end = await parked.wait()
            assert (end.status.value, slots()) == ("cancelled", (1, 0))
            go.set()
            assert (await other.wait()).status.value == "success"
        assert slots() == (0, 0)
