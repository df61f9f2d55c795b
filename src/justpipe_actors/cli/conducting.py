"""One run under a view: events in, signals heard, the clock ticking."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Protocol, Self

import anyio

from ..events import Event
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .signals import StopSignals
from .views import View
from .words import Ending, reason_of


PER_SECOND = 10
"""How often a view hears that time has passed."""


class Stream(Protocol):
    """What is used of a ``RunStream``."""

    @property
    def end(self) -> PipelineEndData | None:
        """How it ended."""
        ...

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __aiter__(self) -> AsyncIterator[Event]: ...

    def cancel(self, reason: str = ...) -> None:
        """End it now."""


async def conduct(open_run: Callable[[], Stream], view: View) -> Ending:
    """Run to the end and show it; when this returns nothing of the run is left.

    Raises:
        DefinitionError: the pipe is wired wrongly.
        OSError: the view cannot be written any more; the run has ended with it.
    """
    signals = StopSignals()
    run = open_run()
    failure: Exception | SystemExit | None = None
    with signals.caught():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tick, view)
            tasks.start_soon(signals.relay, partial(_stop, run, view))
            try:
                await _consume(run, view)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - raised below, bare
                failure = error
            tasks.cancel_scope.cancel()
    if failure is not None and _is_ours(run.end):
        raise failure
    assert run.end is not None
    return Ending(run.end, signals.first)


def _is_ours(end: PipelineEndData | None) -> bool:
    """Tell whether the run did not fail: then the one who read it did."""
    return end is None or end.status is PipelineTerminalStatus.CLIENT_CLOSED


async def _consume(run: Stream, view: View) -> None:
    async with run:
        async for event in run:
            view.hear(event)


async def _tick(view: View) -> None:
    while True:
        view.tick()
        await anyio.sleep(1 / PER_SECOND)


def _stop(run: Stream, view: View, signum: int) -> None:
    run.cancel(reason_of(signum))
    view.notice("stopping; once more interrupts the steps at work")
