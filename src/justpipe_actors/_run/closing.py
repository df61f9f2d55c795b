"""The end of a run as its reader sees it: wait for what is left, raise what must be seen.

A reader that leaves waits until nothing of its run is left, even if it is cancelled
meanwhile.  An error that is no failure of the run, such as a ``KeyboardInterrupt`` in a
step, is raised at the reader after that, or reported if there is none.
"""

from __future__ import annotations

import anyio

from .._publishing.event_buffer import EventBuffer
from ..outcomes import PipelineTerminalStatus
from .run import Run


async def wait_done(run: Run) -> None:
    """Wait until all tasks of a run have ended, even if the caller is cancelled.

    Ctrl-C, which trio raises here, is raised after that; a second one at once.
    """
    try:
        await run.done.wait(run.loop.new_loop_event)
    except (anyio.get_cancelled_exc_class(), KeyboardInterrupt):
        # perf: a shield costs as much as all the rest, and is rarely needed.
        with anyio.CancelScope(shield=True):
            await run.done.wait()
        raise


async def wait_done_uncancelled(run: Run) -> None:
    """Wait until all tasks of a run have ended, and ignore cancellations meanwhile.

    The caller was cancelled before, and raises that cancellation at the end.
    """
    with anyio.CancelScope(shield=True):  # noqa: ASYNC912
        while not run.done.is_set():
            try:
                await run.done.wait()
            except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - natively, once more
                continue  # noqa: ASYNC104


def raise_abort_error(run: Run) -> None:
    """Raise the error that the run has left for its reader, if there is one."""
    error = run.run_state.take_abort_error()
    if error is not None:
        raise error


def raise_after_body(run: Run, error: BaseException | None) -> None:
    """Raise the run's error, unless the body's own error is at least as grave."""
    left = run.run_state.abort_error
    if error is None or (left is not None and not isinstance(left, Exception)):
        raise_abort_error(run)
    else:
        run.report_abort_error()


def abandon(run: Run, buffer: EventBuffer) -> None:
    """End a run after its reader was dropped."""
    run.has_no_consumer = True
    run.on_read()
    if run.done.is_set():
        run.report_abort_error()
        return
    run.stop(PipelineTerminalStatus.CLIENT_CLOSED, "The consumer dropped the stream")
    buffer.close()
