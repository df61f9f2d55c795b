"""A run that only lets its begun steps finish ends in the next process, too."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import Ask, Pipe, Stop, Supervisor, Suspend, once
from justpipe_actors._engine import batch_stream
from justpipe_actors.journals import MemoryJournal

from .crash_model import CopyingJournal, journal_of, run_through


@pytest.fixture(autouse=True)
def _check_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check after each batch that the rows describe the run."""
    monkeypatch.setattr(batch_stream, "check_fold", True)


class Halting:
    """A pipe with an open question between steps, a step that halts it, and a slow one."""

    def __init__(self, result: Any, *, is_broken: bool = False) -> None:
        self.is_asked, self.is_halting = anyio.Event(), anyio.Event()
        self.result = result
        self.is_broken = is_broken

    def pipe(self) -> Pipe[Any, Any]:
        pipe: Pipe[Any, Any] = Pipe(dict, name="halting", allow_multi_root=True)

        @pipe.step
        async def asks() -> Ask:
            return Ask(bool, "Go on?", to="after")

        @pipe.step
        async def after(ok: bool) -> None:
            raise AssertionError

        @pipe.step
        async def halts() -> Any:
            await self.is_asked.wait()
            self.is_halting.set()
            return self.result

        @pipe.step
        async def slow(state: dict[str, Any]) -> None:
            await self.is_halting.wait()
            await once("first", str)  # with it, the journal has the halted run
            await once("second", str)
            if self.is_broken:
                raise ValueError("broken")
            state["is_done"] = True

        return pipe

    async def ask(self, supervisor: Supervisor) -> None:
        """Let the run halt when its question is open."""
        if not self.is_asked.is_set():
            await asked(supervisor)
        self.is_asked.set()


async def asked(supervisor: Supervisor) -> list[str]:
    """Wait until the run has asked; return the steps that ask."""
    with anyio.fail_after(30):
        while not (asks := await supervisor.asks()):  # noqa: ASYNC110 - as in a terminal
            await anyio.sleep(0.005)
    return [one.step for one in asks]


@pytest.mark.parametrize(
    "result", [Stop(), Suspend("for now")], ids=["stop", "suspend"]
)
async def test_a_halted_run_with_an_open_question_ends_after_a_crash(
    result: Any,
) -> None:
    """The question was withdrawn when the run halted, so no answer is waited for."""
    program = Halting(result)
    journal = CopyingJournal()
    executed: list[str] = []
    plain = await run_through(program.pipe(), journal, {}, executed, program.ask)
    assert plain.state == {"is_done": True}

    for number, copy in enumerate(journal.copies):
        copied = journal_of(copy)
        again = await run_through(program.pipe(), copied, {}, executed, program.ask)
        assert again.summary == plain.summary, number
        assert copied.asks() == []


async def test_a_retry_of_a_failed_run_asks_again() -> None:
    """The question of a step that had succeeded is open again."""
    program = Halting(Stop(), is_broken=True)
    journal = MemoryJournal()
    pipe = program.pipe()
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="run")
        await program.ask(supervisor)
        with anyio.fail_after(30):
            assert (await run.wait()).status.value == "failed"
        program.is_broken = False
        again = await supervisor.retry("run")
        steps = await asked(supervisor)
        again.cancel("enough")
        await again.wait()

    assert steps == ["asks"]
