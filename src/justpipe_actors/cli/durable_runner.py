"""``run --durable``: show one durable run until it ends or this process releases it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import attrs

from .._run.run_stream import RunStream
from ..abc import Claim
from ..errors import RunReleased, RunStuck
from ..events import EventType
from ..journals import SQLiteJournal
from ..outcomes import PipelineEndData
from ..pipe import Pipe
from ..supervisor import Supervisor
from .answers import ask_at_terminal
from .errors import EXIT_INTERRUPTED, EXIT_SIGNAL_BASE, CommandFailed
from .outcome_text import Outcome
from .runner import StopSignals
from .views import View


EXIT_WAITS = 4
"""The run waits or was released; it continues later or in another process."""


class OwnRunJournal(SQLiteJournal):
    """A journal from which this process claims one run only."""

    own_run: str = ""

    def claim(
        self,
        worker: int,
        pipes: Sequence[str],
        limit: int | None = None,
        *,
        run_id: str | None = None,
    ) -> list[Claim]:
        """Claim the run if it is ready."""
        return super().claim(worker, pipes, limit, run_id=run_id or self.own_run)


@attrs.frozen(kw_only=True)
class DurableRun:
    """The durable run to start."""

    pipe: Pipe[Any, Any]
    state: Any
    context: Any
    journal: str
    """Path of the journal."""
    run_id: str
    start: str | None
    """Name of the step to begin with; None is the pipe's own."""
    timeout: float | None
    """Seconds the steps may take."""


async def run_durably(order: DurableRun, view: View) -> Outcome | int:
    """Run to the end and show the run; a signal makes this process release it.

    Returns:
        The outcome, or the exit status if the run continues elsewhere or later.

    Raises:
        CommandFailed: the run is stuck.
    """
    journal = OwnRunJournal(order.journal)
    journal.own_run = order.run_id
    signals = StopSignals()
    end: PipelineEndData | None = None
    with signals.installed():
        async with Supervisor(order.pipe, journal=journal) as supervisor:
            run = await supervisor.submit(
                order.pipe,
                order.state,
                order.context,
                run_id=order.run_id,
                start=order.start,
                timeout=order.timeout,
            )
            async with anyio.create_task_group() as tasks:
                stop = partial(_stop, tasks.cancel_scope, view)
                tasks.start_soon(signals.forward, stop)
                end = await _follow(run, view, tasks)
                tasks.cancel_scope.cancel()
    if end is not None:
        return Outcome(end)
    view.notice(f"released; it goes on with the same command: run id {order.run_id}")
    if signals.first is None:
        return EXIT_WAITS
    code = EXIT_SIGNAL_BASE + signals.first
    return EXIT_INTERRUPTED if code == EXIT_INTERRUPTED else code


def _stop(scope: anyio.CancelScope, view: View, _signum: int) -> None:
    view.notice("releasing the run; running steps may finish")
    scope.cancel()


async def _follow(run: RunStream, view: View, tasks: Any) -> PipelineEndData | None:
    """Show the run's events until it ends; return None if it was released."""
    try:
        async for event in run:
            view.on_event(event)
            if event.type is EventType.ASK:
                tasks.start_soon(ask_at_terminal, run, event, view)
        return await run.wait()
    except RunReleased:
        return None
    except RunStuck as error:
        raise CommandFailed(str(error)) from error
