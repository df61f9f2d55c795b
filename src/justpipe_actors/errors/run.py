"""Errors of one run, outside the steps' own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Factual


class PipelineCancelled(Exception):
    """The run's cancellation token was cancelled; raised by ``checkpoint()``."""


class RunError(Factual, RuntimeError):
    """Something went wrong with one run, outside the steps' own code."""

    if TYPE_CHECKING:

        def __init__(self, *args: object) -> None: ...


class RunInterrupted(RunError):
    """The run ended before its FINISH, and its consumer did not close it."""

    reason: str = "its owner went away"

    def message(self) -> str:
        return (
            f"The run was interrupted before it finished: {self.reason}. "
            "Consume it inside the block that owns it."
        )


class RunningLoopError(RunError):
    """``run_sync`` was called in a running event loop, which it would block."""

    def __init__(self) -> None:
        super().__init__(
            "run_sync() would block the event loop that runs here. "
            "Use 'await pipe.run(state).result()' in async code and in notebooks."
        )


class OtherLoopError(RunError):
    """A run, or a supervisor, was used in another event loop than its own."""

    run_id: str | None = None

    def message(self) -> str:
        if self.run_id is None:
            return (
                "The Supervisor belongs to another event loop. Call it there, for example "
                "with anyio.from_thread.run(supervisor.submit, pipe, state); health(), "
                "snapshot() and RunStream.cancel() may be called in any thread."
            )
        return (
            f"Run '{self.run_id}' belongs to another event loop. Read it and wait for it "
            "there, for example with anyio.from_thread.run(run.wait); run.cancel() may "
            "be called in any thread."
        )


class RunAwaited(RunError, TypeError):
    """The program awaited ``pipe.run(...)`` itself, which is not awaitable."""

    def __init__(self) -> None:
        super().__init__(
            "A run is not awaited itself. Await its result with "
            "'await pipe.run(...).result()', its end with 'await pipe.run(...).wait()', "
            "read its events with 'async for event in pipe.run(...):', "
            "or own it with 'async with pipe.run(...) as run:'."
        )


class AsyncWithNeeded(RunError, TypeError):
    """The program wrote ``with`` where ``async with`` belongs."""

    call: str

    def message(self) -> str:
        return f"Use 'async with {self.call}:', not 'with'."


class AsyncForNeeded(RunError, TypeError):
    """The program wrote ``for`` where ``async for`` belongs."""

    def __init__(self) -> None:
        super().__init__(
            "The events of a run are read with 'async for event in pipe.run(...):', not "
            "with 'for'. A script that needs no events calls pipe.run_sync(state)."
        )


class RunRejected(RunError):
    """The supervisor does not take this run."""

    reason: str
    remedy: str = ""

    def message(self) -> str:
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"The run was rejected: {self.reason.rstrip('.')}.{remedy}"


class InvalidRunId(RunError, ValueError):
    """A client chose an id that no run can have."""

    run_id: str

    def message(self) -> str:
        return (
            f"No run can have the id {self.run_id}. "
            "Use 1 to 200 letters, digits and the characters _-.: for an id."
        )


class ConsumerTooSlow(RunError):
    """The consumer of a run with ``overflow="fail"`` was too far behind."""

    capacity: int

    def message(self) -> str:
        return (
            f"The consumer is {self.capacity} events behind. Read faster, raise queue_size, "
            "or choose overflow='block' or 'drop_oldest'."
        )


class ForeignCancellation(RunError):
    """A step was cancelled, but neither by its run, its timeout nor its owner.

    On asyncio, awaiting a task that was cancelled elsewhere has this effect.
    """

    step: str

    def message(self) -> str:
        return (
            f"'{self.step}' was cancelled from outside the pipeline: "
            "something it awaited had been cancelled. "
            "Catch the cancellation where you await that task or future."
        )


class DispatcherTaskKilled(RunError):
    """A dispatcher task was cancelled natively during a step, not by its scope."""

    step: str

    def message(self) -> str:
        return (
            f"The task that performed step '{self.step}' was cancelled by its event loop's "
            "own means. Cancel runs with RunStream.cancel(), never their tasks."
        )


class StepAborted(RunError):
    """A step raised a ``BaseException`` that is not an ``Exception``."""

    step: str
    cause: str

    def message(self) -> str:
        return f"Step '{self.step}' ended the run with {self.cause}."


class ChildRunFailed(RunError):
    """A sub-pipeline failed without an exception that the parent could raise."""

    step: str
    reason: str

    def message(self) -> str:
        return self.reason


class RetriesExhausted(RunError):
    """A step answered ``Retry()`` more often than ``max_retries`` allows."""

    step: str
    max_retries: int

    def message(self) -> str:
        return (
            f"Step '{self.step}' asked for another attempt but max_retries={self.max_retries} "
            "is reached. Raise the limit on the Pipe or give up inside the step."
        )


class ResourceUnavailable(RunError):
    """A resource could not be opened, or its owner is closing; the cause says why."""

    resource: str
    reason: str

    def message(self) -> str:
        return (
            f"Resource '{self.resource}' is unavailable: {self.reason.rstrip('.')}. "
            "It is opened again for its next user."
        )


class NoContextManager(Factual, TypeError):
    """The function of a resource returned something else than a context manager."""

    resource: str
    place: str
    """File and line of the function in parentheses, behind a space; may be empty."""
    returned: str
    """The type's name."""

    def message(self) -> str:
        return (
            f"Resource '{self.resource}' returned {self.returned}; its function"
            f"{self.place} must return a context manager, or be a generator function. "
            f"{self._remedy()}."
        )

    def _remedy(self) -> str:
        if self.returned == "coroutine":
            return "Make it an async function that awaits this, and yields the result"
        if self.returned in {"generator", "async_generator"}:
            return "Pass the function that yields to pipe.resource, without a call"
        return "Yield the value instead of returning it"


class EmptyPipelineError(RunError):
    """A run was started on a pipe without steps."""

    pipe: str

    def message(self) -> str:
        return (
            f"No steps registered in pipe '{self.pipe}'; decorate one with @pipe.step."
        )


class UnknownRunError(Factual, LookupError):
    """An observer, a supervisor or a journal has no record of a run.

    ``asked`` is the one that was asked: ``observer``, ``supervisor`` or ``journal``.
    """

    run_id: str
    asked: str = "observer"

    def message(self) -> str:
        match self.asked:
            case "supervisor":
                return (
                    f"No run '{self.run_id}' is at work in this supervisor or stored; "
                    "Supervisor(keep=) keeps the events of runs at work, and "
                    "Pipe(persist=True) stores them for later."
                )
            case "journal":
                return (
                    f"No run '{self.run_id}' is in the journal; "
                    "`justpipe-actors runs` lists those that are."
                )
            case _:
                return (
                    f"No run '{self.run_id}' is remembered; an observer's keep= says "
                    "how many ended runs it remembers."
                )
