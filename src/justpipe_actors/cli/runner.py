"""One run in an event loop of its own, under a view, until it ends or a signal stops it.

The first SIGINT or SIGTERM cancels the run, which then cleans up; a further one interrupts
code that blocks the loop.  Signals arrive through a socket pair, because a handler may
run while no task does.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import anyio
from anyio.abc import TaskGroup

from .._run.run_stream import RunStream
from ..errors import DefinitionError
from ..events import EventType
from ..logs import LogCapture, log_buffers
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from ..storage.registry import PipelineRegistry
from .answers import ask_at_terminal
from .errors import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, InvalidInput, discard_output
from .formatting import printable
from .outcome_text import Outcome, stop_reason
from .views import View


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a program to end."""


class StopSignals:
    """Notices the first signal; enter ``installed()`` inside the event loop."""

    def __init__(self) -> None:
        self.first: int | None = None
        """The signal that came first, None as long as none has."""
        self._receiver, self._sender = socket.socketpair()
        self._sender.settimeout(0)
        self._previous: dict[
            int, Callable[[int, FrameType | None], object] | int | None
        ] = {}

    @contextmanager
    def installed(self) -> Generator[None]:
        """Notice signals within this block; must be entered in the main thread."""
        for signum in STOP_SIGNALS:
            # If the parent ignored a signal, keep it ignored: nohup, a shell's &.
            if signal.getsignal(signum) is not signal.SIG_IGN:
                self._previous[signum] = signal.signal(signum, self._on_signal)
        try:
            yield
        finally:
            for signum in STOP_SIGNALS:
                self._restore(signum)
            self._receiver.close()
            self._sender.close()

    async def forward(self, stop: Callable[[int], None]) -> None:
        """Call ``stop`` with the first signal, in the loop."""
        await anyio.wait_readable(self._receiver)
        assert self.first is not None
        stop(self.first)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self.first = signum
        for stop_signal in STOP_SIGNALS:
            self._restore(stop_signal)
        self._sender.send(b"!")

    def _restore(self, signum: int) -> None:
        if signum in self._previous:
            signal.signal(signum, self._previous.pop(signum))


TICKS_PER_SECOND = 10
"""Calls of the view's ``tick`` per second."""


async def run_with_view(open_run: Callable[[], RunStream], view: View) -> Outcome:
    """Run to the end and show the run; all its tasks have ended on return.

    Raises:
        DefinitionError: the pipe is wired wrongly.
        OSError: the view cannot be written any more; the run has ended with it.
    """
    stop_signals = StopSignals()
    run = open_run()
    failure: Exception | SystemExit | None = None
    with stop_signals.installed():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tick, view)
            tasks.start_soon(stop_signals.forward, partial(_stop, run, view))
            try:
                await _consume(run, view, tasks)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - raised below, bare
                failure = error
            tasks.cancel_scope.cancel()
    if failure is not None and _is_reader_failure(run.end):
        raise failure
    assert run.end is not None
    return Outcome(run.end, stop_signals.first)


def _is_reader_failure(end: PipelineEndData | None) -> bool:
    """Tell whether the failure came from the view, because the run did not fail."""
    return end is None or end.status is PipelineTerminalStatus.CLIENT_CLOSED


async def _consume(run: RunStream, view: View, tasks: TaskGroup) -> None:
    async with run:
        async for event in run:
            view.on_event(event)
            if event.type is EventType.ASK:
                tasks.start_soon(ask_at_terminal, run, event, view)


async def _tick(view: View) -> None:
    while True:
        view.tick()
        await anyio.sleep(1 / TICKS_PER_SECOND)


def _stop(run: RunStream, view: View, signum: int) -> None:
    run.cancel(stop_reason(signum))
    view.notice("stopping; once more interrupts the steps at work")


def run_in_loop(
    open_run: Callable[[], RunStream], view: View, backend: str
) -> Outcome | int:
    """Run in a new event loop; return an exit status if the run was interrupted.

    Raises:
        InvalidInput: the pipe is wired wrongly.
    """
    return run_under_view(partial(run_with_view, open_run, view), view, backend)


def run_under_view(
    main: Callable[[], Awaitable[Outcome | int]], view: View, backend: str
) -> Outcome | int:
    """Run a view's main function in an event loop of its own.

    Raises:
        InvalidInput: the pipe is wired wrongly.
    """
    outcome: Outcome | int = EXIT_BROKEN_PIPE
    try:
        with view, _no_repeated_logs(), _captured_logs():
            outcome = _interruptible(main, backend)
    except* BrokenPipeError:
        discard_output()
    return outcome


def _interruptible(
    main: Callable[[], Awaitable[Outcome | int]], backend: str
) -> Outcome | int:
    outcome: Outcome | int = EXIT_INTERRUPTED
    try:
        outcome = _run_to_end(main, backend)
    except* KeyboardInterrupt:
        sys.stderr.write("interrupted again: steps at work were torn off\n")
    return outcome


def _run_to_end(
    main: Callable[[], Awaitable[Outcome | int]], backend: str
) -> Outcome | int:
    try:
        return anyio.run(main, backend=backend)
    except DefinitionError as error:
        problem = error.message if isinstance(error, ExceptionGroup) else error
        msg = f"The pipe cannot run. {problem}"
        raise InvalidInput(msg) from error


@contextmanager
def _no_repeated_logs() -> Generator[None]:
    """Drop logs that repeat the view.

    This has no effect if the program has configured logging itself.
    """
    last_resort = logging.lastResort or logging.NullHandler()
    last_resort.addFilter(_is_no_step_failure)
    try:
        yield
    finally:
        last_resort.removeFilter(_is_no_step_failure)


def _is_no_step_failure(record: logging.LogRecord) -> bool:
    return not hasattr(record, "error_type")


def storage_hint(run_id: str | None, root: str | None) -> str:
    """Return the command that shows a stored run, or that it was not stored."""
    registry = PipelineRegistry(root)
    if run_id is None or registry.resolve_run(run_id) is None:
        return f"not stored in {printable(registry.storage_dir)}"
    option = "" if root is None else f" --storage {printable(root)}"
    return f"stored; look at it with: justpipe-actors show {run_id[:8]}{option}"


@contextmanager
def _captured_logs() -> Generator[None]:
    """Keep what runs log within this block for their pages.

    A program that captures its log records itself is left alone.

    The records are taken from where every logger hands them to its handlers.  A handler,
    at the root logger or above it, would change what a program finds: ``hasHandlers`` would
    be true, so the program would not configure its logging, and records that Python prints
    without any handler would not be printed.
    """
    if log_buffers.is_captured:
        yield
        return
    capture, call_handlers = LogCapture(), logging.Logger.callHandlers

    def call_handlers_and_capture(
        logger: logging.Logger, record: logging.LogRecord
    ) -> None:
        call_handlers(logger, record)
        if _reaches_root(logger):
            capture.handle(record)

    _set_call_handlers(call_handlers_and_capture)
    try:
        yield
    finally:
        # A library that the program uses may have wrapped it meanwhile.
        if logging.Logger.callHandlers is call_handlers_and_capture:
            _set_call_handlers(call_handlers)


def _set_call_handlers(
    func: Callable[[logging.Logger, logging.LogRecord], None],
) -> None:
    logging.Logger.callHandlers = func  # type: ignore[assignment, method-assign]


def _reaches_root(logger: logging.Logger) -> bool:
    """Tell whether a handler of the root logger would get the records of a logger."""
    current: logging.Logger | None = logger
    while current is not None and current is not logging.root:
        current = current.parent if current.propagate else None
    return current is not None
