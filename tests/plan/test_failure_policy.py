"""Judging trouble is pure: classification, escalation, the journal, the ending."""

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
)
from justpipe_actors._plan.plan import Callback
from justpipe_actors.types import (
    FailureClassificationConfig,
    FailureKind,
    FailureReason,
    FailureSource,
    PipelineCancelled,
)


CONFIG = FailureClassificationConfig(external_dependency_prefixes=("myclient",))


def failure(
    kind: FailureKind = FailureKind.STEP, error: Exception | None = None
) -> Failure:
    """Return a trouble of a kind."""
    return Failure(kind, FailureReason.STEP_ERROR, error or ValueError(kind.value), "s")


def handler(name: str) -> Callback:
    """Return a handler that is told apart by its name."""
    return Callback(lambda: None, name, lambda run, call: {})


def test_the_chain_is_climbed_not_circled() -> None:
    """Local, then global, then nobody; a token's cancellation ends as one."""
    local, everywhere = handler("local"), handler("global")
    error = ValueError("x")

    first = escalate(error, 0, (local, everywhere))
    second = escalate(error, 1, (local, everywhere))
    assert isinstance(first, CallHandler)
    assert (first.handler, first.level) == (local, 1)
    assert isinstance(second, CallHandler)
    assert (second.handler, second.level) == (everywhere, 2)
    assert isinstance(escalate(error, 2, (local, everywhere)), Unhandled)
    assert isinstance(escalate(error, 0, (None, None)), Unhandled)
    cancelled = escalate(PipelineCancelled("why"), 2, (local, everywhere))
    assert isinstance(cancelled, Cancelled)
    assert cancelled.reason == "why"


def test_the_primary_failure_is_the_earliest_phase() -> None:
    """The first failure of the earliest phase is the cause, whatever came first."""
    failure_log = FailureLog()
    shutdown, step, later = (
        failure(FailureKind.SHUTDOWN),
        failure(FailureKind.STEP),
        failure(FailureKind.STEP),
    )
    for one in (shutdown, step, later):
        failure_log.add(one)

    assert failure_log.primary is step


def test_a_journal_is_bounded() -> None:
    """It keeps the first thousand and counts the rest."""
    failure_log = FailureLog()
    for _ in range(MAX_KEPT_FAILURES + 5):
        failure_log.add(failure())

    assert (len(failure_log.failures), failure_log.dropped) == (MAX_KEPT_FAILURES, 5)


def test_whose_fault_it_is() -> None:
    """A client library's exception is an external dependency's, ours the framework's."""
    away = type("Away", (Exception,), {"__module__": "myclient.http"})()
    records = classify(
        [
            failure(error=away),
            failure(),
            failure(FailureKind.INFRA),
        ],
        CONFIG,
    )

    assert [record.source for record in records] == [
        FailureSource.EXTERNAL_DEP,
        FailureSource.USER_CODE,
        FailureSource.FRAMEWORK,
    ]


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
        errors.UnknownRunError("r1"),
        errors.MissingExtraError("otel", "opentelemetry-api"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: Any) -> None:
    """An error comes out of a pickle with its text and its facts."""
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
