"""A run that only waits between steps is a row, and nothing of it is in memory."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import anyio
import pytest

from justpipe_actors import Ask, EventType, Pipe, Supervisor
from justpipe_actors.journals import MemoryJournal

from .crash_model import wait_until


class Marked(dict[str, Any]):
    """A state that can be watched."""


def asking(begun: list[str], timeout: float | None = None) -> Pipe[Any, Any]:
    """Return a pipe that asks between two steps."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="asking")

    @pipe.step("write")
    async def write(state: dict[str, Any]) -> Ask:
        begun.append("write")
        state["text"] = "x"
        return Ask(bool, "Publish?", to="decide", timeout=timeout, on_timeout="late")

    @pipe.step("decide")
    async def decide(state: dict[str, Any], answer: bool) -> None:
        begun.append("decide")
        state["answer"] = answer

    @pipe.step("late")
    async def late(state: dict[str, Any]) -> None:
        begun.append("late")
        state["late"] = True

    return pipe


def _status(journal: MemoryJournal) -> str:
    row = journal.find("one")
    assert row is not None
    return row.status


async def test_a_run_that_waits_for_an_answer_leaves_memory_and_goes_on() -> None:
    """Readers and wait() go on over the wait, and the place is given back."""
    begun: list[str] = []
    pipe, journal = asking(begun), MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal, max_runs=1) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: _status(journal) == "waiting")
        await wait_until(lambda: not supervisor.snapshot().runs)
        assert supervisor.snapshot().places.inside == 0
        (ask,) = await supervisor.asks()
        await supervisor.answer(ask.id, value=True)
        with anyio.fail_after(10):
            end = await run.wait()
            types = [event.type async for event in run]

    assert end.status.value == "success"
    assert begun == ["write", "decide"]
    assert types[-1] is EventType.FINISH
    assert EventType.RECOVERED in types


async def test_a_run_that_waits_for_a_moment_is_woken_by_it() -> None:
    """The moment is in the row, and whoever has the pipe takes the run up."""
    begun: list[str] = []
    pipe, journal = asking(begun, timeout=0.2), MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal) as supervisor:
        await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: _status(journal) == "waiting")
    assert begun == ["write"]
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="one")
        with anyio.fail_after(10):
            end = await run.wait()

    assert end.status.value == "success"
    assert begun == ["write", "late"]


async def test_nothing_of_a_waiting_run_is_kept() -> None:
    """Neither its state nor its events, unless somebody holds its stream."""
    begun: list[str] = []
    pipe, journal = asking(begun), MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="one")
        watched = weakref.ref(run)
        del run
        await wait_until(lambda: _status(journal) == "waiting")
        await wait_until(lambda: not supervisor.snapshot().runs)
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        assert watched() is None


@pytest.mark.parametrize("grace", [0.0, 5.0])
async def test_leaving_while_a_run_waits_changes_nothing(grace: float) -> None:
    """It is waiting before and after, and is answered in the next process."""
    begun: list[str] = []
    pipe, journal = asking(begun), MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal, grace=grace) as supervisor:
        await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: _status(journal) == "waiting")
    assert _status(journal) == "waiting"
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.find("one")
        assert run is not None
        (ask,) = await supervisor.asks("one")
        await supervisor.answer(ask.id, value=False)
        with anyio.fail_after(10):
            assert (await run.wait()).status.value == "success"
