"""The protocol of journals, which store durable runs.

A run is one stream of rows.  Each row has the changes since the previous one, so
reading the rows in order gives the present state of the run.  ``(run, n)`` of a row is
unique, and this is the only fence: a worker that takes a run over writes a row, so a
later batch of the previous worker has a number that is taken.  There is no lock, and no
counter that a batch would have to check.

Besides the streams a journal has tables that are read without a stream: runs and their
status, open questions, signals (answers, cancellations) and workers.

Every method is synchronous, blocks, and is complete when it returns.  A supervisor calls
them from one thread, except ``wait_change`` and ``wake``; several supervisors, processes
and, where the journal allows it, hosts use one journal at the same time.  A method that
raises has changed nothing and may be called again.  ``testing.conformance.check_journal``
checks whether an implementation does what is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from .journal_records import (
    Batch,
    Claim,
    Commit,
    JournaledRun,
    MapItems,
    NewRun,
    OpenAsk,
    RunFilter,
    RunRow,
    Signal,
    Submitted,
    WorkerRow,
)


CommitMode = Literal["sync", "group"]
"""``sync``: successors begin when a commit is stored; ``group``: at once."""


@runtime_checkable
class Journal(Protocol):
    """Keeps durable runs, and lets workers share them."""

    @property
    def location(self) -> str:
        """Where it is, to be shown: a path, or an address without its password."""
        ...

    @property
    def mode(self) -> CommitMode:
        """Whether a step's successors wait for its commit."""
        ...

    @property
    def attempts(self) -> int:
        """Deaths in a row without a commit after which a run is ``stuck``."""
        ...

    @property
    def lease(self) -> float:
        """Seconds without a heartbeat after which a worker counts as dead."""
        ...

    @property
    def types(self) -> tuple[type, ...]:
        """Classes of values that may be stored where no annotation names them."""
        ...

    def open(self) -> None:
        """Create what is missing and bring an older schema to this version's; again does nothing.

        Raises:
            StoreVersionError: a newer version has written it.
        """
        ...

    def close(self) -> None:
        """Close the connections; the journal opens again when it is needed."""
        ...

    def now(self) -> float:
        """Return the time of the journal's clock, in seconds since the epoch."""
        ...

    # -- workers

    def add_worker(self, name: str) -> int:
        """Register a worker, with a heartbeat at this time; return its number.

        Args:
            name: describes the worker to users.
        """
        ...

    def beat(self, worker: int) -> bool:
        """Store a heartbeat; False when the worker was declared dead before.

        Args:
            worker: its number.

        Returns:
            Whether the worker still owns its runs.
        """
        ...

    def remove_worker(self, worker: int) -> None:
        """Remove a worker; the runs it still has become ``ready``."""
        ...

    def bury_workers(self) -> int:
        """Remove dead workers and make their runs ``ready``; return their number.

        A worker is dead after ``lease`` seconds without a heartbeat, or when its
        process is known to be gone.
        """
        ...

    def workers(self) -> list[WorkerRow]:
        """Return the workers."""
        ...

    # -- taking runs

    def submit(self, new: NewRun, worker: int | None = None) -> Submitted:
        """Store a run, unless there is one of that id; with a worker, also claim it.

        Args:
            new: the run.
            worker: the worker that begins it; None leaves it ready.

        Returns:
            The run that is stored now, and whether this call stored it.
        """
        ...

    def claim(
        self,
        worker: int,
        pipes: Sequence[str],
        limit: int | None = None,
        *,
        run_id: str | None = None,
    ) -> list[Claim]:
        """Claim ready runs, the oldest first, in one transaction.

        Ready are also waiting runs that are due or have a signal.  Each gets a takeover
        row and ``incarnation + 1``.  Two workers never get the same run.

        Args:
            worker: number of the worker that takes the runs.
            pipes: only runs of these.
            limit: maximum number of runs; None is no limit.
            run_id: only this one.

        Returns:
            The runs that are this worker's now.
        """
        ...

    def next_due(self, pipes: Sequence[str]) -> float | None:
        """Return when the next waiting run of these pipes is due; None when none is."""
        ...

    # -- reading one run

    def find(self, run_id: str) -> RunRow | None:
        """Return the run of exactly this id.

        Args:
            run_id: the run.
        """
        ...

    def commits(self, run: int, upto: int | None = None) -> list[Commit]:
        """Return all rows of a run's stream that are kept, in order, up to a number.

        Args:
            run: the number of the run.
            upto: the number of the last row; None is all.
        """
        ...

    def load(self, run: int) -> list[Commit]:
        """Return the rows that a run is restored from: those from its last snapshot on."""
        ...

    def items(self, run: int, map: int) -> list[MapItems]:  # noqa: A002 - the map step
        """Return the kept items of a map, in order.

        Args:
            run: the number of the run.
            map: the number of the map's invocation.
        """
        ...

    # -- writing

    def append(self, batches: Sequence[Batch]) -> frozenset[int]:
        """Store batches of several runs, at most one of each, in one transaction.

        Returns:
            ``run`` of each batch that lost its lease: its ``n`` was taken. Nothing of
            such a batch is stored; the other batches are stored. A batch that is stored
            already has not lost it: a writer that was not told of its commit tries again.
        """
        ...

    def fork(
        self, new: NewRun, items_of: int | None = None, *, resumes: str | None = None
    ) -> RunRow:
        """Store a copy of a run, which is ready; map items are copied from ``items_of``.

        Args:
            new: the run to store.
            items_of: the number of the run that has the map items; None copies none.
            resumes: the id of a suspended run that the copy goes on for, which is noted
                in the same transaction; None if there is none.

        Returns:
            The stored run.

        Raises:
            ValueError: there is a run of that id, or another one goes on for ``resumes``.
        """
        ...

    def redrive(self, run_id: str) -> bool:
        """Make a stuck run ready, its deaths forgotten; False when it is not stuck.

        Args:
            run_id: the run.

        Returns:
            Whether it was stuck.
        """
        ...

    # -- signals to runs

    def asks(self, run_id: str | None = None) -> list[OpenAsk]:
        """Return the open questions of one run or of all, the oldest first.

        Those that were answered, are too late, or are timers are left out.

        Args:
            run_id: the run; None is all.
        """
        ...

    def answer(self, ask_id: str, body: str, by: str | None = None) -> bool:
        """Store an answer as a signal; False when the question is not open (any more).

        The first answer wins.  The caller has checked it against the form.

        Args:
            ask_id: the question.
            body: the answer as JSON text.
            by: name of the person or program that answers; None if unknown.

        Returns:
            Whether the question was open.
        """
        ...

    def cancel(self, run_id: str, reason: str, by: str | None = None) -> bool:
        """Store a request to cancel a run; False when there is no such open run.

        Args:
            run_id: the run.
            reason: the reason to show.
            by: name of the person or program that cancels; None if unknown.

        Returns:
            Whether there is such an open run.
        """
        ...

    def signals(self, worker: int) -> list[Signal]:
        """Return the signals for the runs of a worker that no batch has consumed."""
        ...

    def signals_of(self, run: int) -> list[Signal]:
        """Return the signals for one run that no batch has consumed."""
        ...

    # -- changes by others

    def wait_change(self, seconds: float) -> bool:
        """Block until others may have written something, for at most ``seconds``.

        Called in a thread of its own.  Returns False if no change is known.
        """
        ...

    def wake(self) -> None:
        """Let ``wait_change`` return now; from any thread."""
        ...

    # -- listing and removing

    def runs(self, which: RunFilter) -> list[JournaledRun]:
        """Return runs as they are shown, the newest first.

        Args:
            which: the filter, with the number of runs at most.
        """
        ...

    def sweep(self, limit: int = 100) -> int:
        """Remove runs that ended longer ago than they are kept; return how many.

        They go wholly, except for their ids. Stuck, waiting and suspended runs stay.

        Args:
            limit: most runs to remove at once.
        """
        ...

    def forget(self, before: float) -> int:
        """Remove ids of swept runs that ended before this time (epoch seconds).

        Args:
            before: the time, in seconds since the epoch.

        Returns:
            The number of ids that were removed.
        """
        ...
