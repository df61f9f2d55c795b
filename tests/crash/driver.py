"""Kills processes at each transaction of random durable runs, and compares what follows.

::

    python -m tests.crash.driver FIRST LAST BACKEND MODE [RECOVERIES]

For each seed the run is executed without a journal (twice, to recognise pipelines with
an end that depends on timing), then with one that kills its process before, during and
after each transaction; another process takes the run up.  RECOVERIES kills that many
processes one after the other before the last one may finish.

The driver imports everything once and forks for each case, which takes 0.1 s.  It has no
threads of its own, so forking is safe.
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import attrs

from justpipe_actors import Supervisor
from justpipe_actors._engine import batch_stream
from justpipe_actors._supervisor.taking_up import fold_rows
from justpipe_actors.abc import CommitMode
from justpipe_actors.journals import SQLiteJournal, sql_journal

from . import random_graphs


RUN = "run"
LIMIT = 20
"""Seconds that a process may take."""


class Killer(SQLiteJournal):
    """A journal that kills its process at one transaction."""

    def arm(self, where: str, number: int) -> None:
        """Choose the transaction: before, during or after the n-th."""
        self.where, self.left = where, number
        if where == "during":
            module: Any = sql_journal
            insert = module.insert_commit

            def killing(*args: Any, **options: Any) -> Any:
                result = insert(*args, **options)
                self._kill(is_here=self.left == 1)
                return result

            module.insert_commit = killing

    def _kill(self, *, is_here: bool) -> None:
        if is_here:
            os.kill(os.getpid(), signal.SIGKILL)

    def append(self, batches: Any) -> Any:
        """Store batches, if this process lives."""
        self._kill(is_here=self.where == "before" and self.left == 1)
        lost = super().append(batches)
        self._kill(is_here=self.where == "after" and self.left == 1)
        self.left -= 1
        return lost


@attrs.frozen
class Case:
    """Where the files of one case are, and how it runs."""

    folder: Path
    seed: int
    backend: str
    mode: CommitMode

    def file(self, name: str) -> Path:
        return self.folder / f"{self.seed}-{name}"


def execute(
    case: Case, tag: str, crash: tuple[str, int] | None, *, durable: bool
) -> None:
    """Execute the run in this process, and write how it has ended."""
    batch_stream.check_fold = True
    fd = os.open(case.file(f"log-{tag}"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def log(text: str) -> None:
        os.write(fd, f"{text}\n".encode())

    graph = random_graphs.build(case.seed, log)

    async def main() -> None:
        journal = None
        if durable:
            journal = Killer(
                case.file(f"db-{tag}"), case.mode, attempts=100, fsync=False
            )
            journal.arm(*(crash or ("never", 0)))
        async with Supervisor(graph.pipe, journal=journal) as supervisor:
            run = await supervisor.submit(graph.pipe, {}, run_id=RUN)
            async for event in run:
                log(f"#{event.seq}")
            end = await run.wait()
            state = final_state(journal) if journal else run._run.run_state.state  # type: ignore[union-attr]
        errors = sorted(str(one.error) for one in end.errors)
        result = [end.status.value, errors, state]
        case.file(f"out-{tag}").write_text(json.dumps(result))

    anyio.run(main, backend=case.backend)


def final_state(journal: SQLiteJournal) -> Any:
    """Return the state as the journal has it; those of the tests are JSON."""
    from justpipe_actors._util.stored_state import fold_state

    row = journal.find(RUN)
    assert row is not None
    return fold_state(commit.state for commit in journal.load(row.id))


def forked(func: Callable[[], None]) -> int:
    """Call a function in a process of its own; return how that ended."""
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


def live_steps(path: Path) -> tuple[list[str], bool]:
    """Return what was in flight in a journal, and whether anything was stored."""
    journal = SQLiteJournal(path)
    row = journal.find(RUN)
    rows = [] if row is None else journal.load(row.id)
    fold = fold_rows(rows)
    journal.close()
    found = []
    for key, value in fold.items():
        parts = key.split("/")
        if parts[-2:-1] == ["m"]:
            found.append(value["s"])  # type: ignore[index]
    return found, any(one.kind == "commit" for one in rows)


@attrs.define
class Driver:
    """Runs cases and collects what was wrong."""

    case: Case
    recoveries: int
    problems: list[str] = attrs.field(factory=list)
    cases: int = 0
    redone: int = 0

    def read(self, tag: str) -> Any:
        path = self.case.file(f"out-{tag}")
        return json.loads(path.read_text()) if path.exists() else None

    def log(self, tag: str) -> list[str]:
        path = self.case.file(f"log-{tag}")
        return path.read_text().split("\n") if path.exists() else []

    def run(
        self, tag: str, crash: tuple[str, int] | None, *, durable: bool = True
    ) -> int:
        return forked(lambda: execute(self.case, tag, crash, durable=durable))

    def seed(self) -> None:
        """Try all crash points of one pipeline."""
        graph = random_graphs.build(self.case.seed, lambda _text: None)
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
        for number in range(1, count + 2):
            for where in ("before", "during", "after"):
                self.crash(graph, where, number)

    def transactions(self, tag: str) -> int:
        connection = sqlite3.connect(self.case.file(f"db-{tag}"))
        (count,) = connection.execute("SELECT max(n) FROM commits").fetchone()
        connection.close()
        return int(count)

    def same(self, graph: random_graphs.Graph, tag: str) -> bool:
        expected, found = self.read("plain1"), self.read(tag)
        if found is None:
            return False
        return bool(found[0] == expected[0] if graph.ends_early else found == expected)

    def crash(self, graph: random_graphs.Graph, where: str, number: int) -> None:
        """Kill a run at one point, let it go on, and look."""
        tag = f"{where}{number}"
        self.run(tag, (where, number))
        if self.read(tag) is not None:
            return  # fewer transactions this time
        self.cases += 1
        before = self.log(tag)
        live, has_begun = live_steps(self.case.file(f"db-{tag}"))
        for again in range(self.recoveries):
            rng = random.Random(f"{self.case.seed} {tag} {again}")
            self.run(
                tag, (rng.choice(["before", "during", "after"]), rng.randint(1, 4))
            )
            if self.read(tag) is not None:
                break
        if self.read(tag) is None and self.run(tag, None):
            self.problems.append(f"seed {self.case.seed} {tag}: the recovery failed")
            return
        if not self.same(graph, tag):
            self.problems.append(
                f"seed {self.case.seed} {tag}: {self.read('plain1')} became {self.read(tag)}"
            )
        self.check_log(tag, before, live, has_begun=has_begun)

    def check_log(
        self, tag: str, before: list[str], live: list[str], *, has_begun: bool
    ) -> None:
        log = self.log(tag)
        seqs = [line for line in log if line.startswith("#")]
        if len(seqs) != len(set(seqs)):
            self.problems.append(f"seed {self.case.seed} {tag}: a number came twice")
        calls = Counter(line for line in log if line and line[0] != "#")
        allowed = Counter(self.log("plain1"))
        extra = {name: n - max(allowed[name], 1) for name, n in calls.items()}
        redone = {name: n for name, n in extra.items() if n > 0}
        self.redone += sum(redone.values())
        if self.case.mode != "sync" or not has_begun or self.recoveries:
            return
        for name in redone:
            step = name.rpartition(":")[2].partition("[")[0].removeprefix("rescue ")
            if step not in live:
                self.problems.append(
                    f"seed {self.case.seed} {tag}: '{name}' had finished, and ran again"
                )


def main() -> None:
    """Try a range of seeds."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    first, last, backend = sys.argv[1:4]
    mode: CommitMode = "group" if sys.argv[4] == "group" else "sync"
    recoveries = int(sys.argv[5]) if len(sys.argv) > 5 else 0
    folder = Path(tempfile.mkdtemp())
    cases = redone = 0
    problems: list[str] = []
    for seed in range(int(first), int(last)):
        driver = Driver(Case(folder, seed, backend, mode), recoveries)
        driver.seed()
        cases += driver.cases
        redone += driver.redone
        problems += driver.problems
        for path in folder.iterdir():
            path.unlink()
    shutil.rmtree(folder)
    sys.stdout.write(
        json.dumps({"cases": cases, "redone": redone, "problems": problems})
    )


if __name__ == "__main__":
    main()
