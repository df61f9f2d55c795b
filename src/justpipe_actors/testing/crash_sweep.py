"""Crash a durable run at every commit and check that it ends with the same result.

A copy of the journal simulates a crash: after a crash, the next process finds exactly
what the journal held after the last transaction.  The sweep runs the pipe once with a
journal that copies itself at each transaction, then resumes the run from each copy in a
supervisor of its own.  It starts no process and adds no waiting time to the pipe's own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, TypeVar

import anyio
import attrs

from .._util.stored_state import fold_state
from ..abc import Batch, CommitMode
from ..errors import CrashFailure
from ..events import Event, EventType
from ..journals import MemoryJournal
from ..outcomes import PipelineEndData
from ..pipe import Pipe
from ..supervisor import Supervisor
from .harness import TestPipe, answer_ask
from .virtual_clock import Backend


RUN = "run-under-test"
"""The id of the run."""

DEFAULT_NAME = "Pipe"
"""The name of pipes that have none of their own, which durable ones need."""

StateT = TypeVar("StateT")


@attrs.frozen
class CrashSweep:
    """The result of ``crash_everywhere`` when every run ended the same way."""

    crashes: int
    """Commits after which the run was crashed and resumed."""
    status: str
    """Terminal status of the run."""


@attrs.frozen
class _Ended:
    """The final status, state and journal copies of a run."""

    end: PipelineEndData
    state: Any
    """The state as JSON data."""
    copies: Sequence[bytes]
    """Copies of the journal, one after each transaction."""

    @property
    def outcome(self) -> tuple[str, tuple[str, ...]]:
        errors = tuple(sorted(f"{one.step}: {one.error}" for one in self.end.errors))
        return self.end.status.value, errors


class _CopyingJournal(MemoryJournal):
    """A journal that keeps a copy of itself after each transaction with batches."""

    def __init__(self, mode: CommitMode) -> None:
        super().__init__(mode, verify=True)
        self.copies: list[bytes] = []

    def append(self, batches: Sequence[Batch]) -> frozenset[int]:
        """Store batches, and keep a copy."""
        lost = super().append(batches)
        with self._database.read() as connection:
            self.copies.append(connection.serialize())
        return lost

    def load_copy(self, copy: bytes) -> None:
        """Load the journal copy that a crashed process left."""
        with self._database.write() as connection:
            other = sqlite3.connect(":memory:")
            other.deserialize(copy)
            connection.execute("COMMIT")
            other.backup(connection)
            other.close()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "UPDATE runs SET worker = NULL, status = 'ready' WHERE worker IS NOT NULL"
            )
            connection.execute("DELETE FROM workers")


@attrs.frozen(kw_only=True)
class _Case:
    """The pipe and the arguments that each trial runs with."""

    pipe: Pipe[Any, Any]
    state: Callable[[], Any]
    context: Callable[[], Any]
    answers: Mapping[str, Any]
    mode: CommitMode
    backend: Backend
    timeout: float

    def run(self, copy: bytes | None = None) -> _Ended:
        """Run from the beginning, or resume from the journal copy of a crash."""
        return anyio.run(self._main, copy, backend=self.backend)

    async def _main(self, copy: bytes | None) -> _Ended:
        journal = _CopyingJournal(self.mode)
        journal.open()
        if copy is not None:
            journal.load_copy(copy)
        async with Supervisor(self.pipe, journal=journal, grace=1) as supervisor:
            run = await supervisor.submit(
                self.pipe, self.state(), self.context(), run_id=RUN
            )
            with anyio.fail_after(self.timeout):
                await self._answer_parked(supervisor, journal)
                async for event in run:
                    await self._answer(supervisor, event)
                end = await run.wait()
        row = journal.find(RUN)
        assert row is not None
        texts = [one.state for one in journal.load(row.id)]
        has_state = any(text is not None for text in texts)
        state = fold_state(texts) if has_state else None
        return _Ended(end, state, tuple(journal.copies))

    async def _answer_parked(
        self, supervisor: Supervisor, journal: MemoryJournal
    ) -> None:
        """Answer a parked run: no worker claims it before, and it emits no event."""
        row = journal.find(RUN)
        if row is None or row.status != "waiting":
            return
        for one in await supervisor.asks(RUN):
            due = None if one.due_at is None else one.due_at.isoformat()
            payload = {"ask": one.id, "note": one.note, "form": one.form, "due_at": due}
            await self._answer(supervisor, Event(EventType.ASK, one.step, payload))

    async def _answer(self, supervisor: Supervisor, event: Event) -> None:
        if event.type is EventType.ASK:
            known = supervisor.known(RUN)
            assert known is not None
            answer_ask(known, event, self.answers)


def crash_everywhere(
    pipe: Pipe[StateT, Any] | TestPipe[StateT, Any],
    state: Callable[[], StateT] | StateT,
    *,
    context: Callable[[], Any] = lambda: None,
    answers: Mapping[str, Any] | None = None,
    mode: CommitMode = "sync",
    most: int = 200,
    backend: Backend = "trio",
    timeout: float = 30.0,
) -> CrashSweep:
    """Crash a durable run after every commit, and compare how it ends.

    Status, errors and state must equal those of the uninterrupted run.  If the state
    differs, a step has usually changed it before its last ``await`` while another step
    was committed; the message names the field.  Call this from a plain function.

    Args:
        pipe: the pipe, or a harness with mocks in place.
        state: makes the state of a run; or a state, of which each run gets a copy.
        context: makes its context.
        answers: answers to the asks of the run, as for ``TestPipe.run``.
        mode: the journal's mode.
        most: maximum number of commits to crash after, picked evenly.
        backend: the event loop.
        timeout: seconds that one run may take.

    Returns:
        What was tried, and how the runs ended.

    Raises:
        CrashFailure: a run ended differently.
        NotStorable: the state, the context or an item cannot be stored.
    """
    harness = pipe if isinstance(pipe, TestPipe) else TestPipe(pipe)
    overlaid = harness.overlaid()
    if overlaid.name == DEFAULT_NAME:
        overlaid = overlaid.renamed("pipe under test")
    case = _Case(
        pipe=overlaid,
        state=state if callable(state) else partial(deepcopy, state),
        context=context,
        answers=answers or {},
        mode=mode,
        backend=backend,
        timeout=timeout,
    )
    expected = case.run()
    again = case.run()
    for problem in _differences(expected, again):
        msg = f"two uninterrupted runs end differently: {problem}"
        raise CrashFailure(msg, 0)
    numbers = range(0, len(expected.copies), max(1, -(-len(expected.copies) // most)))
    for number in numbers:
        found = case.run(expected.copies[number])
        for problem in _differences(expected, found):
            raise CrashFailure(problem, number + 1)
    return CrashSweep(len(numbers), expected.end.status.value)


def _differences(expected: _Ended, found: _Ended) -> Iterator[str]:
    if expected.outcome != found.outcome:
        yield f"it ended as {found.outcome} instead of {expected.outcome}"
    if expected.state == found.state:
        return
    if not isinstance(expected.state, dict) or not isinstance(found.state, dict):
        yield f"the state is {found.state!r} instead of {expected.state!r}"
        return
    for name in sorted(expected.state.keys() | found.state.keys()):
        before, after = expected.state.get(name), found.state.get(name)
        if before != after:
            yield f"'{name}' of the state is {after!r} instead of {before!r}"
