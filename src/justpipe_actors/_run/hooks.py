"""Call startup and shutdown hooks; a hook that fails is a failure of the run.

A hook that waits is watched from outside the shield around it, so that a cancellation of
the run's owner is noticed while the hook runs.
"""

from __future__ import annotations

import logging
import traceback
from functools import partial
from inspect import isasyncgen, isawaitable
from typing import TYPE_CHECKING

from .._engine.failure_hints import add_hints
from .._engine.user_code import call, drain_generator, resolve_value
from .._plan.failure_policy import Failure
from .._plan.plan import Callback, CallValues
from .._util import failpoints
from .._util.blocking_calls import BlockingReport, watch
from .._util.failpoints import Seam
from .._util.text import error_text, escape_controls, safe_str
from .._util.user_errors import (
    OWNER_CANCELLED,
    classify_exception,
    drop_engine_frames,
)
from .._util.user_objects import call_or
from ..events import EventType
from ..failures import FailureKind, FailureReason
from ..outcomes import PipelineTerminalStatus
from .run import (
    Run,
)


if TYPE_CHECKING:
    pass


_logger = logging.getLogger("justpipe_actors.steps")


async def call_hook(run: Run, hook: Callback, kind: FailureKind) -> bool:
    """Call a hook and return whether it succeeded."""
    try:
        if failpoints.active is not None:
            await failpoints.active.reach(Seam.HOOK, run.run_state.run_id, hook.name)
        arguments = hook.bind(run.run_state, CallValues())
        report = BlockingReport(
            f"{kind.value.capitalize()} hook '{hook.name}'",
            hook.func,
            run=run.run_state.run_id,
            hook=hook.name,
        )
        result = report.call(call, hook.func, arguments)
        if isawaitable(result) or isasyncgen(result):
            watch_owner(run)
        result = await watch(resolve_value(result, None), report)
        await watch(drain_generator(result), report)
    except BaseException as error:  # noqa: ASYNC103 - the engine's own errors are re-raised
        culprit = classify_exception(error, hook.name, run.loop.is_task_cancelled)
        if culprit is None:
            raise
        if isinstance(culprit, Exception):
            add_hints(culprit, hook.func, run.run_state)
            log_hook_failure(run, hook.name, kind, culprit)
            add_hook_failure(run, kind, culprit)
        else:
            run.crash(culprit)
    else:
        return True
    return False


def log_hook_failure(run: Run, name: str, kind: FailureKind, error: Exception) -> None:
    """Log the failure of a hook, as the failures of steps are logged."""
    drop_engine_frames(error)
    shown = error if call_or(None, traceback.format_exception, error) else None
    _logger.error(
        "%s hook '%s' failed with %s: %s",
        kind.value.capitalize(),
        name,
        type(error).__name__,
        escape_controls(error_text(error)),
        exc_info=shown,
        extra={
            "run": run.run_state.run_id,
            "hook": name,
            # The command line does not log records with this: it shows the failure itself.
            "error_type": type(error).__name__,
        },
    )


def watch_owner(run: Run) -> None:
    """Start a task outside the shield: inside, the owner's cancellation is not seen."""
    if run.reachable_tasks is not None and run.grace_period is not None:
        start = partial(run.loop.start_in, run.reachable_tasks)
        run.grace_period.start_watch(start, partial(_owner_cancelled, run))


def _owner_cancelled(run: Run) -> None:
    run.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)


def add_hook_failure(run: Run, kind: FailureKind, error: Exception) -> None:
    reason = (
        FailureReason.STARTUP_HOOK_ERROR
        if kind is FailureKind.STARTUP
        else FailureReason.SHUTDOWN_HOOK_ERROR
    )
    run.run_state.failures.add(Failure(kind, reason, error))
    run.publisher.publish(EventType.STEP_ERROR, kind.value, safe_str(error))
