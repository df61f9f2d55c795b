"""Letting a durable run die at every commit, to see whether it ends as if it had not.

A crash is a copy of the journal: what is in it after a transaction is all that the next
process finds when this one dies right then.  So the run is made once with a journal that
copies itself at each transaction, and then goes on from each of the copies, in a
supervisor of its own.  No process is started, and no time is waited for that the pipe
does not wait for itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import anyio
import attrs

from .._util.state_parts import fold_state
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
    """What ``crash_everywhere`` has done when every run ended alike."""

    crashes: int
    """Commits after which the run was left, and taken up again."""
    status: str
    """How the run ends."""


@attrs.frozen
class _Ended:
    """How a run has ended."""

    end: PipelineEndData
    state: Any
    """As JSON data."""
    copies: Sequence[bytes]
    """What a process that dies after each transaction leaves."""

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
        """Begin with what a process has left that died."""
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
    """What is run again and again."""

    pipe: Pipe[Any, Any]
    state: Callable[[], Any]
    context: Callable[[], Any]
    answers: Mapping[str, Any]
    mode: CommitMode
    backend: Backend
    patience: float

    def run(self, copy: bytes | None = None) -> _Ended:
        """Run from the beginning, or from what a process has left that died."""
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
            with anyio.fail_after(self.patience):
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
        """Answer a run that only waits: nobody takes it up before, and it says nothing."""
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


def crash_everywhere(  # noqa: PLR0913 - each setting has a name of its own
    pipe: Pipe[StateT, Any] | TestPipe[StateT, Any],
    state: Callable[[], StateT],
    *,
    context: Callable[[], Any] = lambda: None,
    answers: Mapping[str, Any] | None = None,
    mode: CommitMode = "sync",
    most: int = 200,
    backend: Backend = "trio",
    patience: float = 30.0,
) -> CrashSweep:
    """Let a durable run die after every commit, and check that it ends alike.

    Status, errors and state must be those of the run that nothing interrupts.  A state
    that differs is usually one that a step changed before its last ``await``, while
    another step was committed: the message names the field.  Called from a plain
    function.

    Args:
        pipe: the pipe, or a harness with mocks in place.
        state: makes the state of a run.
        context: makes its context.
        answers: what its questions are answered, as for ``TestPipe.run``.
        mode: the journal's mode.
        most: commits to die after; of more than that, as many are picked evenly.
        backend: the event loop.
        patience: seconds that one run may take.

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
        state=state,
        context=context,
        answers=answers or {},
        mode=mode,
        backend=backend,
        patience=patience,
    )
    expected = case.run()
    again = case.run()
    for problem in _differences(expected, again):
        msg = f"two runs that nothing interrupts end differently: {problem}"
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
