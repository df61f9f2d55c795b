"""How a run ended is decided by a pure function of its failures and its cause."""

from __future__ import annotations

import pytest

from justpipe_actors._plan.failure_policy import (
    Failure,
    FailureLog,
    TerminationCause,
)
from justpipe_actors._run.final_status import RunFigures, build_end_data
from justpipe_actors.types import (
    FailureClassificationConfig,
    FailureKind,
    FailureReason,
    PipelineTerminalStatus,
)


@pytest.mark.parametrize(
    "status",
    [
        PipelineTerminalStatus.TIMEOUT,
        PipelineTerminalStatus.CANCELLED,
        PipelineTerminalStatus.CLIENT_CLOSED,
    ],
)
def test_an_ending_from_outside_wins(status: PipelineTerminalStatus) -> None:
    """A failure before it is listed, and the status is the one from outside."""
    failure_log = FailureLog()
    failure_log.add(
        Failure(FailureKind.STEP, FailureReason.STEP_ERROR, ValueError("x"), "s")
    )
    end = build_end_data(
        TerminationCause(status, "why"),
        failure_log,
        FailureClassificationConfig(),
        RunFigures(1.0),
    )

    assert end.status is status
    assert end.failed_step is None
    assert len(end.errors) == 1
