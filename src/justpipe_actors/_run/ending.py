"""How a run ended, in one word, and why.  Pure.

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

from .._failure.classify import classify
from .._failure.journal import Ending, Journal, Trouble
from ..failures import (
    FailureClassificationConfig,
    FailureKind,
    FailureReason,
    FailureRecord,
    FailureSource,
)
from ..outcomes import PipelineEndData, PipelineTerminalStatus


_REASONS = {
    PipelineTerminalStatus.TIMEOUT: FailureReason.TIMEOUT,
    PipelineTerminalStatus.CANCELLED: FailureReason.CANCELLED,
    PipelineTerminalStatus.CLIENT_CLOSED: FailureReason.CLIENT_CLOSED,
}


def conclude(
    ending: Ending | None,
    journal: Journal,
    config: FailureClassificationConfig,
    seconds: float,
) -> PipelineEndData:
    """Return what FINISH says, its figures left to the caller."""
    records = _records(journal, config)
    if ending is not None and ending.status in _REASONS:
        return PipelineEndData(
            ending.status,
            seconds,
            error=_words(ending),
            reason=_REASONS[ending.status],
            errors=records,
        )
    if journal.primary is None:
        return PipelineEndData(PipelineTerminalStatus.SUCCESS, seconds)
    return _failed(journal.primary, journal, records, seconds)


def _words(ending: Ending) -> str | None:
    is_timeout = ending.status is PipelineTerminalStatus.TIMEOUT
    return None if is_timeout else ending.reason


def _failed(
    primary: Trouble, journal: Journal, records: list[FailureRecord], seconds: float
) -> PipelineEndData:
    position = next(
        (n for n, one in enumerate(journal.troubles) if one is primary), None
    )
    source = FailureSource.NONE if position is None else records[position].source
    return PipelineEndData(
        PipelineTerminalStatus.FAILED,
        seconds,
        error=primary.text,
        reason=primary.reason,
        failure_kind=primary.kind,
        failure_source=source,
        failed_step=primary.step,
        errors=records,
    )


def _records(
    journal: Journal, config: FailureClassificationConfig
) -> list[FailureRecord]:
    records = classify(journal.troubles, config)
    if journal.dropped:
        records.append(
            FailureRecord(
                FailureKind.INFRA,
                FailureSource.FRAMEWORK,
                FailureReason.STEP_ERROR,
                f"... and {journal.dropped} more failures",
            )
        )
    return records
