"""A thread that detects a blocked event loop and logs the step that blocks it.

The thread schedules a callback in the loop and waits for it.  If the callback does not
run in time, the thread logs the stack of the loop's thread, once per blockage, with the
run and the step on that stack.  It logs the duration when the loop turns again.

The cost in the loop is one wake-up and one callback per second, which suits daemons and
not every program: the watchdog is off unless ``blocked_after`` is given.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from types import FrameType

import attrs

from .._backends import Loop
from .._engine.invocation import Invocation
from .._util.lazy_classes import define


CHECK_INTERVAL = 1.0
"""Seconds between two checks, or a quarter of the limit if that is less."""

_logger = logging.getLogger("justpipe_actors.loop")


@define(eq=False, repr=False)
class LoopWatchdog:
    """Watches one loop from another thread; call ``start`` in the loop's thread."""

    loop: Loop
    limit: float
    """Seconds without a turn after which the loop counts as blocked."""
    _thread: int = attrs.field(factory=threading.get_ident, init=False)
    _asked_at: float = attrs.field(factory=time.monotonic, init=False)
    _answered: threading.Event = attrs.field(factory=threading.Event, init=False)
    _stopped: threading.Event = attrs.field(factory=threading.Event, init=False)

    def start(self) -> None:
        """Start the watchdog thread."""
        name = "justpipe_actors loop watchdog"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def stop(self) -> None:
        """Stop the watchdog thread."""
        self._stopped.set()
        self._answered.set()

    @property
    def is_responsive(self) -> bool:
        """Whether the loop has turned within the limit; thread-safe."""
        return (
            self._answered.is_set() or time.monotonic() - self._asked_at <= self.limit
        )

    def _run(self) -> None:
        interval = min(CHECK_INTERVAL, self.limit / 4)
        while not self._stopped.wait(interval):
            self._asked_at = time.monotonic()
            self._answered.clear()
            self.loop.call_soon(self._answered.set)
            if not self._answered.wait(self.limit):
                self._report()
                self._answered.wait()
                self._report_end()

    def _report(self) -> None:
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - no other way
        blocking = _blocking_step(frame)
        _logger.error(
            "The loop has not turned for %.1f s%s; its stack:\n%s",
            time.monotonic() - self._asked_at,
            f": step '{blocking['step']}' holds it" if blocking else "",
            "".join(traceback.format_stack(frame)) if frame is not None else "gone",
            extra=blocking,
        )

    def _report_end(self) -> None:
        if not self._stopped.is_set():
            seconds = time.monotonic() - self._asked_at
            _logger.warning("The loop turns again after %.1f s", seconds)


def _blocking_step(frame: FrameType | None) -> dict[str, str]:
    """Return the run, step and actor of the innermost invocation on a stack."""
    while frame is not None:
        invocation = frame.f_locals.get("invocation")
        if isinstance(invocation, Invocation):
            return {
                "run": invocation.run_state.run_id,
                "step": invocation.node.name,
                "actor": f"{invocation.run_state.plan.name}/{invocation.node.name}",
            }
        frame = frame.f_back
    return {}
