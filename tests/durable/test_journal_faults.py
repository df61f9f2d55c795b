"""A journal that cannot be written: runs wait, report it, and go on afterwards."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor, ask
from justpipe_actors._engine.run_journal import RunJournal
from justpipe_actors._supervisor import drain
from justpipe_actors.abc import Batch
from justpipe_actors.errors import RunReleased
from justpipe_actors.events import EventType
from justpipe_actors.journals import MemoryJournal

from .crash_model import wait_until


class FullJournal(MemoryJournal):
    """A journal on a disk that is full for a while."""

    is_full = False
    refused = 0

    def append(self, batches: Sequence[Batch]) -> frozenset[int]:
        """Store batches if there is room."""
        if self.is_full:
            self.refused += 1
            msg = "No space left on device"
            raise OSError(28, msg)
        return super().append(batches)


def steps(journal: FullJournal, done: list[str]) -> Pipe[Any, Any]:
    """Return a pipe with a journal that is full after the first step."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="steps")

    @pipe.step("first", to="second")
    async def first(state: dict[str, Any]) -> None:
        journal.is_full = True
        done.append("first")
        state["first"] = True

    @pipe.step("second")
    async def second(state: dict[str, Any]) -> None:
        done.append("second")
        state["second"] = True

    return pipe


async def test_runs_wait_on_a_full_disk_and_lose_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No step begins before the last commit is stored; health and log have the reason."""
    journal, done = FullJournal(verify=True), list[str]()
    pipe = steps(journal, done)
    with caplog.at_level(logging.WARNING):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="one")
            await wait_until(lambda: journal.refused >= 2)
            assert done == ["first"]
            assert run.snapshot().tokens == {"journal": 1}
            health = supervisor.health()
            assert health.live
            assert not health.ready
            assert "No space left" in " ".join(health.reasons)
            journal.is_full = False
            with anyio.fail_after(30):
                end = await run.wait()
            assert supervisor.health().ready

    assert end.status.value == "success"
    assert done == ["first", "second"]
    assert "stand still" in caplog.text


@pytest.mark.parametrize("fails", [False, True], ids=["left", "left by an error"])
async def test_a_supervisor_closes_though_its_journal_cannot_be_written(
    fails: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its run is released, and the next process goes on at the last stored commit."""
    monkeypatch.setattr(drain, "MIN_CLEANUP_TIME", 0.0)
    journal, done = FullJournal(verify=True), list[str]()
    pipe: Pipe[Any, Any] = Pipe(dict, name="steps")

    @pipe.step("first", to="second")
    async def first() -> None:
        journal.is_full = not done
        done.append("first")

    @pipe.step("second")
    async def second() -> None:
        done.append("second")

    with anyio.fail_after(60), suppress(KeyError):
        async with Supervisor(pipe, journal=journal, grace=0) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="one")
            await wait_until(lambda: not supervisor.health().ready)
            if fails:
                raise KeyError
    with pytest.raises(RunReleased):
        await run.wait()
    assert done == ["first"]
    assert "goes on from there" in caplog.text

    journal.is_full = False
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="one")
        assert (await run.wait()).status.value == "success"
    assert done == ["first", "first", "second"]


async def test_a_run_whose_batch_is_being_written_is_not_reported_as_completed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk that does not respond keeps it at work."""
    monkeypatch.setattr(drain, "MIN_CLEANUP_TIME", 0.0)
    gate = threading.Event()

    class SlowJournal(MemoryJournal):
        def append(self, batches: Sequence[Batch]) -> frozenset[int]:
            gate.wait()
            return super().append(batches)

    pipe: Pipe[Any, Any] = Pipe(dict, name="plain")
    pipe.step("only")(lambda: None)
    async with Supervisor(pipe, journal=SlowJournal()) as supervisor:
        try:
            await supervisor.submit(pipe, {}, run_id="one")
            report = await supervisor.drain(0)
        finally:
            gate.set()
    assert [one.run_id for one in report.stuck] == ["one"]
    assert report.completed == ()


async def test_a_note_that_no_database_takes_is_stored_escaped() -> None:
    """A file's name may have lone surrogates; the run goes on."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="plain")

    @pipe.step
    async def only(state: dict[str, Any]) -> None:
        await ask(int, "Which \udcff?")

    with anyio.fail_after(60):
        async with Supervisor(pipe, journal=MemoryJournal()) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="one")
            async for event in run:
                if event.type is EventType.ASK:
                    break
            asks = await supervisor.asks()
            assert asks[0].note == "Which \\udcff?"
            await supervisor.answer(asks[0].id, 1)
            assert (await run.wait()).status.value == "success"


async def test_a_state_that_can_no_longer_be_stored_fails_the_run() -> None:
    """The failure names the path, and the stored commits stay."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="live")

    @pipe.step("fine", to="bad")
    async def fine(state: dict[str, Any]) -> None:
        state["n"] = 1

    @pipe.step("bad", to="never")
    async def bad(state: dict[str, Any]) -> None:
        state["client"] = object()

    @pipe.step("never")
    async def never(state: dict[str, Any]) -> None:
        state["never"] = True

    journal = MemoryJournal()
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="one")
        with anyio.fail_after(30):
            end = await run.wait()
    row = journal.find("one")

    assert end.status.value == "failed"
    assert "client" in (end.error or "")
    assert row is not None
    assert row.status == "failed"
    assert '"never"' not in "".join(one.state or "" for one in journal.commits(row.id))


@pytest.mark.parametrize("lap", range(10))
async def test_a_last_state_that_cannot_be_stored_fails_the_run(lap: int) -> None:
    """The end and the last commit are one row, so the stored end is a failure, too."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="live")

    @pipe.step("last")
    async def last(state: dict[str, Any]) -> None:
        state["client"] = object()

    journal = MemoryJournal()
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, {"lap": lap}, run_id="one")
        with anyio.fail_after(30):
            events = [event async for event in run]
            end = await run.wait()
    row = journal.find("one")

    assert end.status.value == "failed"
    assert "state['client'] cannot be stored" in (end.error or "")
    assert end.failed_step == "last"
    assert events[-1].payload is end
    assert row is not None
    assert row.status == "failed"
    assert row.problem == end.error


async def test_a_batch_that_raises_fails_its_run_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread may change the state during the copy; a batch that raises again fails its run."""
    left = [2]
    take = RunJournal.take_state

    def restless(journal: RunJournal, *, is_whole: bool) -> Any:
        if left[0]:
            left[0] -= 1
            msg = "dictionary changed size during iteration"
            raise RuntimeError(msg)
        return take(journal, is_whole=is_whole)

    monkeypatch.setattr(RunJournal, "take_state", restless)
    journal = MemoryJournal()
    pipe: Pipe[Any, Any] = Pipe(dict, name="plain")
    pipe.step("only")(lambda: None)
    async with Supervisor(pipe, journal=journal) as supervisor:
        with anyio.fail_after(30):
            fine = await supervisor.submit(pipe, {}, run_id="fine")
            assert (await fine.wait()).status.value == "success"
            left[0] = 1_000_000
            broken = await supervisor.submit(pipe, {}, run_id="broken")
            assert (await broken.wait()).status.value == "failed"
