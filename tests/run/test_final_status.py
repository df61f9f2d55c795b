"""The payload of FINISH is a pure function of a run's failures and its termination."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import asdict, fields, replace

import pytest

from justpipe_actors import EventType
from justpipe_actors._plan.failure_policy import (
    MAX_KEPT_FAILURES,
    Failure,
    FailureLog,
    TerminationCause,
)
from justpipe_actors._publishing.run_metrics import RunMetrics
from justpipe_actors._run.final_status import RunFigures, build_end_data
from justpipe_actors.outcomes import (
    Diagnostic,
    MapMetrics,
    QueueMetrics,
    RuntimeMetrics,
    StepTiming,
    TaskMetrics,
)
from justpipe_actors.types import (
    FailureClassificationConfig,
    FailureKind,
    FailureReason,
    FailureRecord,
    FailureSource,
    PipelineEndData,
    PipelineTerminalStatus as Status,
)


METRICS = RuntimeMetrics(
    QueueMetrics(10),
    TaskMetrics(4, 4, 2),
    {"s": StepTiming(1, 0.5, 0.5, 0.5)},
    {},
    MapMetrics(0, 0, 0, 0),
    {"start": 1},
    tokens=3,
    suspends=0,
)
JOINS = [Diagnostic("join", "pruned", ("a",), "a was pruned")]
FIGURES = RunFigures(1.5, METRICS, JOINS)


def log_of(*failures: Failure) -> FailureLog:
    """Return a failure log with these failures."""
    log = FailureLog()
    for failure in failures:
        log.add(failure)
    return log


def step_failure(error: Exception, step: str = "s") -> Failure:
    """Return the failure of a step."""
    return Failure(FailureKind.STEP, FailureReason.STEP_ERROR, error, step)


def end_of(
    failures: FailureLog,
    termination: TerminationCause | None = None,
    config: FailureClassificationConfig | None = None,
) -> PipelineEndData:
    """Return the payload of FINISH, with the figures that all tests here use."""
    config = config or FailureClassificationConfig()
    return build_end_data(termination, failures, config, FIGURES)


def test_a_run_without_failures_is_a_success() -> None:
    """A success has the figures and no error."""
    assert end_of(log_of()) == PipelineEndData(
        Status.SUCCESS, 1.5, metrics=METRICS, diagnostics=JOINS
    )


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (Status.TIMEOUT, FailureReason.TIMEOUT, None),
        (Status.CANCELLED, FailureReason.CANCELLED, "why"),
        (Status.CLIENT_CLOSED, FailureReason.CLIENT_CLOSED, "why"),
    ],
)
def test_an_end_from_outside_decides_the_status(
    status: Status, reason: FailureReason, error: str | None
) -> None:
    """A cancellation or a timeout is the status; earlier failures are listed."""
    failures = log_of(step_failure(ValueError("x")))
    end = end_of(failures, TerminationCause(status, "why", ("a", "b")))

    assert end == PipelineEndData(
        status,
        1.5,
        error=error,
        reason=reason,
        errors=[record("x")],
        metrics=METRICS,
        diagnostics=JOINS,
        steps_at_work=["a", "b"],
    )


def test_a_failure_is_reported_with_its_step_and_source() -> None:
    """FINISH names the primary failure, its class, its phase, its step and its source."""
    first, second = ValueError("x"), KeyError("y")
    end = end_of(log_of(step_failure(first), step_failure(second, "t")))

    assert end == PipelineEndData(
        Status.FAILED,
        1.5,
        error="x",
        reason=FailureReason.STEP_ERROR,
        failure_kind=FailureKind.STEP,
        failure_source=FailureSource.USER_CODE,
        failed_step="s",
        errors=[record("x"), record("'y'", "t")],
        metrics=METRICS,
        diagnostics=JOINS,
        error_type="ValueError",
    )
    assert end.exceptions == (first, second)


def test_a_group_is_reported_with_the_exceptions_inside() -> None:
    """``error`` is the group's own text; ``error_text`` names the leaves, as the log does."""
    group = ExceptionGroup(
        "two of five", [OSError("a"), ExceptionGroup("more", [KeyError("b")])]
    )
    end = end_of(log_of(step_failure(group)))

    text = "two of five (2 sub-exceptions)"
    assert end.error == text
    assert end.error_leaves == ["OSError: a", "KeyError: 'b'"]
    assert end.error_text == f"ExceptionGroup: {text}: OSError: a; KeyError: 'b'"
    assert end.headline == f"failed after 1.5s in step 's': {end.error_text}"


def test_a_termination_as_failed_reports_the_failure() -> None:
    """A run that its failure policy ended is FAILED with the failure as its cause."""
    failures = log_of(step_failure(ValueError("x")))
    end = end_of(failures, TerminationCause(Status.FAILED, "stopped"))

    assert (end.status, end.error, end.failed_step) == (Status.FAILED, "x", "s")


def test_the_end_of_a_success_has_all_fields() -> None:
    """It has the fields that the constructor gives it, in the same order."""
    diagnostics = [Diagnostic("join", "pruned", ("a",), "it did not run")]
    end = build_end_data(
        None,
        FailureLog(),
        FailureClassificationConfig(),
        RunFigures(1.5, METRICS, diagnostics),
    )
    expected = PipelineEndData(
        Status.SUCCESS, 1.5, metrics=METRICS, diagnostics=diagnostics
    )
    assert end == expected
    assert list(vars(end)) == list(vars(expected))


def test_the_metrics_of_a_run_have_all_fields() -> None:
    """They have the fields that the constructors give them."""
    assert vars(RunMetrics().report().queue) == vars(QueueMetrics(0))
    assert vars(RunMetrics().report().tasks) == vars(TaskMetrics(0, 0, 0))
    assert vars(RunMetrics().report().maps) == vars(MapMetrics(0, 0, 0, 0))


def test_the_primary_failure_comes_first_whatever_its_position() -> None:
    """The earliest phase decides, and its source is that of its own record."""
    shutdown = Failure(
        FailureKind.SHUTDOWN, FailureReason.SHUTDOWN_HOOK_ERROR, ValueError("late")
    )
    outside = type("Refused", (Exception,), {"__module__": "httpx"})("no")
    end = end_of(log_of(shutdown, step_failure(outside)))

    assert end.failure_source is FailureSource.EXTERNAL_DEP
    assert (end.error, end.failed_step) == ("no", "s")
    assert end.exceptions == (outside, shutdown.error)


def test_a_primary_failure_that_is_not_kept_has_no_source() -> None:
    """Failures beyond the kept ones are counted, and one of them may be the cause."""
    shutdown = Failure(
        FailureKind.SHUTDOWN, FailureReason.SHUTDOWN_HOOK_ERROR, ValueError("x")
    )
    failures = log_of(*[shutdown] * MAX_KEPT_FAILURES, step_failure(KeyError("y")))
    end = end_of(failures)

    assert end.failure_source is FailureSource.NONE
    assert (end.error, end.failure_kind) == ("'y'", FailureKind.STEP)
    assert len(end.errors) == MAX_KEPT_FAILURES + 1
    assert end.errors[-1] == FailureRecord(
        FailureKind.INFRA,
        FailureSource.FRAMEWORK,
        FailureReason.STEP_ERROR,
        "... and 1 more failures",
    )


def test_records_follow_the_classifier_of_the_pipe() -> None:
    """The source of a record and of the end is what the pipe's classifier answers."""
    config = FailureClassificationConfig(lambda context: FailureSource.EXTERNAL_DEP)
    end = end_of(log_of(step_failure(ValueError("x"))), config=config)

    assert end.failure_source is FailureSource.EXTERNAL_DEP
    assert end.errors[0].source is FailureSource.EXTERNAL_DEP


def record(error: str, step: str = "s") -> FailureRecord:
    """Return the record of a step's failure."""
    return FailureRecord(
        FailureKind.STEP,
        FailureSource.USER_CODE,
        FailureReason.STEP_ERROR,
        error,
        step,
    )


def metrics_of_a_run() -> RuntimeMetrics:
    """Return metrics as FINISH has them, none of which was read."""
    metrics = RunMetrics(peak_buffered=3, started=2, completed=2, peak=1)
    metrics.add_step_time("a", 1.0)
    metrics.add_step_time("a", 3.0)
    metrics.count_event(EventType.TOKEN)
    return metrics.report()


ALL_METRICS = RuntimeMetrics(
    queue=QueueMetrics(3),
    tasks=TaskMetrics(2, 2, 1),
    step_latency={"a": StepTiming(2, 4.0, 1.0, 3.0)},
    barriers={},
    maps=MapMetrics(0, 0, 0, 0),
    events={"token": 1},
    tokens=1,
    suspends=0,
)


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda found: found, id="compared"),
        pytest.param(copy.copy, id="copied"),
        pytest.param(copy.deepcopy, id="copied deeply"),
        pytest.param(lambda found: pickle.loads(pickle.dumps(found)), id="pickled"),
        pytest.param(replace, id="replaced"),
        pytest.param(lambda found: RuntimeMetrics(**vars(found)), id="taken apart"),
    ],
)
def test_the_metrics_of_a_run_are_complete_whatever_reads_them_first(
    use: Callable[[RuntimeMetrics], RuntimeMetrics],
) -> None:
    """They are converted when they are first read, copied or compared."""
    found = use(metrics_of_a_run())
    assert found == ALL_METRICS
    assert repr(found) == repr(ALL_METRICS)
    assert asdict(found) == asdict(ALL_METRICS)


def test_the_metrics_of_a_run_are_in_the_order_of_their_class() -> None:
    """Encoders that write an object's instance dict write them in this order."""
    assert [*vars(metrics_of_a_run())] == [one.name for one in fields(RuntimeMetrics)]


def test_reading_metrics_keeps_a_field_that_was_set_before() -> None:
    """A program that corrects a figure sees its own value, whenever others are read."""
    found = metrics_of_a_run()
    object.__setattr__(found, "tokens", 7)

    assert found == replace(ALL_METRICS, tokens=7)


def test_metrics_refuse_an_unknown_attribute() -> None:
    """As any object does."""
    with pytest.raises(
        AttributeError, match="'RuntimeMetrics' object has no attribute"
    ):
        _ = metrics_of_a_run().latency  # type: ignore[attr-defined]
