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

from .._actors.ledger import Ending, Ledger
from .._failure.classify import classify
from .._failure.journal import Journal, Trouble
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


def conclude(ledger: Ledger, seconds: float) -> PipelineEndData:
    """Return what FINISH says."""
    journal = ledger.journal
    records = _records(journal, ledger.plan.classification)
    common = {
        "duration_s": seconds,
        "errors": records,
        "metrics": ledger.tally.metrics(),
        "diagnostics": list(ledger.diagnostics),
    }
    ending = ledger.ending
    if ending is not None and ending.status in _REASONS:
        return PipelineEndData(  # type: ignore[misc]
            ending.status,
            error=_words(ending),
            reason=_REASONS[ending.status],
            **common,
        )
    if journal.primary is None:
        return PipelineEndData(PipelineTerminalStatus.SUCCESS, **common)  # type: ignore[arg-type,misc]
    return _failed(journal.primary, journal, records, common)


def _words(ending: Ending) -> str | None:
    is_timeout = ending.status is PipelineTerminalStatus.TIMEOUT
    return None if is_timeout else ending.reason


def _failed(
    primary: Trouble,
    journal: Journal,
    records: list[FailureRecord],
    common: dict[str, object],
) -> PipelineEndData:
    position = journal.troubles.index(primary) if primary in journal.troubles else -1
    source = records[position].source if position >= 0 else FailureSource.NONE
    return PipelineEndData(
        PipelineTerminalStatus.FAILED,
        error=primary.text,
        reason=primary.reason,
        failure_kind=primary.kind,
        failure_source=source,
        failed_step=primary.step,
        **common,  # type: ignore[arg-type]
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
