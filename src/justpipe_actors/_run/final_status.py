"""Decide a run's final status and its cause.  Pure functions.

===========================================  ==========================================
what happened                                FINISH says
===========================================  ==========================================
cancelled, timed out or closed from outside  that, whatever else failed; failures are
                                             listed in ``errors``
anything failed                              FAILED, with the earliest phase's first
                                             failure as the cause
otherwise (``Stop`` and ``Suspend`` too)     SUCCESS
===========================================  ==========================================
"""

from __future__ import annotations

import attrs

from .._plan.failure_policy import Failure, FailureLog, TerminationCause, classify
from .._util.lazy_classes import define
from .._util.text import leaf_texts
from ..failures import (
    FailureClassificationConfig,
    FailureKind,
    FailureReason,
    FailureRecord,
    FailureSource,
)
from ..outcomes import (
    Diagnostic,
    PipelineEndData,
    PipelineTerminalStatus,
    RuntimeMetrics,
    successful_end,
    with_exceptions,
)


_REASONS = {
    PipelineTerminalStatus.TIMEOUT: FailureReason.TIMEOUT,
    PipelineTerminalStatus.CANCELLED: FailureReason.CANCELLED,
    PipelineTerminalStatus.CLIENT_CLOSED: FailureReason.CLIENT_CLOSED,
}


@define(eq=False, repr=False)
class RunFigures:
    """The measurements of a run, with any final status."""

    seconds: float
    """How long it took."""
    metrics: RuntimeMetrics | None = None
    """Its counters; None if there are none."""
    diagnostics: list[Diagnostic] = attrs.field(factory=list)
    """Its joins that did not run."""


def build_end_data(
    termination: TerminationCause | None,
    failures: FailureLog,
    config: FailureClassificationConfig,
    figures: RunFigures,
) -> PipelineEndData:
    """Return the payload of FINISH."""
    if termination is not None and termination.status in _REASONS:
        return PipelineEndData(
            termination.status,
            figures.seconds,
            error=_error_text(termination),
            reason=_REASONS[termination.status],
            errors=_records(failures, config),
            metrics=figures.metrics,
            diagnostics=figures.diagnostics,
            steps_at_work=list(termination.steps_at_work),
        )
    if failures.primary is not None:
        return _failed(failures.primary, failures, _records(failures, config), figures)
    return successful_end(figures.seconds, figures.metrics, figures.diagnostics)


def _error_text(termination: TerminationCause) -> str | None:
    is_timeout = termination.status is PipelineTerminalStatus.TIMEOUT
    return None if is_timeout else termination.reason


def _failed(
    primary: Failure,
    failures: FailureLog,
    records: list[FailureRecord],
    figures: RunFigures,
) -> PipelineEndData:
    position = next(
        (n for n, failure in enumerate(failures.failures) if failure is primary), None
    )
    source = FailureSource.NONE if position is None else records[position].source
    end = PipelineEndData(
        PipelineTerminalStatus.FAILED,
        figures.seconds,
        error=primary.text,
        reason=primary.reason,
        failure_kind=primary.kind,
        failure_source=source,
        failed_step=primary.step,
        errors=records,
        metrics=figures.metrics,
        diagnostics=figures.diagnostics,
        error_type=type(primary.error).__name__,
        error_leaves=leaf_texts(primary.error),
    )
    others = [f.error for f in failures.failures if f is not primary]
    return with_exceptions(end, [primary.error, *others])


def _records(
    failures: FailureLog, config: FailureClassificationConfig
) -> list[FailureRecord]:
    records = classify(failures.failures, config)
    if failures.dropped:
        records.append(
            FailureRecord(
                FailureKind.INFRA,
                FailureSource.FRAMEWORK,
                FailureReason.STEP_ERROR,
                f"... and {failures.dropped} more failures",
            )
        )
    return records
