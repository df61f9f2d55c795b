"""Of two workers on one run only one can write."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import EventType, Pipe, Supervisor
from justpipe_actors.errors import RunReleased
from justpipe_actors.journals import MemoryJournal

from .crash_model import wait_until


async def test_a_worker_that_was_declared_dead_cannot_write() -> None:
    """Its commit is refused, its stream reports that, and the other worker's result stays."""
    gates = [anyio.Event(), anyio.Event()]
    entered: list[int] = []
    pipe: Pipe[Any, Any] = Pipe(dict, name="gated")

    @pipe.step("slow", to="last")
    async def slow(state: dict[str, Any]) -> None:
        number = len(entered)
        entered.append(number)
        await gates[number].wait()
        state["by"] = number

    @pipe.step("last")
    async def last(state: dict[str, Any]) -> None:
        state["last"] = True

    journal = MemoryJournal(verify=True)
    async with (
        Supervisor(pipe, journal=journal, max_runs=1) as one,
        Supervisor(pipe, journal=journal) as two,
    ):
        run = await one.submit(pipe, {}, run_id="run")
        await wait_until(lambda: len(entered) == 1)
        row = journal.find("run")
        assert row is not None
        assert row.worker is not None
        journal.remove_worker(row.worker)
        await wait_until(lambda: len(entered) == 2)
        gates[0].set()
        with anyio.fail_after(30), pytest.raises(RunReleased, match="taken"):
            await run.wait()
        assert EventType.FINISH not in [event.type for event in await _read(run)]
        found = await two.find("run")
        assert found is not None
        gates[1].set()
        with anyio.fail_after(30):
            end = await found.wait()

    assert end.status.value == "success"
    kinds = [commit.kind for commit in journal.commits(row.id)]
    assert kinds.count("takeover") == 2
    assert kinds.count("end") == 1
    assert '"by":1' in "".join(commit.state or "" for commit in journal.load(row.id))


async def _read(run: Any) -> list[Any]:
    found = []
    with pytest.raises(RunReleased):
        async for event in run:
            found.append(event)
    return found
