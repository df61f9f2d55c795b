"""The result of a run that ended before its supervisor began, or in another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor, Suspend
from justpipe_actors.errors import (
    DefinitionError,
    PipelineCancelled,
    RecordedError,
    RunTimeout,
)
from justpipe_actors.journals import MemoryJournal


@dataclass
class Report:
    pages: int = 0


def reports(name: str = "report") -> Pipe[Report, Any]:
    """Return a pipe that does what the number of pages says."""
    pipe: Pipe[Report, Any] = Pipe(Report, name=name)

    @pipe.step()
    async def write(state: Report) -> object:
        pages, state.pages = state.pages, state.pages + 1
        if pages == 10:
            raise LookupError("no pages")
        if pages == 20:
            return Suspend("enough")
        if pages == 30:
            await anyio.sleep_forever()
        return None

    return pipe


async def end_run(
    journal: MemoryJournal, pages: int, limit: float | None = None
) -> None:
    """Let a run end in a supervisor of its own."""
    pipe = reports()
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, Report(pages), run_id="one", timeout=limit)
        if pages == 30 and limit is None:
            run.cancel("not needed")
        await run.wait()


async def result_of(journal: MemoryJournal) -> object:
    """Return the result of the run in the next supervisor."""
    async with Supervisor(reports(), journal=journal) as supervisor:
        run = await supervisor.find("one")
        assert run is not None
        return await run.result()


@pytest.mark.parametrize("pages", [0, 20], ids=["success", "suspended"])
async def test_the_state_is_read_from_the_journal(pages: int) -> None:
    """It has the pipe's type, as where the run has ended."""
    journal = MemoryJournal()
    await end_run(journal, pages)

    assert await result_of(journal) == Report(pages + 1)


async def test_submitting_an_id_again_has_the_result_of_the_first_run() -> None:
    """The program need not know in which process the run has ended."""
    journal, pipe = MemoryJournal(), reports()
    await end_run(journal, 0)

    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, Report(), run_id="one")
        assert await run.result() == Report(1)


async def test_a_failure_is_raised_as_it_was_recorded() -> None:
    """Type and text of the exception are known, the object is not."""
    journal = MemoryJournal()
    await end_run(journal, 10)

    with pytest.raises(RecordedError, match="no pages"):
        await result_of(journal)


async def test_a_timeout_names_the_seconds_that_were_given() -> None:
    """As where the run has ended."""
    journal = MemoryJournal()
    await end_run(journal, 30, limit=0.05)

    with pytest.raises(RunTimeout, match=r"timeout of 0\.05 s"):
        await result_of(journal)


async def test_a_cancellation_is_raised() -> None:
    """As where the run has ended."""
    journal = MemoryJournal()
    await end_run(journal, 30)

    with pytest.raises(PipelineCancelled, match="not needed"):
        await result_of(journal)


async def test_the_pipe_has_to_be_known() -> None:
    """The state cannot be read without its type; the outcome can."""
    journal = MemoryJournal()
    await end_run(journal, 0)

    async with Supervisor(reports("other"), journal=journal) as supervisor:
        run = await supervisor.find("one")
        assert run is not None
        assert (await run.wait()).status.value == "success"
        with pytest.raises(DefinitionError, match="report"):
            await run.result()


async def test_a_closed_supervisor_reads_nothing() -> None:
    """It says so, and does not wait for ever."""
    journal = MemoryJournal()
    await end_run(journal, 0)
    async with Supervisor(reports(), journal=journal) as supervisor:
        run = await supervisor.find("one")
    assert run is not None

    with pytest.raises(RuntimeError, match="inside the supervisor's block"):
        await run.result()


async def test_the_block_of_a_run_that_has_ended_is_left() -> None:
    """There is nothing to end."""
    journal = MemoryJournal()
    await end_run(journal, 0)
    async with Supervisor(reports(), journal=journal) as supervisor:
        run = await supervisor.find("one")
        assert run is not None
        async with run:
            assert [event async for event in run] == []
        assert await run.result() == Report(1)


async def test_a_run_that_has_not_begun_is_read() -> None:
    """Its events follow when it has a place."""
    pipe, begun = reports(), anyio.Event()
    first: Pipe[Report, Any] = Pipe(Report, name="first")

    @first.step()
    async def wait() -> None:
        await begun.wait()

    async with (
        Supervisor(pipe, first, journal=MemoryJournal(), max_runs=1) as supervisor,
        anyio.create_task_group() as tasks,
    ):
        await supervisor.submit(first, Report())
        run = await supervisor.submit(pipe, Report())

        async def read() -> None:
            assert len([event async for event in run]) == 4

        tasks.start_soon(read)
        begun.set()
    assert await run.result() == Report(1)
