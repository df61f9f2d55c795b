"""The failure policy: what a failure is, where it came from, and what follows from it.

Pure functions and records in the order in which they are used:

- ``escalate`` returns the handler that an exception goes to next, or how the run ends;
- ``FailureLog`` keeps the failures of one run and knows the one to report;
- ``classify`` turns them into the records of FINISH, with the source of each.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._util.lazy_classes import define, frozen
from .._util.text import safe_str
from ..errors import PipelineCancelled
from ..failures import (
    FailureClassificationConfig,
    FailureClassificationContext,
    FailureKind,
    FailureReason,
    FailureRecord,
    FailureSource,
)
from ..outcomes import PipelineTerminalStatus
from .plan import Callback


MAX_KEPT_FAILURES = 1000
"""Number of failures that a log keeps with their exceptions."""

_PRIORITY = {
    kind: rank
    for rank, kind in enumerate(
        (
            FailureKind.VALIDATION,
            FailureKind.STARTUP,
            FailureKind.STEP,
            FailureKind.SHUTDOWN,
            FailureKind.INFRA,
        )
    )
}

_PREFIXES = {
    FailureKind.STARTUP: "Startup hook failed: ",
    FailureKind.SHUTDOWN: "Shutdown hook failed: ",
}


@frozen(eq=False)
class Failure:
    """One failure with its exception, before it becomes a record."""

    kind: FailureKind
    """The phase it happened in."""
    reason: FailureReason
    """Why it counts."""
    error: Exception
    """The exception object itself; classifiers and observers receive it."""
    step: str | None = None
    """The step at fault."""

    @property
    def text(self) -> str:
        """Text of the exception, with the name of the hook if a hook raised it."""
        return _PREFIXES.get(self.kind, "") + safe_str(self.error)


@frozen(eq=False)
class TerminationCause:
    """Why a run is ended from outside its graph; noted before anything is cancelled."""

    status: PipelineTerminalStatus
    """Status of FINISH, unless it is FAILED: then the failure log decides."""
    reason: str | None = None
    """Text for FINISH and for logs; None if the status alone is enough."""
    steps_at_work: tuple[str, ...] = ()
    """Steps that were at work, sorted."""


_NO_FAILURES: list[Failure] = []
"""Shared list of all runs without a failure so far; it stays empty."""


@define(eq=False, repr=False)
class FailureLog:
    """The failures of one run."""

    failures: list[Failure] = _NO_FAILURES
    """The first ``MAX_KEPT_FAILURES`` of them."""
    dropped: int = 0
    """Number of later failures, which are counted and not kept."""
    primary: Failure | None = None
    """The failure to report: the first one of the earliest phase."""

    def add(self, failure: Failure) -> None:
        """Add one more failure."""
        if self.failures is _NO_FAILURES:
            self.failures = []
        if len(self.failures) < MAX_KEPT_FAILURES:
            self.failures.append(failure)
        else:
            self.dropped += 1
        if self.primary is None or _rank(failure) < _rank(self.primary):
            self.primary = failure

    def __bool__(self) -> bool:
        return self.primary is not None


def _rank(failure: Failure) -> int:
    return _PRIORITY.get(failure.kind, len(_PRIORITY))


EXTERNAL_PREFIXES = (
    "httpx",
    "requests",
    "aiohttp",
    "openai",
    "anthropic",
    "google",
    "botocore",
    "boto3",
    "redis",
    "sqlalchemy",
    "psycopg",
    "asyncpg",
)
"""Top-level packages with exceptions that count as an external dependency's failure."""

_FRAMEWORK_KINDS = (FailureKind.VALIDATION, FailureKind.INFRA)


def classify(
    failures: Sequence[Failure], config: FailureClassificationConfig
) -> list[FailureRecord]:
    """Turn failures into records; errors raised by the classifier come last."""
    records: list[FailureRecord] = []
    classifier_failures: list[FailureRecord] = []
    for failure in failures:
        source, problem = _source_of(failure, config)
        records.append(
            FailureRecord(
                failure.kind, source, failure.reason, failure.text, failure.step
            )
        )
        if problem is not None:
            classifier_failures.append(
                FailureRecord(
                    FailureKind.INFRA,
                    FailureSource.FRAMEWORK,
                    FailureReason.CLASSIFIER_ERROR,
                    problem,
                    failure.step,
                )
            )
    return records + classifier_failures


def _source_of(
    failure: Failure, config: FailureClassificationConfig
) -> tuple[FailureSource, str | None]:
    default = _default_source(failure, config.external_dependency_prefixes)
    if config.source_classifier is None:
        return default, None
    context = FailureClassificationContext(
        failure.error, failure.kind, failure.reason, failure.step, default
    )
    try:
        answer: object = config.source_classifier(context)
    except Exception as error:  # noqa: BLE001 - the user's classifier is not our run
        return default, f"Failure classifier raised {safe_str(error, typed=True)}"
    if answer is None:
        return default, None
    if isinstance(answer, FailureSource):
        return answer, None
    return (
        default,
        f"Failure classifier returned {type(answer).__name__}, not a FailureSource",
    )


def _default_source(failure: Failure, prefixes: Sequence[str]) -> FailureSource:
    module = type(failure.error).__module__ or ""
    if module.startswith((*EXTERNAL_PREFIXES, *prefixes)):
        return FailureSource.EXTERNAL_DEP
    if failure.kind in _FRAMEWORK_KINDS:
        return FailureSource.FRAMEWORK
    return FailureSource.USER_CODE


@frozen(eq=False)
class CallHandler:
    """Call this handler; if it raises, escalate again from ``level``."""

    handler: Callback
    """The handler to call."""
    level: int
    """Number of handlers passed once this one has failed."""


@frozen(eq=False)
class Cancelled:
    """The error is the token's cancellation: the run ends with status CANCELLED."""

    reason: str
    """The token's reason."""


@frozen(eq=False)
class Unhandled:
    """No handler is left, or the last one failed too: the run ends as FAILED."""

    error: Exception
    """The last exception that was raised."""


ErrorDecision = CallHandler | Cancelled | Unhandled


def escalate(
    error: Exception, level: int, handlers: tuple[Callback | None, ...]
) -> ErrorDecision:
    """Return which handler to call next, or how the run ends.

    Args:
        error: what was raised.
        level: how many handlers were passed already.
        handlers: local first, then global; None where there is none.
    """
    for position in range(level, len(handlers)):
        handler = handlers[position]
        if handler is not None:
            return CallHandler(handler, position + 1)
    cancelled = find_cancellation(error)
    return Unhandled(error) if cancelled is None else Cancelled(safe_str(cancelled))


def find_cancellation(error: BaseException) -> PipelineCancelled | None:
    """Return the token's cancellation if the error is one, or a group of only such.

    A task group in a step wraps the exceptions of its children in a group.  A group
    that also contains another exception is a failure.
    """
    if isinstance(error, PipelineCancelled):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    cancellations, others = error.split(PipelineCancelled)
    first: object = None if others is not None else cancellations
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, PipelineCancelled) else None


def set_cause(error: Exception, cause: Exception) -> None:
    """Make one error the cause of another, unless it leads there already.

    A handler may raise the cause of the error that it was given.  Code that follows
    ``__cause__`` would never leave such a cycle.
    """
    ancestor: BaseException | None = cause
    while ancestor is not None and ancestor is not error:
        ancestor = ancestor.__cause__
    if ancestor is None and error.__cause__ is None:
        error.__cause__ = cause
