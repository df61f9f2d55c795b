"""Log how a submitted run ended, unless the log says it already.

A failed step is logged when it fails.  Everything else that ends a run, such as a startup
hook, a state that cannot be stored or a timeout, is in FINISH only, and a submitted run
need not have a reader.  A run that was cancelled is not logged: the caller knows.
"""

from __future__ import annotations

import logging

from .._run.run import Run
from .._util.text import escape_controls
from ..failures import FailureKind
from ..outcomes import PipelineEndData, PipelineTerminalStatus


_logger = logging.getLogger("justpipe_actors.supervisor")


def log_run_end(run: Run) -> None:
    """Log the end of a submitted run if it failed outside its steps, or timed out."""
    end = run.end
    level = None if end is None else _level_of(end)
    if end is None or level is None:
        return
    run_id = run.run_state.run_id
    _logger.log(
        level,
        "Run '%s' of pipe '%s': %s",
        escape_controls(run_id),
        run.request.plan.name,
        escape_controls(end.headline),
        exc_info=end.exception,
        extra={"run": run_id},
    )


def _level_of(end: PipelineEndData) -> int | None:
    if end.status is PipelineTerminalStatus.TIMEOUT:
        return logging.WARNING
    is_failed = end.status is PipelineTerminalStatus.FAILED
    if is_failed and end.failure_kind is not FailureKind.STEP:
        return logging.ERROR
    return None
