"""Calling the hooks of a run."""

from __future__ import annotations

from functools import partial
from inspect import isawaitable

from .. import seams
from .._actors.blame import blamed
from .._actors.breaking import OWNER_CANCELLED
from .._actors.calling import call, settle_value
from .._failure.journal import Trouble
from .._failure.texts import text_of
from .._plan.nodes import Callback, CallValues
from ..events import EventType
from ..failures import FailureKind, FailureReason
from ..outcomes import PipelineTerminalStatus
from ..seams import Seam
from .run import Run


async def call_hook(run: Run, hook: Callback, kind: FailureKind) -> bool:
    """Call a hook and tell whether it went well."""
    try:
        if seams.active is not None:
            await seams.active.reach(Seam.HOOK, run.ledger.run_id, hook.name)
        result = call(hook.func, hook.bind(run.ledger, CallValues()))
        if isawaitable(result):
            watch_owner(run)
        await settle_value(result, None)
    except BaseException as error:  # noqa: ASYNC103 - what is our own is raised again
        culprit = blamed(error, hook.name, run.loop.is_task_cancelled)
        if culprit is None:
            raise
        if isinstance(culprit, Exception):
            hook_failed(run, kind, culprit)
        else:
            run.crash(culprit)
        return False  # noqa: ASYNC104
    return True


def watch_owner(run: Run) -> None:
    """Have a task beside the shield, which hides the owner's cancellation."""
    if run.in_reach is not None and run.grace is not None:
        start = partial(run.loop.start_in, run.in_reach)
        run.grace.start_watch(start, partial(_owner_cancelled, run))


def _owner_cancelled(run: Run) -> None:
    run.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)


def hook_failed(run: Run, kind: FailureKind, error: Exception) -> None:
    reason = (
        FailureReason.STARTUP_HOOK_ERROR
        if kind is FailureKind.STARTUP
        else FailureReason.SHUTDOWN_HOOK_ERROR
    )
    run.ledger.journal.add(Trouble(kind, reason, error))
    run.voice.say(EventType.STEP_ERROR, kind.value, text_of(error))
