"""The thread that writes a journal: batches are stored together, in order, and none is lost."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from justpipe_actors._backends import current_loop
from justpipe_actors._engine.journal_port import BatchDraft, BatchEnd
from justpipe_actors._supervisor.journal_writer import JournalWriter
from justpipe_actors._supervisor.leases import LeaseKeeper, Turn
from justpipe_actors.abc import Batch, NewAsk, NewRun
from justpipe_actors.errors import JournalUnusableError
from justpipe_actors.journals import MemoryJournal


class Flaky(MemoryJournal):
    """A journal that fails or blocks when a test tells it to."""

    error: Exception | None = None
    transactions: list[int]
    gate: threading.Event

    def __init__(self, **settings: float) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]
        self.transactions = []
        self.gate = threading.Event()
        self.gate.set()
        self.failed = threading.Event()

    def append(self, batches: Sequence[Batch]) -> frozenset[int]:
        self.gate.wait()
        if self.error is not None:
            self.failed.set()
            raise self.error
        self.transactions.append(len(batches))
        return super().append(batches)


@asynccontextmanager
async def writing(journal: MemoryJournal) -> AsyncGenerator[JournalWriter]:
    """Own a writer whose thread has ended when the block is left."""
    writer = JournalWriter(journal, current_loop().call_soon)
    writer.start()
    try:
        yield writer
    finally:
        await writer.aclose(5)


def claims(journal: MemoryJournal, *run_ids: str) -> list[int]:
    """Return the numbers of new runs, owned by a worker."""
    worker = journal.add_worker("w")
    new = [NewRun(run_id=one, pipe="p", fingerprint="f", input="{}") for one in run_ids]
    return [journal.submit(one, worker).run.id for one in new]


class Stored:
    """Counts what the writer reports about batches, and waits for a number of reports."""

    def __init__(self, expected: int) -> None:
        self.results: list[tuple[int, BatchEnd]] = []
        self._left = expected
        self._done = anyio.Event()

    def note(self, number: int, end: BatchEnd) -> None:
        self.results.append((number, end))
        self._left -= 1
        if not self._left:
            self._done.set()

    async def wait(self) -> list[tuple[int, BatchEnd]]:
        await self._done.wait()
        return self.results

    def put(self, writer: JournalWriter, run: int, n: int) -> None:
        draft = BatchDraft(run=run, n=n, kind="commit", delta={"m/1": [1]})
        writer.put(draft, lambda end: self.note(run, end))


async def test_batches_that_wait_are_stored_together() -> None:
    """Batches that come during a transaction share the next one."""
    journal = Flaky()
    runs = claims(journal, "a", "b", "c")
    async with writing(journal) as writer:
        journal.gate.clear()
        stored = Stored(4)
        stored.put(writer, runs[0], 2)
        await anyio.sleep(0.05)  # the thread is at the gate
        for run in runs[1:]:
            stored.put(writer, run, 2)
        stored.put(writer, runs[0], 3)
        journal.gate.set()
        assert all(end is BatchEnd.STORED for _run, end in await stored.wait())
    assert sum(journal.transactions) == 4
    assert len(journal.transactions) <= 3
    assert [row.n for row in journal.commits(runs[0])] == [1, 2, 3]


async def test_a_lost_lease_is_reported_to_its_run_only() -> None:
    """The batch with the taken number is refused; the others of its transaction are stored."""
    journal = Flaky()
    one, other = claims(journal, "a", "b")
    journal.append([Batch(run=one, n=2, kind="commit")])
    async with writing(journal) as writer:
        stored = Stored(2)
        stored.put(writer, one, 2)
        stored.put(writer, other, 2)
        assert dict(await stored.wait()) == {
            one: BatchEnd.REFUSED,
            other: BatchEnd.STORED,
        }


async def test_a_failed_write_is_tried_until_it_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The runs wait, health names the problem, and no batch is lost or stored twice."""
    journal = Flaky()
    [run] = claims(journal, "a")
    journal.error = sqlite3.OperationalError("database or disk is full")
    async with writing(journal) as writer:
        stored = Stored(1)
        stored.put(writer, run, 2)
        await anyio.to_thread.run_sync(journal.failed.wait)
        problem, since = await writer.call(
            lambda: (writer.problem, writer.failing_since)
        )
        assert "disk is full" in (problem or "")
        assert since is not None
        assert stored.results == []
        journal.error = None
        assert await stored.wait() == [(run, BatchEnd.STORED)]
        assert await writer.call(lambda: writer.problem) is None
    assert [row.n for row in journal.commits(run)] == [1, 2]
    text = caplog.text
    assert "cannot be written" in text
    assert "is written again" in text
    assert [r.levelno for r in caplog.records].count(logging.WARNING) == 2


async def test_closing_gives_up_on_a_slow_disk() -> None:
    """What cannot be stored in time is given up; the next owner starts from what was stored."""
    journal = Flaky()
    [run] = claims(journal, "a")
    journal.error = sqlite3.OperationalError("readonly database")
    writer = JournalWriter(journal, current_loop().call_soon)
    writer.start()
    Stored(1).put(writer, run, 2)
    assert not await writer.aclose(0.2)
    assert len(journal.commits(run)) == 1


async def test_questions_are_answered_in_the_thread() -> None:
    """A call returns what the journal returns, and raises what it raises."""
    journal = Flaky()
    async with writing(journal) as writer:
        assert await writer.call(journal.find, "x") is None
        names = await writer.call(lambda: threading.current_thread().name)
        assert names == "justpipe_actors journal"
        with pytest.raises(ZeroDivisionError):
            await writer.call(lambda: 1 // 0)


async def test_a_row_that_is_not_json_fails_its_run_alone() -> None:
    """Other runs of the same transaction are stored."""
    journal = Flaky()
    one, other = claims(journal, "a", "b")
    async with writing(journal) as writer:
        stored = Stored(2)
        bad = BatchDraft(run=one, n=2, kind="commit", delta={"m/1": object()})
        writer.put(bad, lambda end: stored.note(one, end))
        stored.put(writer, other, 2)
        assert dict(await stored.wait()) == {
            one: BatchEnd.REFUSED,
            other: BatchEnd.STORED,
        }


# -- the worker


class Handler:
    """Notes what the worker's polls find."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.told: list[str | None] = []
        self.deaths = 0
        self._changed = anyio.Event()

    def handle(self, turn: Turn) -> None:
        self.taken += [claim.run.run_id for claim in turn.claims]
        self.told += [signal.body for signal in turn.signals]
        self.deaths += turn.is_lost
        if turn.claims or turn.signals or turn.is_lost:
            self._changed.set()

    async def wait_change(self) -> None:
        await self._changed.wait()
        self._changed = anyio.Event()


@asynccontextmanager
async def working(
    journal: MemoryJournal, places: int | None = None
) -> AsyncGenerator[tuple[LeaseKeeper, Handler]]:
    """Own a worker of a journal."""
    handler = Handler()
    async with writing(journal) as writer:
        keeper = LeaseKeeper(
            journal, writer, handler.handle, lambda: ("p",), lambda: places
        )
        await keeper.start()
        try:
            yield keeper, handler
        finally:
            await keeper.aclose()
            await keeper.leave()


async def test_a_worker_claims_ready_runs() -> None:
    """A run that any process submitted is claimed soon, and released at its end."""
    journal = MemoryJournal()
    async with working(journal) as (_keeper, handler):
        journal.submit(NewRun(run_id="a", pipe="p", fingerprint="f", input="{}"))
        journal.submit(NewRun(run_id="b", pipe="q", fingerprint="f", input="{}"))
        await handler.wait_change()
        assert handler.taken == ["a"]
    found = journal.find("a")
    assert found is not None
    assert found.status == "ready"
    assert journal.workers() == []


async def test_a_worker_without_a_free_place_claims_nothing() -> None:
    """A full supervisor leaves runs to others, and still receives signals."""
    journal = MemoryJournal()
    async with working(journal, places=0) as (keeper, handler):
        new = NewRun(run_id="a", pipe="p", fingerprint="f", input="{}")
        mine = journal.submit(new, keeper.worker).claim
        assert mine is not None
        journal.submit(NewRun(run_id="b", pipe="p", fingerprint="f", input="{}"))
        ask = NewAsk(id="k", step="s", form="{}")
        journal.append([Batch(run=mine.run.id, n=2, kind="commit", asks=(ask,))])
        journal.answer("k", "true")
        await handler.wait_change()
        journal.cancel("a", "enough")
        await handler.wait_change()
        assert handler.told == ["true", '"enough"']
        assert handler.taken == []


async def test_a_worker_that_was_declared_dead_is_told() -> None:
    """It releases its runs and goes on under a new number."""
    journal = MemoryJournal(lease=0.3)
    async with working(journal) as (keeper, handler):
        before = keeper.worker
        journal.remove_worker(before)
        await handler.wait_change()
        assert handler.deaths == 1
        assert keeper.worker != before


async def test_a_worker_without_heartbeats_releases_its_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a whole lease without a heartbeat other workers may own its runs."""
    journal = MemoryJournal(lease=0.2)
    async with working(journal) as (_keeper, handler):

        def fail(_worker: int) -> bool:
            msg = "server away"
            raise OSError(msg)

        monkeypatch.setattr(journal, "beat", fail)
        await handler.wait_change()
        assert handler.deaths
        monkeypatch.undo()


async def test_a_first_write_that_fails_after_the_grace_is_not_repeated() -> None:
    """A locked file refuses a write after a second, which may be after the grace."""
    journal = Flaky()
    (run,) = claims(journal, "one")
    stored = Stored(1)
    async with writing(journal) as writer:
        journal.gate.clear()
        journal.error = sqlite3.OperationalError("database is locked")
        draft = BatchDraft(run=run, n=1, kind="commit", delta={})
        writer.put(draft, lambda end: stored.note(1, end))
        try:
            assert writer.give_up()
        finally:
            journal.gate.set()
        with anyio.fail_after(30):
            assert await stored.wait() == [(1, BatchEnd.REFUSED)]


async def test_a_call_waits_for_a_locked_journal_no_longer_than_the_grace() -> None:
    """Else the last rows of the runs would wait behind it."""
    failed = anyio.Event()
    loop = current_loop()

    def refuse() -> None:
        loop.call_soon(failed.set)
        msg = "database is locked"
        raise sqlite3.OperationalError(msg)

    async with writing(Flaky()) as writer, anyio.create_task_group() as tasks:

        async def call() -> None:
            with pytest.raises(JournalUnusableError, match="locked"):
                await writer.call(refuse)

        tasks.start_soon(call)
        with anyio.fail_after(30):
            await failed.wait()
            writer.give_up()


async def test_an_error_that_no_database_takes_is_stored_escaped() -> None:
    """Else the transaction would fail for good, and with it those of all runs."""
    journal = Flaky()
    (run,) = claims(journal, "one")
    stored = Stored(1)
    draft = BatchDraft(
        run=run, n=2, kind="end", delta={}, status="failed", problem="no file \udcff"
    )
    async with writing(journal) as writer:
        writer.put(draft, lambda end: stored.note(1, end))
        with anyio.fail_after(30):
            assert await stored.wait() == [(1, BatchEnd.STORED)]
    row = journal.find("one")
    assert row is not None
    assert row.problem == "no file \\udcff"
