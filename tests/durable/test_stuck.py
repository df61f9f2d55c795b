"""Runs that no worker can continue become stuck, name the reason, and can be released."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import RunStuck
from justpipe_actors.journals import MemoryJournal

from .crash_model import CopyingJournal, journal_of, run_through, wait_until


def chain(name: str = "second") -> Pipe[Any, Any]:
    """Return a pipe of two steps."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="chain")

    @pipe.step("first", to=name)
    async def first(state: dict[str, Any]) -> None:
        state["first"] = True

    @pipe.step(name)
    async def second(state: dict[str, Any]) -> None:
        state["second"] = True

    return pipe


def _die(journal: MemoryJournal, times: int) -> None:
    """Take the run up and die before a commit is stored."""
    for _ in range(times):
        worker = journal.add_worker("doomed")
        assert journal.claim(worker, ["chain"])
        journal.remove_worker(worker)


async def _begun() -> CopyingJournal:
    journal = CopyingJournal()
    executed: list[str] = []
    await run_through(chain(), journal, {}, executed)
    return journal_of(journal.copies[1])


async def test_a_run_that_kills_its_workers_becomes_stuck() -> None:
    """After three deaths in a row the problem names the steps in flight."""
    journal = await _begun()
    _die(journal, 2)
    async with Supervisor(chain(), journal=journal) as supervisor:
        run = await supervisor.find("run")
        assert run is not None
        with anyio.fail_after(30), pytest.raises(RunStuck, match="'second'"):
            await run.wait()
        row = journal.find("run")
        assert row is not None
        assert row.status == "stuck"
        again = await supervisor.redrive("run")
        with anyio.fail_after(30):
            assert (await again.wait()).status.value == "success"


async def test_two_deaths_do_not_make_a_run_stuck() -> None:
    """The run goes on."""
    journal = await _begun()
    _die(journal, 1)
    async with Supervisor(chain(), journal=journal) as supervisor:
        run = await supervisor.find("run")
        assert run is not None
        with anyio.fail_after(30):
            assert (await run.wait()).status.value == "success"


async def test_a_version_without_the_due_step_does_not_fit() -> None:
    """The run is stuck with the reason, and goes on when the step is back."""
    journal = await _begun()
    async with Supervisor(chain("other"), journal=journal) as supervisor:
        run = await supervisor.find("run")
        assert run is not None
        with anyio.fail_after(30), pytest.raises(RunStuck, match="'second' is gone"):
            await run.wait()
    assert journal.redrive("run")
    async with Supervisor(chain(), journal=journal) as supervisor:
        found = await supervisor.find("run")
        assert found is not None
        with anyio.fail_after(30):
            assert (await found.wait()).status.value == "success"


async def test_the_timeout_of_a_run_includes_waiting_times() -> None:
    """It continues while no process works on the run."""
    clock = [1000.0]
    pipe: Pipe[Any, Any] = Pipe(dict, name="slow")

    @pipe.step("only")
    async def only(state: dict[str, Any]) -> None:
        state["began"] = True
        await anyio.sleep_forever()

    journal = MemoryJournal(clock=lambda: clock[0])
    async with Supervisor(pipe, journal=journal, grace=0) as supervisor:
        await supervisor.submit(pipe, {}, run_id="one", timeout=3600)
        await wait_until(
            lambda: any(snap.running for snap in supervisor.snapshot().runs.values())
        )
    clock[0] += 4000
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.find("one")
        assert run is not None
        with anyio.fail_after(30):
            end = await run.wait()

    assert end.status.value == "timeout"
