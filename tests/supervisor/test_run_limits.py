"""A task that is cancelled while it gets a place or a slot gives it back."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._supervisor.admission import AdmissionLimiter
from justpipe_actors.errors import RunRejected


async def test_a_place_is_given_back_when_its_run_is_cancelled_at_once() -> None:
    """A place was free, and the run was cancelled before it could begin."""
    admission = AdmissionLimiter(1)

    with anyio.CancelScope() as scope:
        scope.cancel()
        await admission.acquire()

    assert scope.cancelled_caught
    assert admission.statistics().inside == 0
    admission.acquire_nowait()


async def test_a_run_that_stops_waiting_takes_no_place() -> None:
    """The place goes to the next in line when the first one does not want it any more."""
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


async def test_who_is_cancelled_while_he_waits_for_his_slot_takes_none() -> None:
    """A step that waits to go on behind another run leaves no trace when it is cancelled."""
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
