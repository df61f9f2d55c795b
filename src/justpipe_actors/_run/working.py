"""The middle of a run: the actors work until it holds no token, or has to end."""

from __future__ import annotations

import logging
from contextvars import copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import anyio

from .. import seams
from .._actors import flow
from .._actors.breaking import OWNER_CANCELLED, TASK_CANCELLED
from .._failure.journal import Ending
from ..outcomes import PipelineTerminalStatus
from ..seams import Seam
from .grace import PATIENCE
from .run import Run


if TYPE_CHECKING:
    from .._actors.parts import Stage


_logger = logging.getLogger("justpipe_actors")


def _nothing() -> None:
    """Do nothing: the run's own task will notice."""


async def work(run: Run, host: Stage) -> None:
    """Let the actors work until the run holds no token, or has to end."""
    ledger = run.ledger
    ledger.variables = copy_context()
    ledger.host = host
    host.enter(ledger)
    run.is_working = True
    try:
        if _begin_steps(run, host):
            try:
                await host.crew.serve(ledger.run_id)
            finally:
                _end_serving(run)
        if seams.active is not None:
            await seams.active.reach(Seam.QUIET, ledger.run_id, "system")
        if not ledger.stirred.is_set():
            await _keep_time(run)
        await _wait_cleanup(run)
    except anyio.get_cancelled_exc_class():
        _interrupted(run)
        await _wait_cleanup(run)  # noqa: ASYNC102
        raise
    except Exception as error:  # noqa: BLE001 - a defect of the engine ends this run only
        ledger.crash(error)
        await _wait_cleanup(run)
    finally:
        run.is_working = False
        host.dismiss(ledger)
        if host is not run.host:
            host.crew.dismiss()


def _begin_steps(run: Run, host: Stage) -> bool:
    """Start the first steps; tell whether this task is to serve them.

    It does as long as only they are due.  A step that waits holds up nobody but this
    task, which has nothing else to do than to wait for this very step.  Except to
    keep time: a run with a timeout leaves its steps to the receivers.
    """
    if run.order.timeout is not None:
        _start_roots(run)
        return False
    host.crew.held = True
    try:
        _start_roots(run)
    finally:
        host.crew.held = False
    run.ledger.on_interrupt = partial(_have_stand_in, run)
    return True


def _start_roots(run: Run) -> None:
    ledger, plan, start = run.ledger, run.order.plan, run.order.start
    wave = ledger.open_wave()
    wave.live += 1
    ledger.take()
    try:
        for root in plan.roots if start is None else (start,):
            flow.begin(ledger, root, wave)
    finally:
        wave.live -= 1
        ledger.give()


def _end_serving(run: Run) -> None:
    run.ledger.on_interrupt = _nothing
    if run.stand_in is not None:
        run.stand_in.cancel()


def _have_stand_in(run: Run) -> None:
    """Let somebody else watch the clean-up: this run's task is inside a step of it."""
    if run.loop.is_in_task():
        run.stand_in = anyio.CancelScope()
        run.ledger.host.spawn(_wait_instead, run, run.stand_in)


async def _wait_instead(run: Run, scope: anyio.CancelScope) -> None:
    with scope:  # noqa: ASYNC912 - it may be quiet by now
        await _wait_quiet(run)


async def _keep_time(run: Run) -> None:
    """Wait until the steps are done or cancelled, or their time is up."""
    if run.order.timeout is None:
        await run.ledger.stirred.wait()
        return
    with anyio.move_on_after(run.order.timeout):
        await run.ledger.stirred.wait()
    if not run.ledger.stirred.is_set():
        _time_out(run)


def _time_out(run: Run) -> None:
    text = f"Run timed out after {run.order.timeout:g}s"
    run.ledger.interrupt(PipelineTerminalStatus.TIMEOUT, text)


def _interrupted(run: Run) -> None:
    """Something above cancelled the work; find the words if nobody left any."""
    if run.ledger.ending is None:
        is_owner = anyio.current_effective_deadline() == -inf
        reason = (
            OWNER_CANCELLED
            if is_owner or run.loop.is_task_cancelled()
            else TASK_CANCELLED
        )
        run.ledger.ending = Ending(PipelineTerminalStatus.CANCELLED, reason)
    ending = run.ledger.ending
    run.ledger.interrupt(ending.status, ending.reason)


async def _wait_cleanup(run: Run) -> None:
    """Wait until every activation has cleaned up."""
    if run.ledger.tokens:
        with anyio.CancelScope(shield=True):
            await _wait_quiet(run)


async def _wait_quiet(run: Run) -> None:
    """Wait until the run holds no token; say who does when that takes long."""
    while run.ledger.tokens:  # noqa: ASYNC912
        with anyio.move_on_after(PATIENCE):
            await run.ledger.quiet.wait()
        if run.ledger.tokens:
            _logger.warning(
                "Run %s was told to end but is held up by: %s",
                run.ledger.run_id,
                ", ".join(f"{n} x{c}" for n, c in run.ledger.holders.items()),
                extra={"run": run.ledger.run_id},
            )
