"""What goes wrong with one run, outside the steps' own code."""

from __future__ import annotations

from .base import Factual


class PipelineCancelled(Exception):  # noqa: N818 - the name is public API
    """The run's cancellation token was cancelled; raised by ``checkpoint()``."""


class RunError(Factual, RuntimeError):
    """Something went wrong with one run, outside the steps' own code."""


class RunInterrupted(RunError):  # noqa: N818 - says what happened, not what failed
    """The run ended before its FINISH, and not because its consumer wanted it."""

    __match_args__ = ("reason",)

    def __init__(self, reason: str = "its owner went away") -> None:
        super().__init__(
            f"The run was interrupted before it finished: {reason}. "
            "Consume it inside the block that owns it."
        )
        self.reason = reason


class RunAwaited(RunError, TypeError):  # noqa: N818 - says what happened
    """Somebody wrote ``await pipe.run(...)``, and a run is no awaitable."""

    def __init__(self) -> None:
        super().__init__(
            "A run is not awaited itself. Await its end with 'await pipe.run(...).wait()', "
            "read its events with 'async for event in pipe.run(...):', "
            "or own it with 'async with pipe.run(...) as run:'."
        )


class RunRejected(RunError):  # noqa: N818 - says what happened, not what failed
    """The supervisor does not take this run."""

    __match_args__ = ("reason", "remedy")

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(
            f"The run was rejected: {reason}.{' ' if remedy else ''}{remedy}"
        )
        self.reason = reason
        self.remedy = remedy


class ConsumerTooSlow(RunError):  # noqa: N818 - says what happened
    """The consumer of a run with ``overflow="fail"`` was too far behind."""

    __match_args__ = ("capacity",)

    def __init__(self, capacity: int) -> None:
        super().__init__(
            f"The consumer is {capacity} events behind. Read faster, raise queue_size, "
            "or choose overflow='block' or 'drop_oldest'."
        )
        self.capacity = capacity


class ForeignCancellation(RunError):  # noqa: N818 - says what happened
    """A step was cancelled, but neither by its run, its timeout nor its owner.

    On asyncio this is what awaiting a task that somebody else cancelled looks like.
    """

    __match_args__ = ("step",)

    def __init__(self, step: str) -> None:
        super().__init__(
            f"'{step}' was cancelled from outside the pipeline: "
            "something it awaited had been cancelled. "
            "Catch the cancellation where you await that task or future."
        )
        self.step = step


class ReceiverKilled(RunError):  # noqa: N818 - says what happened
    """Somebody cancelled the task that was performing a step, past all scopes."""

    __match_args__ = ("step",)

    def __init__(self, step: str) -> None:
        super().__init__(
            f"The task that performed step '{step}' was cancelled by its event loop's "
            "own means. Cancel runs with RunStream.cancel(), never their tasks."
        )
        self.step = step


class StepAborted(RunError):  # noqa: N818 - says what happened
    """A step raised a ``BaseException`` that is not an ``Exception``."""

    __match_args__ = ("step", "cause")

    def __init__(self, step: str, cause: str) -> None:
        super().__init__(f"Step '{step}' ended the run with {cause}.")
        self.step = step
        self.cause = cause


class ChildRunFailed(RunError):  # noqa: N818 - says what happened
    """A sub-pipeline failed and left no exception to carry across."""

    __match_args__ = ("step", "reason")

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step = step
        self.reason = reason


class RetriesExhausted(RunError):  # noqa: N818 - says what happened
    """A step answered ``Retry()`` more often than ``max_retries`` allows."""

    __match_args__ = ("step", "max_retries")

    def __init__(self, step: str, max_retries: int) -> None:
        super().__init__(
            f"Step '{step}' asked for another attempt but max_retries={max_retries} "
            "is reached. Raise the limit on the Pipe or give up inside the step."
        )
        self.step = step
        self.max_retries = max_retries


class ResourceUnavailable(RunError):  # noqa: N818 - says what happened
    """A resource could not be opened, or its owner is closing; the cause says why."""

    __match_args__ = ("resource", "reason")

    def __init__(self, resource: str, reason: str) -> None:
        super().__init__(
            f"Resource '{resource}' is unavailable: {reason}. "
            "It is opened again when somebody asks for it the next time."
        )
        self.resource = resource
        self.reason = reason


class EmptyPipelineError(RunError):
    """A run was started on a pipe without steps."""

    __match_args__ = ("pipe",)

    def __init__(self, pipe: str) -> None:
        super().__init__(
            f"No steps registered in pipe '{pipe}'; decorate one with @pipe.step."
        )
        self.pipe = pipe


class UnknownRunError(Factual, LookupError):
    """An observer was asked about a run it never heard of, or has forgotten."""

    __match_args__ = ("run_id",)

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"No run '{run_id}' is remembered; an observer's keep= says how many "
            "ended runs it remembers."
        )
        self.run_id = run_id
