"""Crashes without processes: a copy of the journal after each transaction, and what follows.

``CopyingJournal`` keeps a copy of its database after each transaction that stores
batches.  A copy is what the next process finds when this one dies right then, so opening
a supervisor on each copy recovers from a crash at each commit.
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import anyio
import attrs

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._engine.value_codec import StorableValues
from justpipe_actors._util.stored_state import fold_state
from justpipe_actors.abc import Batch
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineEndData


J = TypeVar("J", bound=MemoryJournal)

RUN = "run"
"""The id of the run under test."""


class CopyingJournal(MemoryJournal):
    """A journal in memory that keeps a copy of itself after each transaction."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(verify=True, **settings)
        self.copies: list[bytes] = []

    def append(self, batches: Sequence[Batch]) -> frozenset[int]:
        """Store batches, and keep a copy."""
        lost = super().append(batches)
        with self._database.read() as connection:
            self.copies.append(connection.serialize())
        return lost


def journal_of(copy: bytes, **settings: Any) -> CopyingJournal:
    """Return the journal that the next process finds after a crash."""
    journal = fill_journal(copy, CopyingJournal(**settings))
    journal.open()
    return journal


def fill_journal(copy: bytes, journal: J) -> J:
    """Fill a journal with the rows that a dead process has stored."""
    connection = sqlite3.connect(
        ":memory:", isolation_level=None, check_same_thread=False
    )
    weakref.finalize(journal, connection.close)
    connection.deserialize(copy)
    connection.execute("DELETE FROM workers")
    connection.execute(
        "UPDATE runs SET worker = NULL, status = 'ready' WHERE status = 'running'"
    )
    journal._database._connection = connection  # type: ignore[attr-defined]
    return journal


@attrs.frozen
class Ended:
    """How a run ended, and what happened before."""

    end: PipelineEndData
    state: Any
    seqs: list[int]
    types: list[str]
    executed: list[str]

    @property
    def summary(self) -> tuple[Any, ...]:
        """Return what must not depend on crashes."""
        errors = sorted(str(one.error) for one in self.end.errors)
        return self.end.status, errors, self.state


async def run_through(
    pipe: Pipe[Any, Any],
    journal: CopyingJournal,
    state: Any,
    executed: list[str],
    during: Callable[[Supervisor], Awaitable[object]] | None = None,
    **options: Any,
) -> Ended:
    """Submit the run, or find it, and wait for its end."""
    executed.clear()
    async with Supervisor(pipe, journal=journal) as supervisor:
        run = await supervisor.submit(pipe, state, run_id=RUN, **options)
        if during is not None:
            await during(supervisor)
        with anyio.fail_after(30):
            end = await run.wait()
            events = run_events(run)
    return Ended(
        end,
        final_state(pipe, journal),
        [event.seq for event in events],
        [event.type.value for event in events],
        list(executed),
    )


def run_events(run: Any) -> list[Any]:
    """Return the events that a stream keeps."""
    lane = run._replay.buffer.others
    return [lane.get(place)[1] for place in range(lane.first, lane.end)]


def final_state(pipe: Pipe[Any, Any], journal: MemoryJournal, run: str = RUN) -> Any:
    """Return the state of a run as the journal has it."""
    row = journal.find(run)
    assert row is not None
    texts = [commit.state for commit in journal.load(row.id)]
    return StorableValues().load_state(pipe.plan(), fold_state(texts))


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for another thread or another supervisor."""
    with anyio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - a thread's work has no event here
            await anyio.sleep(0.005)
