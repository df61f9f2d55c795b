"""Storing a run that is started from the command line, whatever its pipe says."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

import anyio

from ..errors import DefinitionError
from ..events import Event
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from ..pipe import Pipe
from ..storage.paths import ROOT_VARIABLE
from ..storage.registry import PipelineRegistry
from .errors import INTERRUPTED, UNREAD, Refused, forget_output
from .formatting import printable
from .outcome_text import Ending, reason_of
from .views import View


STOPS = (signal.SIGINT, signal.SIGTERM)
"""What asks a program to end."""


class StopSignals:
    """Notices the first signal; enter ``caught()`` inside the event loop."""

    def __init__(self) -> None:
        self.first: int | None = None
        """The signal that came first, None as long as none has."""
        self._near, self._far = socket.socketpair()
        self._far.settimeout(0)
        self._previous: dict[
            int, Callable[[int, FrameType | None], object] | int | None
        ] = {}

    @contextmanager
    def caught(self) -> Generator[None]:
        """Notice signals within this block; must be entered in the main thread."""
        for signum in STOPS:
            # Whoever starts a program with a signal ignored means it: nohup, a shell's &.
            if signal.getsignal(signum) is not signal.SIG_IGN:
                self._previous[signum] = signal.signal(signum, self._notice)
        try:
            yield
        finally:
            for signum in STOPS:
                self._give_back(signum)
            self._near.close()
            self._far.close()

    async def relay(self, stop: Callable[[int], None]) -> None:
        """Call ``stop`` with the first signal, in the loop."""
        await anyio.wait_readable(self._near)
        assert self.first is not None
        stop(self.first)

    def _notice(self, signum: int, frame: FrameType | None) -> None:
        self.first = signum
        for each in STOPS:
            self._give_back(each)
        self._far.send(b"!")

    def _give_back(self, signum: int) -> None:
        if signum in self._previous:
            signal.signal(signum, self._previous.pop(signum))


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


def run_in_loop(
    open_run: Callable[[], Stream], view: View, backend: str
) -> Ending | int:
    """Run in an event loop of its own; an exit status if that was cut short.

    Raises:
        Refused: the pipe is wired wrongly.
    """
    ending: Ending | int = UNREAD
    try:
        with view, _briefly_warned():
            ending = _interruptible(partial(conduct, open_run, view), backend)
    except* BrokenPipeError:
        forget_output()
    return ending


def _interruptible(main: Callable[[], Awaitable[Ending]], backend: str) -> Ending | int:
    ending: Ending | int = INTERRUPTED
    try:
        ending = _to_the_end(main, backend)
    except* KeyboardInterrupt:
        sys.stderr.write("interrupted again: steps at work were torn off\n")
    return ending


def _to_the_end(main: Callable[[], Awaitable[Ending]], backend: str) -> Ending:
    try:
        return anyio.run(main, backend=backend)
    except DefinitionError as error:
        said = error.message if isinstance(error, ExceptionGroup) else error
        msg = f"The pipe cannot run. {said}"
        raise Refused(msg) from error


@contextmanager
def _briefly_warned() -> Generator[None]:
    """Let warnings be sentences, and logs not repeat what the view says.

    Only where the program that is run has not arranged its logs itself.
    """
    last_resort = logging.lastResort or logging.NullHandler()
    last_resort.addFilter(_is_no_step_failure)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say_warning
            yield
    finally:
        last_resort.removeFilter(_is_no_step_failure)


def _is_no_step_failure(record: logging.LogRecord) -> bool:
    return not hasattr(record, "error_type")


def _say_warning(message: Warning | str, *_: object, **__: object) -> None:
    sys.stderr.write(f"warning: {message}\n")


@contextmanager
def recording(
    pipe: Pipe[Any, Any], root: str | None, *, is_asked: bool
) -> Generator[bool]:
    """Let the pipe's runs be stored within this block; tell whether they are.

    Args:
        pipe: the pipe.
        root: where to; pipes within it follow.  None is where they always are.
        is_asked: whether to store; a pipe that always does is not kept from it.
    """
    before, root_before = pipe.persist, os.environ.get(ROOT_VARIABLE)
    pipe.persist = before or is_asked or root is not None
    if root is not None:
        os.environ[ROOT_VARIABLE] = root
    try:
        yield pipe.persist
    finally:
        pipe.persist = before
        if root is not None:
            os.environ.pop(ROOT_VARIABLE)
            if root_before is not None:
                os.environ[ROOT_VARIABLE] = root_before


def where_stored(run_id: str | None, root: str | None) -> str:
    """Say how to look at a stored run, or that it is not there."""
    registry = PipelineRegistry(root)
    if run_id is None or registry.resolve_run(run_id) is None:
        return f"not stored in {printable(registry.storage_dir)}"
    place = "" if root is None else f" --storage {printable(root)}"
    return f"stored; look at it with: justpipe-actors show {run_id[:8]}{place}"
