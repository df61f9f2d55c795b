"""The failure policy is pure: classification, escalation, and the failure log."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from justpipe_actors import errors as errors
from justpipe_actors._plan.failure_policy import (
    MAX_KEPT_FAILURES,
    CallHandler,
    Cancelled,
    Failure,
    FailureLog,
    Unhandled,
    classify,
    escalate,
    find_cancellation,
    set_cause,
)
from justpipe_actors._plan.plan import Callback
from justpipe_actors.types import (
    FailureClassificationConfig,
    FailureClassificationContext,
    FailureKind,
    FailureReason,
    FailureRecord,
    FailureSource,
    PipelineCancelled,
)


CONFIG = FailureClassificationConfig(external_dependency_prefixes=("myclient",))


def failure(
    kind: FailureKind = FailureKind.STEP, error: Exception | None = None
) -> Failure:
    """Return a failure of a phase."""
    return Failure(kind, FailureReason.STEP_ERROR, error or ValueError(kind.value), "s")


def handler(name: str) -> Callback:
    """Return a handler with a name."""
    return Callback(lambda: None, name, lambda run, call: {})


def test_handlers_are_chosen_from_local_to_global() -> None:
    """The local handler is first, then the global one; without either the run fails."""
    local, everywhere = handler("local"), handler("global")
    error = ValueError("x")

    assert decision(error, 0, (local, everywhere)) == (local, 1)
    assert decision(error, 1, (local, everywhere)) == (everywhere, 2)
    assert decision(error, 0, (None, everywhere)) == (everywhere, 2)
    assert decision(error, 2, (local, everywhere)) is error
    assert decision(error, 0, (None, None)) is error


def test_an_unhandled_cancellation_ends_the_run_as_cancelled() -> None:
    """A cancellation by the run's token is no failure, and its reason is kept."""
    assert decision(PipelineCancelled("why"), 0, (None, None)) == "why"


def decision(
    error: Exception, level: int, handlers: tuple[Callback | None, ...]
) -> object:
    """Return the handler and the next level, the error, or the reason."""
    match escalate(error, level, handlers):
        case CallHandler(handler, next_level):
            return handler, next_level
        case Cancelled(reason):
            return reason
        case Unhandled(unhandled):
            return unhandled


def test_a_group_of_cancellations_is_a_cancellation() -> None:
    """It is not, when it has any other exception at any depth."""
    cancelled = PipelineCancelled("why")
    inner = ExceptionGroup("inner", [cancelled])

    assert find_cancellation(cancelled) is cancelled
    assert find_cancellation(ExceptionGroup("outer", [inner])) is cancelled
    assert find_cancellation(ExceptionGroup("o", [inner, ValueError()])) is None
    assert find_cancellation(ExceptionGroup("o", [ValueError()])) is None
    assert find_cancellation(ValueError()) is None


def test_the_primary_failure_is_the_first_of_the_earliest_phase() -> None:
    """Validation comes first, then startup, steps, shutdown, and the engine itself."""
    failure_log = FailureLog()
    for kind in (
        FailureKind.INFRA,
        FailureKind.SHUTDOWN,
        FailureKind.STEP,
        FailureKind.STARTUP,
        FailureKind.VALIDATION,
    ):
        first, later = failure(kind), failure(kind)
        failure_log.add(first)
        failure_log.add(later)
        assert failure_log.primary is first


def test_a_failure_without_a_phase_comes_last() -> None:
    """Failures with a phase are reported before it."""
    failure_log = FailureLog()
    for kind in (FailureKind.NONE, FailureKind.INFRA):
        failure_log.add(failure(kind))

    assert failure_log.primary is failure_log.failures[1]


def test_a_log_is_true_once_something_failed() -> None:
    """An empty log is false."""
    failure_log = FailureLog()
    assert not failure_log

    failure_log.add(failure())
    assert failure_log


def test_a_log_is_bounded() -> None:
    """It keeps the first thousand failures and counts the later ones."""
    failure_log = FailureLog()
    for _ in range(MAX_KEPT_FAILURES + 5):
        failure_log.add(failure())

    assert (len(failure_log.failures), failure_log.dropped) == (MAX_KEPT_FAILURES, 5)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (FailureKind.STARTUP, "Startup hook failed: x"),
        (FailureKind.SHUTDOWN, "Shutdown hook failed: x"),
        (FailureKind.STEP, "x"),
    ],
)
def test_the_text_of_a_failure_names_the_hook(kind: FailureKind, text: str) -> None:
    """The text of an error in a hook says which kind of hook raised it."""
    assert failure(kind, ValueError("x")).text == text


@pytest.mark.parametrize(
    ("kind", "module", "source"),
    [
        (FailureKind.STEP, "myclient.http", FailureSource.EXTERNAL_DEP),
        (FailureKind.INFRA, "httpx", FailureSource.EXTERNAL_DEP),
        (FailureKind.STEP, "app.myclient", FailureSource.USER_CODE),
        (FailureKind.STEP, None, FailureSource.USER_CODE),
        (FailureKind.SHUTDOWN, "app", FailureSource.USER_CODE),
        (FailureKind.INFRA, "app", FailureSource.FRAMEWORK),
        (FailureKind.VALIDATION, "app", FailureSource.FRAMEWORK),
    ],
)
def test_the_source_follows_the_module_of_the_error(
    kind: FailureKind, module: str | None, source: FailureSource
) -> None:
    """The source of a client library's error is an external dependency, of ours the framework."""
    error = type("Away", (Exception,), {"__module__": module})("x")

    one = failure(kind, error)
    assert classify([one], CONFIG) == [
        FailureRecord(kind, source, FailureReason.STEP_ERROR, one.text, "s")
    ]


def test_a_classifier_decides_the_source() -> None:
    """It receives the exception with its phase, reason, step and default source."""
    seen: list[FailureClassificationContext] = []

    def classifier(context: FailureClassificationContext) -> FailureSource | None:
        seen.append(context)
        return FailureSource.EXTERNAL_DEP if context.step == "s" else None

    error = ValueError("x")
    other = Failure(FailureKind.INFRA, FailureReason.INTERNAL_ERROR, error, None)
    records = classify(
        [failure(error=error), other], FailureClassificationConfig(classifier)
    )

    assert seen == [
        FailureClassificationContext(
            error,
            FailureKind.STEP,
            FailureReason.STEP_ERROR,
            "s",
            FailureSource.USER_CODE,
        ),
        FailureClassificationContext(
            error,
            FailureKind.INFRA,
            FailureReason.INTERNAL_ERROR,
            None,
            FailureSource.FRAMEWORK,
        ),
    ]
    assert [record.source for record in records] == [
        FailureSource.EXTERNAL_DEP,
        FailureSource.FRAMEWORK,
    ]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (ValueError("no"), "Failure classifier raised ValueError: no"),
        ("user", "Failure classifier returned str, not a FailureSource"),
    ],
)
def test_errors_of_a_classifier_are_reported_last(answer: object, problem: str) -> None:
    """The failures keep their default source."""

    def classifier(context: FailureClassificationContext) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    records = classify([failure(), failure()], FailureClassificationConfig(classifier))

    own = FailureRecord(
        FailureKind.INFRA,
        FailureSource.FRAMEWORK,
        FailureReason.CLASSIFIER_ERROR,
        problem,
        "s",
    )
    kept = FailureRecord(
        FailureKind.STEP,
        FailureSource.USER_CODE,
        FailureReason.STEP_ERROR,
        "step",
        "s",
    )
    assert records == [kept, kept, own, own]


def test_a_cause_is_set_once() -> None:
    """An error that has a cause keeps it."""
    error, cause, later = ValueError("e"), ValueError("c"), ValueError("l")
    set_cause(error, cause)
    set_cause(error, later)

    assert error.__cause__ is cause


def test_a_cause_never_makes_a_cycle() -> None:
    """A handler may raise the cause of the error that it handles."""
    cause, error = ValueError("c"), ValueError("e")
    error.__cause__ = cause

    set_cause(cause, error)
    set_cause(error, error)

    assert cause.__cause__ is None
    assert error.__cause__ is cause


@pytest.mark.parametrize(
    "error",
    [
        errors.DefinitionError("x", step_name="s"),
        errors.RunInterrupted("gone"),
        errors.RunRejected("full", "Wait."),
        errors.ForeignCancellation("s"),
        errors.StepAborted("s", "SystemExit"),
        errors.RetriesExhausted("s", 3),
        errors.NoRouteError("s", "'c'", ["'a'"], ""),
        errors.MapSourceError("m", "is odd"),
        errors.StepTimeoutError("s", 1.5),
        errors.BarrierTimeoutError("s", ["p"], 2),
        errors.ChildRunFailed("s", "why"),
        errors.EmptyPipelineError("p"),
        errors.UnknownRunError("r1", "supervisor"),
        errors.LayoutTooLarge(900, 50_000, 20_000),
        errors.MissingExtraError("otel", "opentelemetry-api"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: Any) -> None:
    """An unpickled error has the same text and facts."""
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
