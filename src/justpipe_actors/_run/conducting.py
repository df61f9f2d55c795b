"""One run, first event to last.

::

    observers hear the start -> startup hooks -> START
      -> [ actors work; ends when the run holds no token ]
      -> TIMEOUT? -> shutdown hooks -> observers drained -> FINISH

The three lines are ``beginning``, ``working`` and ``winding_up``.
``conduct`` raises nothing but its owner's cancellation.  Whatever goes wrong is data: it
is in FINISH, or raised at the consumer after FINISH.  The part in brackets can be
interrupted; what comes after it is shielded, because hooks must run after the steps'
own cleanup whatever happened.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

import anyio
from trio.lowlevel import enable_ki_protection

from .._actors.breaking import OWNER_CANCELLED
from .._actors.host import Host
from .._actors.resources import Resources
from .._plan.equipping import current_lender
from ..meta import current_run_notes
from ..outcomes import PipelineTerminalStatus
from .beginning import begin
from .hosting import Group
from .run import Run, inside_runs
from .winding_up import wind_up
from .working import work


@enable_ki_protection
async def conduct(run: Run) -> None:
    """Live from the first event to the last."""
    run.began = run.loop.now()
    current_run_notes.set(run.notes)
    inside_runs.set((run.order.run_id, *inside_runs.get()))
    if run.host is not None:
        run.host.conducting.add(run)
    try:
        if run.host is None or run.voice.audience.listeners:
            async with run.loop.open_group() as tasks:
                try:
                    await _live_with_resources(run, tasks)
                finally:
                    run.voice.audience.drop()
        else:
            current_lender.set(run.host.resources)
            await _live(run, None)
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:  # noqa: BLE001 - raised at the consumer
        run.crash(error)
    finally:
        run.voice.sink.end()
        if run.host is not None:
            run.host.conducting.discard(run)
        run.done.set()
        run.voice.forget_run()
        on_over, run.on_over = run.on_over, None
        if on_over is not None:
            on_over()
        if run.is_orphan:
            run.raise_unseen()


async def _live_with_resources(run: Run, tasks: Group) -> None:
    """Live with the host's resources, else with some of its own that end with it."""
    if run.host is not None:
        current_lender.set(run.host.resources)
        await _live(run, tasks)
        return
    variables = copy_context()

    def spawn(func: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
        # Not with the variables of whichever step happens to ask first.
        variables.copy().run(tasks.start, func, *args)

    own = run.resources = Resources(spawn, run.loop.now)
    current_lender.set(own)
    try:
        await _live(run, tasks)
    finally:
        if own.refuse():
            with anyio.CancelScope(shield=True):  # it says who is slow
                await own.aclose()


async def _live(run: Run, tasks: Group | None) -> None:
    try:
        if await begin(run, tasks):
            await work(run, run.host or _open_host(run, tasks))
    except anyio.get_cancelled_exc_class():
        run.stop(PipelineTerminalStatus.CANCELLED, OWNER_CANCELLED)
        await wind_up(run)  # noqa: ASYNC102 - shielded where it waits
        raise
    except BaseException as error:  # noqa: BLE001 - raised at the consumer
        run.crash(error)
    await wind_up(run)


def _open_host(run: Run, tasks: Group | None) -> Host:
    assert tasks is not None
    assert run.resources is not None
    return Host(
        tasks.start,
        run.loop.now,
        run.loop.watch_task(),
        new_signal=run.loop.new_signal,
        resources=run.resources,
    )
