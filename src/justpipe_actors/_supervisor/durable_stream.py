"""The stream of a durable run: at work in this process, in another one, or in none.

It yields the events of this process only.  The outcome is known for all processes,
because the journal stores it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import anyio

from .._publishing.replay_buffer import ReplayBuffer, ReplayReader
from .._run.run import RunSnapshot
from .._run.run_stream import Answered, RunStream
from ..errors import RunReleased, RunStuck, RunTimeout
from ..outcomes import PipelineEndData, PipelineTerminalStatus


if TYPE_CHECKING:
    from .._run.ownership import RunOwner
    from .._run.run import Run, RunRequest
    from .stored_results import StoredResult


class AnswerOnItsWay(Answered):
    """An answer that is being stored; await it to learn whether it was accepted."""

    def __init__(self) -> None:
        self._done = anyio.Event()
        self._error: Exception | None = None

    def settle(self, error: Exception | None) -> None:
        """Complete the answer; None means that it was accepted."""
        self._error = error
        self._done.set()

    def __await__(self) -> Generator[Any]:
        yield from self._done.wait().__await__()
        if self._error is not None:
            raise self._error


class DurableStream(RunStream):
    """One durable run.

    Iterating yields the events that this process publishes for the run; ``wait`` returns
    its outcome, even if it ended in another process.
    """

    def __init__(
        self,
        run_id: str,
        pipe: str,
        capacity: int,
        cancel: Callable[[str], None],
        answer: Callable[[str, object, str | None], Answered],
        load_result: Callable[[], Awaitable[StoredResult]],
    ) -> None:
        def no_request() -> RunRequest:
            msg = "a durable run gets its request when it is taken up"
            raise AssertionError(msg)

        super().__init__(no_request)
        self._run_id, self._pipe = run_id, pipe
        self._replay = ReplayReader(ReplayBuffer(capacity))
        self._cancel_stored = cancel
        self._answer_stored = answer
        self._load_result = load_result
        self._outcome: PipelineEndData | None = None
        self._problem: RunStuck | RunReleased | None = None
        self._news = anyio.Event()
        self.is_followed = False
        """Whether the journal must be polled for its outcome."""

    @property
    def run_id(self) -> str:
        """The run's id, the same as on its events."""
        return self._run_id

    @property
    def pipe_name(self) -> str:
        """Name of the pipe it is a run of."""
        return self._pipe

    @property
    def end(self) -> PipelineEndData | None:
        """Outcome of the run; None while this process does not know one."""
        return self._outcome or super().end

    def __repr__(self) -> str:
        if self._run is not None or self.end is not None:
            return super().__repr__()
        return (
            f"<DurableStream {self.run_id[:8]} of {self.pipe_name!r}: not at work here>"
        )

    @property
    def is_waited_for(self) -> bool:
        """Whether the journal must be polled for the state of the run."""
        return self._run is None and self._outcome is None and self._problem is None

    def take_up(
        self, request: RunRequest, owner: RunOwner, release_place: Callable[[], None]
    ) -> Run:
        """Start or continue the run in this process."""
        assert self._replay is not None
        self._run, self._problem, self._request = None, None, request
        run = self._begin_in(owner, self._replay.buffer, release_place)
        run.has_no_consumer = True
        self._notify()
        return run

    def park(self) -> None:
        """Record that the run only waits and is no longer in memory."""
        self._run = None

    def resolve(self, end: PipelineEndData) -> None:
        """Record the outcome of the run, from this process or another."""
        self._outcome = end
        assert self._replay is not None
        self._replay.buffer.end()
        self._notify()

    def fail(self, problem: RunStuck | RunReleased) -> None:
        """Record that the run is stuck, or was released by this process."""
        self._problem = problem
        assert self._replay is not None
        self._replay.buffer.end()
        self._notify()

    def _notify(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    async def wait(self) -> PipelineEndData:
        """Wait until the run has ended in any process, and return its outcome.

        Raises:
            RunReleased: this process released the run; another worker may continue it.
            RunStuck: the run is not claimed again until a person redrives it.
        """
        while True:
            if (end := self.end) is not None:
                return end
            if self._problem is not None:
                raise self._problem
            run = self._run
            if run is None:
                await self._news.wait()
                continue
            await run.done.wait()
            if run.end is None and run.released is not None:
                raise run.released
            if run.end is None and self._run is run:
                await self._news.wait()

    def _refuse_other_loop(self) -> None:
        """Refuse another loop than that of a run at work here; others have none."""
        if self._run is not None:
            super()._refuse_other_loop()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the run if it is at work here; elsewhere it goes on."""
        if self._run is not None:
            await super().__aexit__(kind, error, traceback)  # noqa: ASYNC102 - shielded

    async def result(self) -> Any:
        """Wait until the run has ended in any process, and return its last state.

        Raises:
            Exception: what ``RunStream.result`` and ``wait`` raise.
            UnknownRunError: the run ended elsewhere and is not in the journal any more.
            DefinitionError: the run ended elsewhere and its pipe is not known here.
            UnreadableDataError: the run's state does not fit the pipe's type.
            RuntimeError: the run ended elsewhere and the supervisor is closed.
        """
        end = await self.wait()
        if self._run is not None and self._run.end is not None:
            return await super().result()
        if end.status is PipelineTerminalStatus.TIMEOUT:
            seconds = (await self._load_result()).timeout or end.duration_s
            raise RunTimeout(seconds, tuple(end.steps_at_work), self.run_id)
        end.raise_for_failure()
        return (await self._load_result()).state

    def answer(self, ask_id: str, value: object, *, by: str | None = None) -> Answered:
        """Answer a question of this run; await the result to learn whether it is accepted.

        Raises:
            AnswerRejected: the value does not fit; the question stays open.
        """
        return self._answer_stored(ask_id, value, by)

    def snapshot(self) -> RunSnapshot:
        """Return the state of the run that is known in this process."""
        if self._run is not None:
            return super().snapshot()
        assert self._replay is not None
        buffer = self._replay.buffer
        return RunSnapshot(
            run_id=self._run_id,
            pipe=self._pipe,
            fingerprint="",
            tokens={},
            waiting={},
            running=(),
            buffered=len(buffer),
            dropped=buffer.dropped,
            is_parked=False,
            age=0.0,
        )

    def cancel(self, reason: str = "Cancelled") -> None:
        """Cancel the run in any process; FINISH has status CANCELLED and this reason."""
        run = self._run
        if run is not None and not run.done.is_set() and not _is_releasing(run):
            super().cancel(reason)
        elif self.end is None:
            self._cancel_stored(reason)


def _is_releasing(run: Run) -> bool:
    journal = run.run_state.journal
    return journal is not None and journal.stream.is_releasing
