from __future__ import annotations

from collections.abc import Sequence

import attrs

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
"""Failures that a log keeps whole."""

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


@attrs.frozen(eq=False)
class Failure:
    """One failure with its exception, before it becomes a record."""

    kind: FailureKind
    """The phase it happened in."""
    reason: FailureReason
    """Why it counts."""
    error: Exception
    """The exception, whole: classifiers and observers get this very object."""
    step: str | None = None
    """The step at fault."""

    @property
    def text(self) -> str:
        """The exception's text, said to be a hook's where it is one."""
        return _PREFIXES.get(self.kind, "") + safe_str(self.error)


@attrs.frozen(eq=False)
class TerminationCause:
    """Why a run is ended from outside its graph; noted before anything is cancelled."""

    status: PipelineTerminalStatus
    """What FINISH will say, unless it is FAILED: then the failure log decides."""
    reason: str | None = None
    """The words for it."""
    steps_at_work: tuple[str, ...] = ()
    """Steps that were at work, sorted."""


@attrs.define(eq=False, repr=False)
class FailureLog:
    """The failures of one run."""

    failures: list[Failure] = attrs.field(factory=list)
    """The first ``MAX_KEPT_FAILURES`` of them."""
    dropped: int = 0
    """How many came after those."""
    primary: Failure | None = None
    """The cause to report: earliest phase first, then first come."""

    def add(self, failure: Failure) -> None:
        """Add one more failure."""
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
"""Packages whose exceptions speak of the world outside."""

_FRAMEWORK_KINDS = (FailureKind.VALIDATION, FailureKind.INFRA)


def classify(
    failures: Sequence[Failure], config: FailureClassificationConfig
) -> list[FailureRecord]:
    """Turn failures into records, the classifier's own failures at the end."""
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


@attrs.frozen(eq=False)
class CallHandler:
    """Ask this handler; if it fails too, go on from ``level``."""

    handler: Callback
    """The handler to call."""
    level: int
    """Where to continue."""


@attrs.frozen(eq=False)
class Cancelled:
    """Nobody swallowed the cancellation: the run stops as CANCELLED."""

    reason: str
    """The token's reason."""


@attrs.frozen(eq=False)
class Unhandled:
    """Nobody handled it: the run has failed."""

    error: Exception
    """What was raised last."""


ErrorDecision = CallHandler | Cancelled | Unhandled


def escalate(
    error: Exception, level: int, handlers: tuple[Callback | None, ...]
) -> ErrorDecision:
    """Say what to do about an error.

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
    """Return the token's cancellation if the error is one, or a group of nothing else.

    A task group in a step wraps what its children raise.  If anything else is in the
    group, something has failed, and the group stays the failure that it is.
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

    A handler may raise the very cause of what it was given; a circle of causes would
    trap whoever follows them.
    """
    ancestor: BaseException | None = cause
    while ancestor is not None and ancestor is not error:
        ancestor = ancestor.__cause__
    if ancestor is None and error.__cause__ is None:
        error.__cause__ = cause
