"""Kills processes at each transaction of random durable runs, and compares the results.

::

    python -m tests.crash.driver FIRST LAST BACKEND MODE [--recoveries N] [--waits]

For each seed the run is executed without a journal (twice, to recognise pipelines with
an end that depends on timing), then with one that kills its process before, during and
after each transaction (submissions, claims and answers, too); another process takes the
run up.  ``--recoveries`` kills that many processes one after the other before the last
one may finish.

Each call of a step's function writes a line with its idempotency key, which stands for a
side effect.  At each kill the journal is read: in ``sync`` mode, a call that is finished
there must never write its line again, however many processes are killed afterwards.

With ``--waits`` the pipelines ask and wait for moments, and this driver
answers.

The driver executes one run in its own process, so that everything is imported, and forks
for each case, which takes 0.1 s.  No thread is left then, so forking is safe.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import attrs

from justpipe_actors import Supervisor, idempotency_key
from justpipe_actors._engine import batch_stream
from justpipe_actors._supervisor.taking_up import fold_rows
from justpipe_actors.abc import CommitMode
from justpipe_actors.errors import UnknownAsk
from justpipe_actors.journals import SQLiteJournal
from justpipe_actors.journals.sqlite import File

from . import random_graphs


RUN = "run"
LIMIT = 20
"""Seconds that a process may take."""


@attrs.define(eq=False)
class KillingFile:
    """A journal file that kills its process at one transaction."""

    file: File
    """Keeps the data."""
    where: str
    """Before, during or after the transaction."""
    number: int
    """The transaction, counted from 1."""
    begun: int = 0
    """Transactions so far."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def _kill(self, where: str) -> None:
        if self.where == where and self.begun == self.number:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def write(self) -> Generator[sqlite3.Connection]:
        """Use the connection inside a transaction, unless this process is killed there."""
        self.begun += 1
        self._kill("before")
        with self.file.write() as connection:
            yield connection
            self._kill("during")
        self._kill("after")


@attrs.frozen
class Case:
    """The files of one case, and its options."""

    folder: Path
    seed: int
    backend: str
    mode: CommitMode
    waits: bool = False
    """Whether its steps ask and wait."""

    def file(self, name: str) -> Path:
        return self.folder / f"{self.seed}-{name}"


def execute(
    case: Case, tag: str, crash: tuple[str, int] | None, *, durable: bool
) -> None:
    """Execute the run in this process, and write its end to a file."""
    batch_stream.check_fold = True
    fd = os.open(case.file(f"log-{tag}"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def log(text: str) -> None:
        os.write(fd, f"{text}\n".encode())

    def log_effect(text: str) -> None:
        log(f"{text} {idempotency_key('effect')}")

    graph = random_graphs.build(case.seed, log_effect, waits=case.waits)
    path = case.file(f"db-{tag}")
    database: Any = KillingFile(File(path, fsync=False), *(crash or ("never", 0)))

    async def main() -> None:
        journal = None
        if durable:
            journal = SQLiteJournal(path, case.mode, attempts=100, fsync=False)
            journal._database = database
        async with (
            Supervisor(graph.pipe, journal=journal) as supervisor,
            anyio.create_task_group() as tasks,
        ):
            run = await supervisor.submit(graph.pipe, {}, run_id=RUN)
            if case.waits:
                tasks.start_soon(answer_all, supervisor, graph.expired)
            async for event in run:
                log(f"#{event.seq}")
            end = await run.wait()
            tasks.cancel_scope.cancel()
            state = final_state(journal) if journal else run._run.run_state.state  # type: ignore[union-attr]
        errors = sorted(str(one.error) for one in end.errors)
        result = [end.status.value, errors, state]
        case.file(f"out-{tag}").write_text(json.dumps(result))

    anyio.run(main, backend=case.backend)
    case.file(f"count-{tag}").write_text(str(database.begun))


async def answer_all(supervisor: Supervisor, expired: random_graphs.Expired) -> None:
    """Answer the asks of the run as they become answerable.

    It looks again and again, because a question that is not to be answered yet has no
    further event.
    """
    while True:
        for asked in await supervisor.asks():
            answer = random_graphs.answer_of(asked, expired)
            if answer is not None:
                with suppress(UnknownAsk):
                    await supervisor.answer(asked.id, answer)
        await anyio.sleep(0.005)


def final_state(journal: SQLiteJournal) -> Any:
    """Return the state as the journal has it; those of the tests are JSON."""
    from justpipe_actors._util.stored_state import fold_state

    row = journal.find(RUN)
    assert row is not None
    return fold_state(commit.state for commit in journal.load(row.id))


def forked(func: Callable[[], None]) -> int:
    """Call a function in a process of its own, and return the exit of the process."""
    pid = os.fork()
    if not pid:
        try:
            signal.alarm(LIMIT)
            func()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - the parent is told
            traceback.print_exc()
            os._exit(3)
    return os.waitpid(pid, 0)[1]


EFFECT = re.compile(
    rf"(?P<name>.+) {RUN}(?P<children>(\.\d+)*):(?P<origin>\d+):[a-z:]+"
)
"""A line of a step's call: its name and its idempotency key."""


def invocation_of(line: str) -> tuple[str, str] | None:
    """Return the name and the invocation of a call's line; None if it is no such line.

    The invocation is written as the journal's key of its first message.
    """
    found = EFFECT.fullmatch(line)
    if found is None:
        return None
    children = "".join(f"c/{one}/" for one in found["children"].split(".")[1:])
    return found["name"], f"{children}m/{found['origin']}"


@attrs.frozen
class Killed:
    """The journal and the log when a process was killed."""

    live: frozenset[str]
    """Steps of the messages that are not finished."""
    invocations: frozenset[str]
    """The first messages of the invocations that are not finished."""
    has_begun: bool
    """Whether any commit was stored; before it, no message is."""
    log: list[str]
    """Lines so far."""

    def finished(self) -> set[str]:
        """Return the invocations that have been called and are finished."""
        called = {found[1] for line in self.log if (found := invocation_of(line))}
        return called - self.invocations if self.has_begun else set()


def read_killed(path: Path, log: list[str]) -> Killed:
    """Read the journal that a killed process has left."""
    journal = SQLiteJournal(path)
    row = journal.find(RUN)
    rows = [] if row is None else journal.load(row.id)
    fold = fold_rows(rows)
    journal.close()
    live, invocations = set(), set()
    for key, value in fold.items():
        prefix, _, number = key.rpartition("/")
        if prefix.rpartition("/")[2] not in {"m", "e"}:
            continue
        assert isinstance(value, dict)
        live.add(value["s"])
        invocations.add(f"{prefix[:-1]}m/{value.get('z', number)}")
    has_begun = any(one.kind == "commit" for one in rows)
    return Killed(frozenset(live), frozenset(invocations), has_begun, log)


@attrs.define
class Driver:
    """Runs cases and collects their differences."""

    case: Case
    recoveries: int
    every: int = 1
    """Tries one of so many crash points."""
    problems: list[str] = attrs.field(factory=list)
    cases: int = 0
    redone: int = 0
    finished: int = 0
    """Finished calls of which it was checked that they are not made again."""

    def read(self, tag: str) -> Any:
        path = self.case.file(f"out-{tag}")
        return json.loads(path.read_text()) if path.exists() else None

    def log(self, tag: str) -> list[str]:
        path = self.case.file(f"log-{tag}")
        return path.read_text().splitlines() if path.exists() else []

    def run(
        self, tag: str, crash: tuple[str, int] | None, *, durable: bool = True
    ) -> int:
        return forked(lambda: execute(self.case, tag, crash, durable=durable))

    def seed(self) -> None:
        """Try all crash points of one pipeline."""
        graph = random_graphs.build(
            self.case.seed, lambda _text: None, waits=self.case.waits
        )
        for tag in ("plain1", "plain2"):
            if self.run(tag, None, durable=False):
                self.problems.append(f"seed {self.case.seed}: the plain run failed")
                return
        if not graph.ends_early and self.read("plain1") != self.read("plain2"):
            return  # its end depends on timing
        if self.run("whole", None) or not self.same(graph, "whole"):
            self.problems.append(f"seed {self.case.seed}: differs without a crash")
            return
        count = self.transactions("whole")
        points = [
            (where, number)
            for number in range(1, count + 1)
            for where in ("before", "during", "after")
        ]
        for where, number in points[:: self.every]:
            self.crash(graph, where, number)

    def transactions(self, tag: str) -> int:
        return int(self.case.file(f"count-{tag}").read_text())

    def same(self, graph: random_graphs.Graph, tag: str) -> bool:
        expected, found = self.read("plain1"), self.read(tag)
        if found is None:
            return False
        is_late = graph.expires and self.case.mode == "group"
        if is_late and tag != "whole":
            # An answer is stored, and the expiry that it followed may be lost, so the
            # join runs, and what comes behind it may fail.
            return True
        is_free = graph.ends_early or is_late
        return bool(found[0] == expected[0] if is_free else found == expected)

    def crash(self, graph: random_graphs.Graph, where: str, number: int) -> None:
        """Kill a run at one point, let it go on, and compare."""
        tag = f"{where}{number}"
        self.run(tag, (where, number))
        if self.read(tag) is not None:
            return  # fewer transactions this time
        self.cases += 1
        killed = [self.read_killed(tag)]
        for again in range(self.recoveries):
            rng = random.Random(f"{self.case.seed} {tag} {again}")
            self.run(
                tag, (rng.choice(["before", "during", "after"]), rng.randint(1, 4))
            )
            if self.read(tag) is not None:
                break
            killed.append(self.read_killed(tag))
        if self.read(tag) is None and self.run(tag, None):
            self.problems.append(f"seed {self.case.seed} {tag}: the recovery failed")
            return
        if not self.same(graph, tag):
            self.problems.append(
                f"seed {self.case.seed} {tag}: {self.read('plain1')} became {self.read(tag)}"
            )
        self.check_log(tag, killed)

    def read_killed(self, tag: str) -> Killed:
        return read_killed(self.case.file(f"db-{tag}"), self.log(tag))

    def check_log(self, tag: str, killed: list[Killed]) -> None:
        log = self.log(tag)
        seqs = [line for line in log if line.startswith("#")]
        if len(seqs) != len(set(seqs)):
            self.problems.append(f"seed {self.case.seed} {tag}: a number came twice")
        calls, allowed = calls_of(log), calls_of(self.log("plain1"))
        redone = {name for name, n in calls.items() if n > max(allowed[name], 1)}
        self.redone += sum(calls[name] - max(allowed[name], 1) for name in redone)
        if self.case.mode != "sync":
            return
        self.check_effects(tag, log, killed)
        if not all(one.has_begun for one in killed):
            return
        live = frozenset().union(*(one.live for one in killed))
        for name in redone:
            step = name.rpartition(":")[2].partition("[")[0].removeprefix("rescue ")
            if step not in live:
                self.problems.append(
                    f"seed {self.case.seed} {tag}: '{name}' had finished, and ran again"
                )

    def check_effects(self, tag: str, log: list[str], killed: list[Killed]) -> None:
        """Check that no call that was finished at a kill was made again."""
        for one in killed:
            finished = one.finished()
            self.finished += len(finished)
            for line in log[len(one.log) :]:
                found = invocation_of(line)
                if found is not None and found[1] in finished:
                    self.problems.append(
                        f"seed {self.case.seed} {tag}: '{line}' had finished, and ran again"
                    )


def calls_of(log: list[str]) -> Counter[str]:
    """Return how often each function was called, in child runs of any id."""
    return Counter(line.rpartition(" ")[0] for line in log if not line.startswith("#"))


def parsed() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("backend", choices=["asyncio", "trio"])
    parser.add_argument("mode", choices=["sync", "group"])
    parser.add_argument("--recoveries", type=int, default=0)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--waits", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Try a range of seeds."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    options = parsed()
    folder = Path(tempfile.mkdtemp())
    cases = redone = finished = 0
    problems: list[str] = []
    execute(Case(folder, 0, options.backend, "sync"), "first", None, durable=True)
    for seed in range(options.first, options.last):
        case = Case(folder, seed, options.backend, options.mode, options.waits)
        driver = Driver(case, options.recoveries, options.every)
        driver.seed()
        cases += driver.cases
        redone += driver.redone
        finished += driver.finished
        problems += driver.problems
        for path in folder.iterdir():
            path.unlink()
    shutil.rmtree(folder)
    sys.stdout.write(
        json.dumps(
            {
                "cases": cases,
                "redone": redone,
                "finished": finished,
                "problems": problems,
            }
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
