"""The beginning of a run: observers hear of it, hooks are called, START is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from .._failure.journal import Trouble
from .._failure.texts import text_of
from ..errors import EmptyPipelineError, ResourceUnavailable
from ..events import EventType
from ..failures import FailureKind, FailureReason
from .hooks import call_hook, hook_failed
from .run import Run


if TYPE_CHECKING:
    from .hosting import Group


async def begin(run: Run, tasks: Group | None) -> bool:
    """Come as far as START; tell whether there is work to do then."""
    plan, ledger = run.order.plan, run.ledger
    if plan.startup or plan.eager or run.voice.audience.is_patient:
        with anyio.CancelScope() as run.scope:
            await _prepare(run, tasks)
    elif tasks is not None:
        run.voice.audience.start(tasks)
    if ledger.ending is not None or ledger.journal:
        return False
    if not plan.nodes and run.order.start is None:
        _nothing_to_do(run)
        return False
    run.voice.say(EventType.START, "system", run.order.state)
    return ledger.ending is None


async def _prepare(run: Run, tasks: Group | None) -> None:
    if tasks is not None:
        await run.voice.audience.open(tasks)
    if run.ledger.ending is not None:
        return
    if run.order.plan.eager and not await _open_eager(run):
        return
    for hook in run.order.plan.startup:
        if not await call_hook(run, hook, FailureKind.STARTUP):
            return


async def _open_eager(run: Run) -> bool:
    """Open what is to be open before anything runs; a failure is one of starting."""
    owner = run.resources or (run.host.resources if run.host else None)
    assert owner is not None
    try:
        await owner.open(run.order.plan.eager)
    except ResourceUnavailable as error:
        hook_failed(run, FailureKind.STARTUP, error)
        return False
    return True


def _nothing_to_do(run: Run) -> None:
    error = EmptyPipelineError(run.order.plan.name)
    run.ledger.journal.add(
        Trouble(FailureKind.VALIDATION, FailureReason.NO_STEPS, error)
    )
    run.voice.say(EventType.STEP_ERROR, "system", text_of(error))
