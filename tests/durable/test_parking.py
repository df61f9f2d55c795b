"""A durable run that only waits between steps is stored, and not kept in memory."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from justpipe_actors import Ask, EventType, Pipe, Supervisor
from justpipe_actors.abc import Batch
from justpipe_actors.journals import MemoryJournal

from .crash_model import wait_until
from .test_clock_jumps import HOUR, JumpingJournal


class Marked(dict[str, Any]):
    """A state that allows weak references."""


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
    """Readers and wait() continue over the wait, and its place is free."""
    begun: list[str] = []
    pipe, journal = asking(begun), MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal, max_runs=1) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: _status(journal) == "waiting")
        await wait_until(lambda: not supervisor.snapshot().runs)
        assert supervisor.snapshot().places.inside == 0
        (ask,) = await supervisor.asks()
        await supervisor.answer(ask.id, value=True)
        with anyio.fail_after(30):
            end = await run.wait()
            types = [event.type async for event in run]

    assert end.status.value == "success"
    assert begun == ["write", "decide"]
    assert types[-1] is EventType.FINISH
    assert EventType.RECOVERED in types


async def test_a_sleeping_run_is_woken_when_its_time_comes() -> None:
    """The time is stored, and any worker with the pipe may take the run up."""
    begun: list[str] = []
    pipe, journal = asking(begun, timeout=HOUR), JumpingJournal(verify=True)
    async with Supervisor(pipe, journal=journal) as supervisor:
        await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: _status(journal) == "waiting")
    assert begun == ["write"]
    journal.offset += HOUR
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="one")
        with anyio.fail_after(30):
            end = await run.wait()

    assert end.status.value == "success"
    assert begun == ["write", "late"]


async def test_nothing_of_a_waiting_run_is_kept_in_memory() -> None:
    """Its state and its events are freed, unless its stream is referenced."""
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
    """The run waits before and after, and is answered in the next process."""
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
        with anyio.fail_after(30):
            assert (await run.wait()).status.value == "success"


class SlowJournal(MemoryJournal):
    """A journal that stores a waiting run when it is told to."""

    def __init__(self) -> None:
        super().__init__(verify=True)
        self.is_storing, self.may_store = threading.Event(), threading.Event()

    def append(self, batches: Sequence[Batch]) -> frozenset[int]:
        if any(one.status == "waiting" for one in batches):
            self.is_storing.set()
            self.may_store.wait(30)
        return super().append(batches)


@pytest.mark.parametrize(
    ("question", "limit", "expected"),
    [
        (Ask(bool, "Publish?", to="after", timeout=0.1), None, ["failed"]),
        (Ask(None, timeout=0.1), None, ["success"]),
        (Ask(None, to="after", timeout=0.1), None, ["success", "after"]),
        (Ask(bool, "Publish?", to="after"), 0.1, ["timeout"]),
    ],
    ids=["question", "pause", "pause before a step", "timeout of the run"],
)
async def test_a_time_that_comes_while_a_run_is_stored_is_not_lost(
    question: Ask, limit: float | None, expected: list[str]
) -> None:
    """The run goes on when it is stored, and ``wait()`` returns its end."""
    after: list[str] = []
    pipe: Pipe[Any, Any] = Pipe(dict, name="asking")
    pipe.step("ask", routes=["after"])(lambda state: question)
    pipe.step("after")(lambda state: after.append("after"))
    journal = SlowJournal()

    with anyio.fail_after(60):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, {}, timeout=limit)
            # On a very slow machine the time comes before the run is stored.
            await wait_until(lambda: journal.is_storing.is_set() or bool(run.end))
            await anyio.sleep(0.2)
            journal.may_store.set()
            end = await run.wait()
            types = [event.type async for event in run]

    assert [end.status.value, *after] == expected
    assert types.count(EventType.STEP_ERROR) == expected.count("failed")
    assert types.count(EventType.TIMEOUT) == expected.count("timeout")
    assert types[-1] is EventType.FINISH
