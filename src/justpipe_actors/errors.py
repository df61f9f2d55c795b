"""Every exception of the library, as one tree.

::

    Exception
    ├── DefinitionError                 the pipe is wired wrongly
    │   └── DefinitionErrorGroup        several problems, reported together
    ├── PipelineCancelled               a cancellation token was cancelled
    ├── RunError (RuntimeError)         something about one run
    │   ├── RunInterrupted              the run's owner went away before it finished
    │   ├── RunRejected                 the supervisor takes no more runs
    │   ├── ConsumerTooSlow             a run was told to fail when nobody reads fast enough
    │   ├── ForeignCancellation         a step was cancelled by somebody else
    │   ├── ReceiverKilled              a task of the engine was cancelled natively
    │   ├── StepAborted                 a step raised a BaseException
    │   ├── ChildRunFailed              a sub-pipeline failed without an exception
    │   ├── RetriesExhausted            ``Retry()`` was answered too often
    │   ├── ResourceUnavailable         a resource could not be opened
    │   └── EmptyPipelineError          there is nothing to run
    ├── StoreError                      something about remembering runs
    │   ├── UnreadableDataError         stored data do not fit the type asked for
    │   ├── MalformedEventError (ValueError)  an event to be stored is no JSON object
    │   ├── AmbiguousRunError (ValueError)   a prefix that several runs share
    │   ├── CleanupRuleError (ValueError)  a rule for forgetting runs makes no sense
    │   └── StoreVersionError           the store was written by a newer version
    ├── SupervisionError                something about a supervisor's children
    │   ├── ChildStartFailed            a child did not get ready
    │   ├── ChildEnded                  a child that should go on came to an end
    │   └── RestartIntensityExceeded    children ended too often to go on
    ├── UnknownStepError (ValueError)   a step named one that is not there
    ├── NoRouteError (ValueError)       a switch knows no way for this value
    ├── MapSourceError (ValueError)     a map cannot use what its function returned
    ├── StepTimeoutError (TimeoutError)
    ├── HookTimeoutError (TimeoutError)
    ├── BarrierTimeoutError (TimeoutError)
    ├── UnknownRunError (LookupError)   an observer remembers no such run
    ├── MissingExtraError (ImportError)  a part needs a library that is not there
    └── TrialError                      something a test found out
        ├── Deadlock                    nothing can happen any more
        ├── ScheduleFailure             a check failed under one schedule
        └── CleanupFailure              a run stopped at one step left something behind

    UserWarning
    ├── PipelineValidationWarning       a definition that is legal but suspicious
    └── IgnoredValueWarning             a step returned something nobody reads

Errors take facts, keep them as attributes, word their own message and survive
pickling.  ``DefinitionError`` and ``PipelineCancelled`` are the two whose wording the
caller chooses: programs written for the reference construct them that way.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def did_you_mean(name: str, known: Iterable[str], kind: str = "steps") -> str:
    """Word the tail of an "unknown name" message: what exists, and a close match."""
    names = sorted(known)
    text = f" Available {kind}: {', '.join(names) or '(none)'}."
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return text + (f" Did you mean '{close[0]}'?" if close else "")


class DefinitionError(Exception):
    """A pipe is wired wrongly; raised while defining it or before its first event."""

    def __init__(self, message: str, *, step_name: str = "system") -> None:
        super().__init__(message)
        self.step_name = step_name
        """The step at fault, or ``"system"`` when it is the whole pipe."""

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_definition_error, (str(self), self.step_name)


def _rebuild_definition_error(message: str, step_name: str) -> DefinitionError:
    return DefinitionError(message, step_name=step_name)


class DefinitionErrorGroup(ExceptionGroup[DefinitionError], DefinitionError):  # noqa: N818
    """Several problems of one definition, found in one pass and reported together.

    It is a ``DefinitionError`` too, so ``except DefinitionError`` catches it.
    """

    step_name = "system"

    def __new__(
        cls, message: str, problems: Sequence[DefinitionError]
    ) -> DefinitionErrorGroup:
        """Build the group; the message is completed with every problem's text."""
        listed = "".join(f"\n  - {problem}" for problem in problems)
        return super().__new__(cls, message + listed, problems)

    def __init__(self, message: str, problems: Sequence[DefinitionError]) -> None:
        ExceptionGroup.__init__(self, message, problems)
        self._headline = message

    def derive(  # type: ignore[override]
        self, excs: Sequence[DefinitionError]
    ) -> DefinitionErrorGroup:
        """Keep the kind of the group when it is split."""
        return DefinitionErrorGroup(self._headline, excs)

    def __reduce__(self) -> tuple[object, ...]:
        return DefinitionErrorGroup, (self._headline, self.exceptions)


class PipelineCancelled(Exception):  # noqa: N818 - the name is public API
    """The run's cancellation token was cancelled; raised by ``checkpoint()``."""


class RunError(RuntimeError):
    """Something went wrong with one run, outside the steps' own code."""


class RunInterrupted(RunError):  # noqa: N818 - says what happened, not what failed
    """The run ended before its FINISH, and not because its consumer wanted it."""

    def __init__(self, reason: str = "its owner went away") -> None:
        super().__init__(
            f"The run was interrupted before it finished: {reason}. "
            "Consume it inside the block that owns it."
        )
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason,)


class RunRejected(RunError):  # noqa: N818 - says what happened, not what failed
    """The supervisor does not take this run."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(
            f"The run was rejected: {reason}.{' ' if remedy else ''}{remedy}"
        )
        self.reason = reason
        self.remedy = remedy

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.remedy)


class ConsumerTooSlow(RunError):  # noqa: N818 - says what happened
    """The consumer of a run with ``overflow="fail"`` was too far behind."""

    def __init__(self, capacity: int) -> None:
        super().__init__(
            f"The consumer is {capacity} events behind. Read faster, raise queue_size, "
            "or choose overflow='block' or 'drop_oldest'."
        )
        self.capacity = capacity

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.capacity,)


class ForeignCancellation(RunError):  # noqa: N818 - says what happened
    """A step was cancelled, but neither by its run, its timeout nor its owner.

    On asyncio this is what awaiting a task that somebody else cancelled looks like.
    """

    def __init__(self, step: str) -> None:
        super().__init__(
            f"'{step}' was cancelled from outside the pipeline: "
            "something it awaited had been cancelled. "
            "Catch the cancellation where you await that task or future."
        )
        self.step = step

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step,)


class ReceiverKilled(RunError):  # noqa: N818 - says what happened
    """Somebody cancelled the task that was performing a step, past all scopes."""

    def __init__(self, step: str) -> None:
        super().__init__(
            f"The task that performed step '{step}' was cancelled by its event loop's "
            "own means. Cancel runs with RunStream.cancel(), never their tasks."
        )
        self.step = step

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step,)


class StepAborted(RunError):  # noqa: N818 - says what happened
    """A step raised a ``BaseException`` that is not an ``Exception``."""

    def __init__(self, step: str, cause: str) -> None:
        super().__init__(f"Step '{step}' ended the run with {cause}.")
        self.step = step
        self.cause = cause

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step, self.cause)


class ChildRunFailed(RunError):  # noqa: N818 - says what happened
    """A sub-pipeline failed and left no exception to carry across."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step = step
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step, self.reason)


class RetriesExhausted(RunError):  # noqa: N818 - says what happened
    """A step answered ``Retry()`` more often than ``max_retries`` allows."""

    def __init__(self, step: str, max_retries: int) -> None:
        super().__init__(
            f"Step '{step}' asked for another attempt but max_retries={max_retries} "
            "is reached. Raise the limit on the Pipe or give up inside the step."
        )
        self.step = step
        self.max_retries = max_retries

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step, self.max_retries)


class ResourceUnavailable(RunError):  # noqa: N818 - says what happened
    """A resource could not be opened, or its owner is closing; the cause says why."""

    def __init__(self, resource: str, reason: str) -> None:
        super().__init__(
            f"Resource '{resource}' is unavailable: {reason}. "
            "It is opened again when somebody asks for it the next time."
        )
        self.resource = resource
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.resource, self.reason)


class EmptyPipelineError(RunError):
    """A run was started on a pipe without steps."""

    def __init__(self, pipe: str) -> None:
        super().__init__(
            f"No steps registered in pipe '{pipe}'; decorate one with @pipe.step."
        )
        self.pipe = pipe

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.pipe,)


class StoreError(Exception):
    """Something went wrong with remembering runs."""


class UnreadableDataError(StoreError):
    """Plain data do not fit the type they were to become."""

    def __init__(self, kind: str, problem: str) -> None:
        super().__init__(
            f"These data are no {kind}: {problem}. "
            "Read them as plain JSON, or with the version that wrote them."
        )
        self.kind = kind
        self.problem = problem

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.kind, self.problem)


class MalformedEventError(StoreError, ValueError):
    """A text that was to be stored as an event is no JSON object."""

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(
            f"No event to store: {text!r} ({problem}). "
            "Pass the JSON text of one event object each."
        )
        self.text = text
        self.problem = problem

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.text, self.problem)


class AmbiguousRunError(StoreError, ValueError):
    """Several runs begin with the text that was to name one."""

    def __init__(self, prefix: str, candidates: Sequence[str]) -> None:
        shown = ", ".join(f"{run_id[:12]}..." for run_id in candidates[:5])
        super().__init__(
            f"Ambiguous run id '{prefix}': it matches {len(candidates)} runs "
            f"({shown}). Give more characters of it."
        )
        self.prefix = prefix
        self.candidates = tuple(candidates)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.prefix, self.candidates)


class CleanupRuleError(StoreError, ValueError):
    """A rule for forgetting runs has a field that makes no sense."""

    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(f"Cleanup: {field} must be {expected}, not {value!r}.")
        self.field = field
        self.value = value
        self.expected = expected

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.field, self.value, self.expected)


class StoreVersionError(StoreError):
    """A store has a schema that this version does not know how to write."""

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(
            f"The store {path} has schema version {found} and this version of "
            f"justpipe_actors writes {known}. Upgrade, or use another storage path."
        )
        self.path = path
        self.found = found
        self.known = known

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, self.found, self.known)


class SupervisionError(Exception):
    """Something went wrong with a supervisor's children."""


class ChildStartFailed(SupervisionError):  # noqa: N818 - says what happened
    """A child did not get ready; the cause, if there is one, is its exception."""

    def __init__(self, child: str, reason: str) -> None:
        super().__init__(f"'{child}' did not start: {reason}.")
        self.child = child
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.child, self.reason)


class ChildEnded(SupervisionError):  # noqa: N818 - says what happened
    """A child that is to run for good returned, or was cancelled from outside."""

    def __init__(self, child: str, how: str) -> None:
        super().__init__(
            f"'{child}' {how}. "
            "Add it with restart='transient' if its work can be finished."
        )
        self.child = child
        self.how = how

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.child, self.how)


class RestartIntensityExceeded(SupervisionError):  # noqa: N818 - says what happened
    """Children ended too often to go on; the cause is what ended the last one."""

    def __init__(self, child: str, restarts: int, period: float) -> None:
        super().__init__(
            f"Supervision gave up: '{child}' ended, and that would have been restart "
            f"{restarts} within {period:g}s. Mend what the cause shows, "
            "or allow more with Supervisor(intensity=..., period=...)."
        )
        self.child = child
        self.restarts = restarts
        self.period = period

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.child, self.restarts, self.period)


class TrialError(Exception):
    """A tool of ``justpipe_actors.testing`` has found something."""


class Deadlock(TrialError):  # noqa: N818 - says what happened
    """Under virtual time: every task waits, and no timer will wake one."""

    def __init__(self, report: str) -> None:
        super().__init__(
            f"{report}\nLet somebody do what is waited for, or wait with a timeout."
        )
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.report,)


class ScheduleFailure(TrialError, AssertionError):  # noqa: N818 - says what happened
    """A pipeline's check failed under one schedule, and not under the plain one.

    ``choices`` is the schedule: what happened at each seam, to be replayed.
    """

    def __init__(self, problem: str, choices: Sequence[int], report: str) -> None:
        super().__init__(
            f"{problem}\n{report}\n"
            f"Replay it with replay(..., choices={list(choices)!r})."
        )
        self.problem = problem
        self.choices = tuple(choices)
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problem, self.choices, self.report)


class UnknownStepError(ValueError):
    """A step, a handler or a switch named a step that is not there."""

    def __init__(self, step: str, known: Sequence[str]) -> None:
        super().__init__(f"Step '{step}' does not exist.{did_you_mean(step, known)}")
        self.step = step
        self.known = tuple(known)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step, self.known)


class CleanupFailure(TrialError, AssertionError):  # noqa: N818 - says what happened
    """A run that was stopped at one step of its scheduler did not end as it should."""

    def __init__(self, problem: str, how: str, step: int) -> None:
        super().__init__(
            f"{problem}\nIt was stopped by {how!r} at step {step} of its scheduler. "
            f"Look at it alone with cancel_everywhere(..., how=[{how!r}], "
            f"steps=[{step}])."
        )
        self.problem = problem
        self.how = how
        self.step = step

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problem, self.how, self.step)


class NoRouteError(ValueError):
    """A switch got a value that matches no route and has no default."""

    def __init__(self, step: str, value: str, routes: Sequence[str], hint: str) -> None:
        listed = f" Routes: {', '.join(routes)}." if routes else ""
        super().__init__(
            f"Switch '{step}': {value} matches no route and there is no default."
            f"{listed}{hint}"
        )
        self.step = step
        self.value = value
        self.routes = tuple(routes)
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step, self.value, self.routes, self.hint)


class MapSourceError(ValueError):
    """A map's function returned something that cannot be mapped over."""

    def __init__(self, step: str, problem: str) -> None:
        super().__init__(f"Map '{step}' {problem}")
        self.step = step
        self.problem = problem

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step, self.problem)


class StepTimeoutError(TimeoutError):
    """A step took longer than its ``timeout``."""

    def __init__(self, step: str, seconds: float) -> None:
        super().__init__(f"Step '{step}' timed out after {seconds:g}s")
        self.step = step
        self.seconds = seconds

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step, self.seconds)


class HookTimeoutError(TimeoutError):
    """A shutdown hook took too long after somebody had asked for the run's end."""

    def __init__(self, hook: str, seconds: float) -> None:
        super().__init__(
            f"Hook '{hook}' was given up {seconds:g}s after the run was told to end. "
            "Bound what it waits for."
        )
        self.hook = hook
        self.seconds = seconds

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.hook, self.seconds)


class BarrierTimeoutError(TimeoutError):
    """A step waited longer than its ``barrier_timeout`` for its parents."""

    def __init__(self, step: str, missing: Sequence[str], seconds: float) -> None:
        super().__init__(
            f"Barrier timeout: step '{step}' waited {seconds:g}s for "
            f"{', '.join(missing)}"
        )
        self.step = step
        self.missing = tuple(missing)
        self.seconds = seconds

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.step, self.missing, self.seconds)


class MissingExtraError(ImportError):
    """A part was imported whose libraries are not installed."""

    def __init__(self, extra: str, library: str) -> None:
        super().__init__(
            f"This part needs {library}; install it with "
            f"pip install 'justpipe_actors[{extra}]'."
        )
        self.extra = extra
        self.library = library

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.extra, self.library)


class UnknownRunError(LookupError):
    """An observer was asked about a run it never heard of, or has forgotten."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"No run '{run_id}' is remembered; an observer's keep= says how many "
            "ended runs it remembers."
        )
        self.run_id = run_id

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.run_id,)


class PipelineValidationWarning(UserWarning):
    """A definition that is legal but probably not what was meant."""


class IgnoredValueWarning(UserWarning):
    """A step returned a value that means nothing to the engine."""
