"""Durable runs are released when a supervisor ends; any process can find and end them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from justpipe_actors import EventType, Pipe, Supervisor
from justpipe_actors.errors import (
    DefinitionError,
    NotStorable,
    RunRejected,
    RunReleased,
)
from justpipe_actors.journals import MemoryJournal

from .crash_model import wait_until


@dataclass(eq=False)
class Services:
    """A context with an object that cannot be stored."""

    client: object


def gated(gate: anyio.Event, begun: list[str]) -> Pipe[Any, Any]:
    """Return a pipe with a step that waits for an event."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="gated")

    @pipe.step("first", to="slow")
    async def first(state: dict[str, Any]) -> None:
        begun.append("first")
        state["first"] = state.get("first", 0) + 1

    @pipe.step("slow", to="last")
    async def slow(state: dict[str, Any]) -> None:
        begun.append("slow")
        await gate.wait()
        state["slow"] = state.get("slow", 0) + 1

    @pipe.step("last")
    async def last(state: dict[str, Any]) -> None:
        begun.append("last")
        state["last"] = state.get("last", 0) + 1

    return pipe


async def test_leaving_the_block_releases_a_run_that_cannot_finish_in_time() -> None:
    """Its stream says that it was released, and the next supervisor continues it."""
    begun: list[str] = []
    gate = anyio.Event()
    pipe, journal = gated(gate, begun), MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal, grace=0.05) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: "slow" in begun)
    with pytest.raises(RunReleased, match="one"):
        await run.wait()
    with pytest.raises(RunReleased):
        async for event in run:
            assert event.type is not EventType.FINISH
    assert supervisor.report is not None
    assert supervisor.report.released == ("one",)
    assert supervisor.report.cancelled == ()

    gate.set()
    async with Supervisor(pipe, journal=journal) as supervisor:
        again = await supervisor.submit(pipe, {}, run_id="one")
        end = await again.wait()

    assert end.status.value == "success"
    assert begun == ["first", "slow", "slow", "last"]


async def test_a_step_that_finishes_within_the_grace_is_not_run_again() -> None:
    """During a drain no message is delivered, and running steps may finish."""
    begun: list[str] = []
    gate = anyio.Event()
    pipe, journal = gated(gate, begun), MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal) as supervisor:
        await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: "slow" in begun)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(supervisor.drain)
            await anyio.wait_all_tasks_blocked()
            gate.set()
        assert supervisor.report is not None
        assert supervisor.report.released == ("one",)

    async with Supervisor(pipe, journal=journal) as supervisor:
        again = await supervisor.submit(pipe, {}, run_id="one")
        assert (await again.wait()).status.value == "success"

    assert begun == ["first", "slow", "last"]


async def test_an_error_of_the_body_releases_runs_at_once() -> None:
    """The error is raised without a group, and the run goes on elsewhere."""
    begun: list[str] = []
    gate = anyio.Event()
    pipe, journal = gated(gate, begun), MemoryJournal(verify=True)
    with pytest.raises(KeyError):
        async with Supervisor(pipe, journal=journal) as supervisor:
            await supervisor.submit(pipe, {}, run_id="one")
            await wait_until(lambda: "slow" in begun)
            raise KeyError
    row = journal.find("one")

    assert row is not None
    assert row.status == "ready"


async def test_a_map_with_running_workers_is_released_and_goes_on() -> None:
    """Finished items are not run again."""
    done: list[int] = []
    gate = anyio.Event()
    pipe: Pipe[Any, Any] = Pipe(dict, name="mapped")

    @pipe.step("work")
    async def work(state: dict[str, Any], item: int) -> None:
        if item == 2:
            await gate.wait()
        done.append(item)

    @pipe.map("fan", each="work")
    async def fan(state: dict[str, Any]) -> list[int]:
        return [0, 1, 2, 3]

    journal = MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal, grace=0.05) as supervisor:
        await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: sorted(done) == [0, 1, 3])
    gate.set()
    async with Supervisor(pipe, journal=journal) as supervisor:
        again = await supervisor.submit(pipe, {}, run_id="one")
        assert (await again.wait()).status.value == "success"

    assert sorted(done) == [0, 1, 2, 3]


async def test_another_supervisor_finds_a_run_and_its_end() -> None:
    """find() works for any run of the journal, and wait() returns its end."""
    begun: list[str] = []
    gate = anyio.Event()
    pipe, journal = gated(gate, begun), MemoryJournal(verify=True)
    other: Pipe[Any, Any] = Pipe(dict, name="other")
    other.step("only")(lambda: None)
    async with (
        Supervisor(pipe, journal=journal) as one,
        Supervisor(other, journal=journal) as two,
    ):
        await one.submit(pipe, {}, run_id="one")
        found = await two.find("one")
        assert found is not None
        assert found.run_id == "one"
        assert found.end is None
        gate.set()
        with anyio.fail_after(30):
            end = await found.wait()
        assert await two.find("nowhere") is None

    assert end.status.value == "success"


async def test_a_run_is_cancelled_from_another_supervisor() -> None:
    """Its steps are interrupted, and its end is stored."""
    begun: list[str] = []
    pipe, journal = gated(anyio.Event(), begun), MemoryJournal(verify=True)
    other: Pipe[Any, Any] = Pipe(dict, name="other")
    other.step("only")(lambda: None)
    async with (
        Supervisor(pipe, journal=journal) as one,
        Supervisor(other, journal=journal) as two,
    ):
        run = await one.submit(pipe, {}, run_id="one")
        await wait_until(lambda: "slow" in begun)
        assert await two.cancel("one", "not needed")
        with anyio.fail_after(30):
            end = await run.wait()
        assert not await two.cancel("one", "again")

    assert end.status.value == "cancelled"
    assert end.error == "not needed"


async def test_a_waiting_run_that_is_cancelled_begins_no_step() -> None:
    """The cancellation is stored, and applied before a message is delivered."""
    begun: list[str] = []
    pipe, journal = gated(anyio.Event(), begun), MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal, grace=0) as supervisor:
        await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: "slow" in begun)
    begun.clear()
    journal.cancel("one", '"gone"')
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="one")
        end = await run.wait()

    assert end.status.value == "cancelled"
    assert begun == []


async def test_a_run_that_cannot_be_durable_is_refused_by_submit() -> None:
    """Examples are a pipe without a name, an unknown pipe, and submit_nowait."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("only")(lambda: None)
    named: Pipe[Any, Any] = Pipe(dict, name="named")
    named.step("only")(lambda: None)
    async with Supervisor(pipe, journal=MemoryJournal()) as supervisor:
        with pytest.raises(DefinitionError, match="name of its own"):
            await supervisor.submit(pipe, {})
        with pytest.raises(DefinitionError, match="was not given"):
            await supervisor.submit(named, {})
        with pytest.raises(RunRejected, match="durable=False"):
            supervisor.submit_nowait(pipe, {})
        run = await supervisor.submit(pipe, {}, durable=False)
        assert (await run.wait()).status.value == "success"


async def test_places_limit_runs_at_work_and_not_stored_runs() -> None:
    """submit() returns although no place is free; the run begins when one is."""
    begun: list[str] = []
    gate = anyio.Event()
    pipe, journal = gated(gate, begun), MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal, max_runs=1) as supervisor:
        runs = [
            await supervisor.submit(pipe, {}, run_id=f"run-{number}")
            for number in range(3)
        ]
        await wait_until(lambda: "slow" in begun)
        assert begun == ["first", "slow"]
        gate.set()
        with anyio.fail_after(30):
            ends = [await run.wait() for run in runs]

    assert [end.status.value for end in ends] == ["success"] * 3


async def test_a_context_that_cannot_be_stored_is_made_each_time() -> None:
    """Supervisor(context=) makes one for each process of the run; a given context is stored."""
    made: list[Services] = []
    gate, begun = anyio.Event(), list[Services]()

    def make() -> Services:
        made.append(Services(object()))
        return made[-1]

    pipe: Pipe[Any, Any] = Pipe(dict, Services, name="served")

    @pipe.step("only")
    async def only(state: dict[str, Any], context: Services) -> None:
        begun.append(context)
        await gate.wait()

    journal = MemoryJournal(verify=True)
    async with Supervisor(pipe, journal=journal, context=make, grace=0) as supervisor:
        await supervisor.submit(pipe, {}, run_id="one")
        await wait_until(lambda: bool(begun))
        with pytest.raises(NotStorable, match="client"):
            await supervisor.submit(pipe, {}, Services(object()))
    gate.set()
    async with Supervisor(pipe, journal=journal, context=make) as supervisor:
        run = await supervisor.find("one")
        assert run is not None
        with anyio.fail_after(30):
            await run.wait()

    assert begun == made[:1] + made[-1:]
    assert begun[0] is not begun[1]
