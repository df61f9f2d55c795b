"""A model of crashes: one event loop, virtual time, no threads, any schedule.

The journal is in memory, and its writer and its leases work in callbacks of the loop, so
a schedule decides everything.  ``History`` takes a copy of the journal after each
transaction, and notes at each failpoint of the journal what a process that dies right
there leaves behind: the last copy, the calls of functions and the event numbers so far.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import attrs
import pytest

from justpipe_actors import Supervisor
from justpipe_actors._engine import batch_stream
from justpipe_actors._supervisor import durable_runs
from justpipe_actors._supervisor.journal_writer import JournalWriter
from justpipe_actors._supervisor.leases import LeaseKeeper, Turn
from justpipe_actors._supervisor.taking_up import fold_rows
from justpipe_actors._util.failpoints import JOURNAL_SEAMS, FailpointHandler, Seam
from justpipe_actors.abc import CommitMode
from justpipe_actors.errors import UnknownAsk
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.testing import schedules, virtual_time
from justpipe_actors.testing.schedules import Schedule, at_seams
from justpipe_actors.testing.virtual_clock import Backend

from ..crash import random_graphs
from .crash_model import RUN, fill_journal, final_state


UNCOMMITTED = {Seam.SETTLE, Seam.PULL, Seam.CHILD}
"""Seams between a step's last change and the commit that records what it has returned.

Nothing waits there but a failpoint, and another commit would hold half of the step."""

WHERE = frozenset(Seam) - JOURNAL_SEAMS - UNCOMMITTED - {Seam.PUT, Seam.SPAWN}
"""Where tasks are held up."""

LIMIT = 60
"""Virtual seconds that a run may take."""


class LoopWriter(JournalWriter):
    """A writer without a thread: it writes some turns of the loop later."""

    rng = random.Random(0)

    def start(self) -> None:
        """Begin to write."""

    def put(self, draft: Any, on_stored: Any) -> None:
        """Queue a batch."""
        self._drafts.append((draft, on_stored))
        self._soon(self.rng.choice((0, 0, 1, 4)))

    def post(self, job: Callable[[], None]) -> None:
        """Queue a call."""
        self._jobs.append(job)
        self._soon(self.rng.choice((0, 0, 1)))

    async def aclose(self, seconds: float) -> bool:
        """Write all queued batches."""
        self._drain()
        return True

    def _soon(self, turns: int) -> None:
        later = self._drain if turns == 0 else lambda: self._soon(turns - 1)
        self.call_soon(later)

    def _drain(self) -> None:
        while self._jobs:
            self._jobs.popleft()()
        if self._drafts:
            self._store()
        if self._drafts:
            self._soon(1)


class LoopKeeper(LeaseKeeper):
    """Leases without a thread: ``hurry`` makes a turn."""

    async def start(self) -> None:
        """Become a worker."""
        await self.writer.call(self._join)

    def hurry(self) -> None:
        """Take a turn."""
        if not self._is_closing.is_set():
            self.writer.post(self._turn)

    async def aclose(self) -> None:
        """Make no more turns."""
        self._is_closing.set()

    def _watch_clock(self, turn: Turn) -> None:
        pass  # the journal's clock is virtual, and passes quickly


@contextmanager
def without_threads(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Let supervisors write and keep leases in callbacks of their loop."""
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(durable_runs, "JournalWriter", LoopWriter)
        patch.setattr(durable_runs, "LeaseKeeper", LoopKeeper)
        patch.setattr(batch_stream, "check_fold", True)
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


@attrs.frozen
class Death:
    """The traces of a process that dies at one point."""

    where: Seam | None
    """The failpoint; None is right after a transaction of another kind."""
    copy: bytes
    """The journal."""
    calls: tuple[str, ...]
    """Calls of functions so far, in all processes."""
    seqs: tuple[int, ...]
    """Event numbers that a consumer has seen, in all processes."""
    at: float
    """When, on the journal's clock."""

    def live(self) -> tuple[set[str], bool]:
        """Return the steps in flight in the journal, and whether a commit is stored."""
        journal = fill_journal(self.copy, MemoryJournal())
        row = journal.find(RUN)
        rows = [] if row is None else journal.load(row.id)
        fold: dict[str, Any] = fold_rows(rows)
        steps = {
            value["s"]
            for key, value in fold.items()
            if key.split("/")[-2:-1] in (["m"], ["e"])
        }
        return steps, any(one.kind == "commit" for one in rows)


@attrs.define(eq=False)
class CopiedDatabase:
    """A database that is copied after each transaction."""

    database: Any
    on_copy: Callable[[bytes], object]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.database, name)

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """Use the connection inside a transaction."""
        with self.database.write() as connection:
            yield connection
        self.on_copy(connection.serialize())


@attrs.define(eq=False)
class History(FailpointHandler):
    """One process: what it does, and the traces it would leave at each point."""

    schedule: Schedule
    calls: list[str]
    seqs: list[int]
    clock: Callable[[], float]
    deaths: list[Death] = attrs.field(factory=list)
    copy: bytes = b""

    def copied(self, copy: bytes) -> None:
        self.copy = copy
        self._note(None)

    async def reach(self, seam: Seam, run_id: str, part: str) -> None:
        await self.schedule.reach(seam, run_id, part)

    def reach_nowait(self, seam: Seam, run_id: str, part: str) -> None:
        if seam in JOURNAL_SEAMS:
            self._note(seam)

    def _note(self, where: Seam | None) -> None:
        if self.copy:
            death = Death(
                where, self.copy, tuple(self.calls), tuple(self.seqs), self.clock()
            )
            self.deaths.append(death)


@attrs.frozen
class Ended:
    """How a run ended, and at which points its last process could have died."""

    summary: tuple[Any, ...]
    calls: tuple[str, ...]
    seqs: tuple[int, ...]
    deaths: list[Death]


@attrs.frozen
class Model:
    """One random pipeline, on one loop, in one mode."""

    seed: int
    backend: Backend
    mode: CommitMode

    def graph(self, log: Callable[[str], object]) -> random_graphs.Graph:
        """Return the pipeline."""
        return random_graphs.build(self.seed, log, waits=True)

    def run(self, choices: list[int], after: Death | None = None) -> Ended:
        """Run it from the beginning, or take it up after a death."""
        calls = [] if after is None else list(after.calls)
        seqs = [] if after is None else list(after.seqs)
        began = 1e9 if after is None else after.at
        graph = self.graph(calls.append)
        loop_now: list[Callable[[], float]] = [lambda: 0.0]

        def now() -> float:
            return began + loop_now[0]()

        journal: Any = MemoryJournal(
            self.mode, lease=1e9, attempts=1000, verify=True, clock=now
        )
        if after is not None:
            fill_journal(after.copy, journal)
        history = History(Schedule(choices, WHERE), calls, seqs, now)
        LoopWriter.rng = random.Random(str(choices))
        journal._database = CopiedDatabase(journal._database, history.copied)

        async def main() -> Any:
            supervisor = Supervisor(graph.pipe, journal=journal, grace=1)
            async with supervisor, anyio.create_task_group() as tasks:
                active = supervisor._core.active_runs
                assert active is not None
                loop = active.loop
                start = loop.now()
                loop_now[0] = lambda: loop.now() - start
                tasks.start_soon(answer_all, supervisor, graph.expired)
                with anyio.fail_after(LIMIT):
                    run = await supervisor.submit(graph.pipe, {}, run_id=RUN)
                    async for event in run:
                        assert event.seq is not None
                        seqs.append(event.seq)
                    end = await run.wait()
                tasks.cancel_scope.cancel()
            errors = sorted(str(one.error) for one in end.errors)
            return end.status.value, errors, final_state(graph.pipe, journal)

        with at_seams(history):
            summary = anyio.run(main, **virtual_time(self.backend))
        return Ended(summary, tuple(calls), tuple(seqs), history.deaths)


async def answer_all(supervisor: Supervisor, expired: random_graphs.Expired) -> None:
    """Answer asks as they become answerable, and let the worker make turns."""
    while True:
        for asked in await supervisor.asks():
            answer = random_graphs.answer_of(asked, expired)
            if answer is not None:
                with suppress(UnknownAsk):
                    await supervisor.answer(asked.id, answer)
        durable = supervisor._core.durable
        assert durable is not None
        durable.keeper.hurry()
        await anyio.sleep(0.05)


def drawn(rng: random.Random) -> list[int]:
    """Draw a schedule without delays of a whole second, in which the worker polls often."""
    return [min(choice, 4) for choice in schedules.draw(rng, 200)]


@attrs.define
class Report:
    """The crashes that were tried, and the differences."""

    cases: int = 0
    skipped: int = 0
    """Pipelines with an end that depends on timing."""
    problems: list[str] = attrs.field(factory=list)


def try_model(model: Model, schedule: int, most: int, report: Report) -> None:
    """Crash one pipeline under one schedule at up to ``most`` points, twice in a row.

    Each recovery runs under a schedule of its own, and is crashed at a moment of its own.
    """
    rng = random.Random(f"{model.seed} {schedule}")
    ends_early = model.graph(lambda _text: None).ends_early
    plain = model.run([])
    first = model.run(drawn(rng) if schedule else [])
    if not ends_early and first.summary != plain.summary:
        again = model.run(drawn(rng))
        if again.summary != plain.summary:
            report.skipped += 1
            return
    every = max(1, -(-len(first.deaths) // most))
    for number, death in list(enumerate(first.deaths))[::every]:
        report.cases += 1
        deaths = [death]
        found = model.run(drawn(rng), death)
        if found.deaths and rng.random() < 0.5:
            deaths.append(rng.choice(found.deaths))
            found = model.run(drawn(rng), deaths[-1])
        name = f"{model} schedule {schedule} death {number} at {death.where}"
        if len(deaths) > 1:
            name += f", then at {deaths[1].where}"
        report.problems += [
            f"{name}: {problem}"
            for problem in problems_of(
                model, plain, found, deaths, ends_early=ends_early
            )
        ]


def problems_of(
    model: Model, plain: Ended, found: Ended, deaths: list[Death], *, ends_early: bool
) -> Iterator[str]:
    """Return the differences of a recovered run from an uninterrupted one."""
    if found.summary[0] != plain.summary[0]:
        yield f"ended as {found.summary[:2]}, not {plain.summary[:2]}"
    elif not ends_early and found.summary != plain.summary:
        yield f"{plain.summary} became {found.summary}"
    if len(found.seqs) != len(set(found.seqs)):
        yield "an event number came twice"
    if model.mode != "sync" or ends_early:
        return
    lives = [death.live() for death in deaths]
    if not all(has_begun for _, has_begun in lives):
        return
    live = set().union(*(steps for steps, _ in lives))
    allowed = Counter(plain.calls)
    for name, times in Counter(found.calls).items():
        step = name.rpartition(":")[2].partition("[")[0].removeprefix("rescue ")
        if times > max(allowed[name], 1) and step not in live:
            yield f"'{name}' had finished, and ran again"
