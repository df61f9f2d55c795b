"""Detect deadlocks under virtual time and raise ``Deadlock``.

A loop with a virtual clock has a ``DeadlockDetector``.  When no task, timer or thread
can make progress, the loop reports which task waits where and cancels the ``watched``
block, which then raises ``Deadlock``.  If there is no such block, or the loop still
makes no progress, the loop raises ``Deadlock`` itself.
"""

from __future__ import annotations

import gc
import sys
import sysconfig
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import attrs
from anyio.lowlevel import current_token

import trio

from .._run.run import Run
from .._util.await_chain import awaited_frames
from ..errors import Deadlock


_LIBRARIES = (
    str(Path(sysconfig.get_path("stdlib"), "asyncio")),
    *(
        str(Path(module.__file__ or "").parent)
        for module in (anyio, trio, sys.modules[__name__.partition(".")[0]])
    ),
)
"""Folders of library code, which `waiting_location` skips."""

HEADLINE = "Deadlock: every task waits, and no timer will wake one."


def describe_deadlock(now: float) -> str:
    """Return one line per run, followed by the steps that block it."""
    lines = [HEADLINE, f"  The loop's clock says {now:g} s."]
    runs = sorted(_live_runs(), key=lambda run: run.request.run_id)
    for run in runs:
        lines += _describe_run(run)
    if not runs:
        lines.append("  No run of a pipe is alive.")
    return "\n".join(lines)


def _live_runs() -> list[Run]:
    # By type(), since isinstance() may run code of the object, which may raise.
    return [
        candidate
        for candidate in gc.get_objects()
        if issubclass(type(candidate), Run) and candidate.is_alive
    ]


def _describe_run(run: Run) -> Iterator[str]:
    run_state = run.run_state
    holders_text = ", ".join(
        f"{holder} x{count}" for holder, count in run_state.holders.items()
    )
    yield (
        f"  Run {run.request.run_id[:8]} of pipe '{run_state.plan.name}' "
        f"({run.age:g} s old) is held by: {holders_text or 'nothing'}"
    )
    running = sorted(
        run_state.active_invocations,
        key=lambda invocation: (-invocation.seconds, invocation.node.name),
    )
    for invocation in running:
        yield (
            f"    step '{invocation.node.name}' for {invocation.seconds:g} s, "
            f"{waiting_location(invocation.coroutine)}"
        )
    for wave in run_state.waves.values():
        for name in wave.waiting():
            gate = wave.entries[name].gate
            missing = ", ".join(gate.missing()) if gate is not None else ""
            yield f"    join '{name}' waits for: {missing}"


def waiting_location(coroutine: Any) -> str:
    """Return the innermost line of the user's code that a coroutine waits in."""
    if coroutine is None:
        return "in the engine"  # it is not in a call of the user's code
    location = "inside a library"
    for frame in awaited_frames(coroutine):
        code = frame.f_code
        if not _is_library_code(code):
            location = f"in {code.co_name}, {code.co_filename}:{frame.f_lineno}"
    return location


def _is_library_code(code: CodeType) -> bool:
    return code.co_filename.startswith(_LIBRARIES)


DAY = 24 * 3600.0
"""Seconds."""

YEAR = 365 * DAY
"""Seconds."""

THREAD_GRACE = 1.0
"""Real seconds to wait for threads unknown to the loop before a deadlock counts."""

_IDLE_THREAD_NAMES = ("Trio thread",)
"""Name prefixes of idle threads in trio's thread cache."""


@attrs.define(eq=False)
class DeadlockDetector:
    """The deadlock state of one loop."""

    horizon: float = YEAR
    """Virtual seconds after which a program with only timer activity is deadlocked."""
    limit: float = attrs.field(
        default=attrs.Factory(lambda self: self.horizon, takes_self=True), init=False
    )
    """End of the horizon, by the loop's clock."""
    scope: anyio.CancelScope | None = None
    """The block to cancel, when one is watched."""
    report: str | None = None
    """The text that lists the waiting tasks; None until a deadlock is found."""

    def report_deadlock(self, now: float) -> bool:
        """Store the list of waiting tasks and cancel the watched block.

        Returns:
            True if there was a watched block that was not cancelled before.
        """
        if self.report is None:
            self.report = describe_deadlock(now)
        self.limit = max(self.limit, now + DAY)  # time for the cleanup that follows
        if self.scope is None or self.scope.cancel_called:
            return False
        self.scope.cancel()
        return True

    def take_error(self) -> Deadlock:
        """Return the error to raise, and reset the detector."""
        report, self.report = self.report, None
        return Deadlock(report or HEADLINE)


_detectors: WeakKeyDictionary[object, DeadlockDetector] = WeakKeyDictionary()
"""The detector of each loop, by anyio's native token of the loop."""


def register_detector(loop: object, detector: DeadlockDetector) -> None:
    """Register the detector of an asyncio loop, or of a trio loop by its token."""
    _detectors[loop] = detector


def current_detector() -> DeadlockDetector | None:
    """Return the detector of the running loop; None if its clock is real."""
    return _detectors.get(current_token().native_token)


@contextmanager
def watched() -> Generator[None]:
    """Raise ``Deadlock`` from a block when no task, timer or thread can progress.

    The block has no effect in a loop with a real clock.

    Returns:
        The block.
    """
    detector = current_detector()
    if detector is None:
        yield
        return
    outer = detector.scope
    scope = detector.scope = anyio.CancelScope()
    detector.limit = anyio.current_time() + detector.horizon
    try:
        with scope:
            yield
    except Exception as error:
        if not scope.cancel_called:
            raise
        raise detector.take_error() from error
    finally:
        detector.scope = outer
    if scope.cancel_called:
        raise detector.take_error()


def serves_other_threads() -> bool:
    """Tell whether this loop serves other threads, as a blocking portal's does."""
    return threading.current_thread() is not threading.main_thread()


def has_unknown_threads() -> bool:
    """Tell whether there are threads that the loop did not start."""
    return any(_is_unknown(thread) for thread in threading.enumerate())


def _is_unknown(thread: threading.Thread) -> bool:
    if thread is threading.current_thread() or isinstance(thread, threading.Timer):
        return False
    is_pooled = hasattr(thread, "idle_workers")  # a worker thread of anyio
    return not is_pooled and not thread.name.startswith(_IDLE_THREAD_NAMES)


def has_busy_workers(loop: object) -> bool:
    """Tell whether a thread of anyio's pool works for an asyncio loop."""
    for thread in threading.enumerate():
        idle: Any = getattr(thread, "idle_workers", None)
        if idle is None or getattr(thread, "loop", None) is not loop:
            continue
        if thread not in idle and not getattr(thread, "stopping", False):
            return True
    return False
