"""OS signals as a count and a queue; the third stop signal works in a blocked loop.

The handlers are Python's own instead of the loop's.  The loop's handlers run only when
the loop turns, and the last stop signal must also work while a step blocks the loop.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import attrs

from .._backends import Loop
from .._util.lazy_classes import define
from .._util.sync import Wakeup


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Signals that request a stop."""

RELOAD_SIGNALS: tuple[signal.Signals, ...] = tuple(
    signal.Signals(number)
    for number in (getattr(signal, "SIGHUP", None),)
    if number is not None
)
"""Signals that request a reload; empty on Windows."""


@define(eq=False, repr=False)
class SignalQueue:
    """The received signals that are not handled yet."""

    loop: Loop
    """The event loop that handles them."""
    give_up: Callable[[signal.Signals], None]
    """Called in the signal handler itself, at the third stop signal."""
    stop_count: int = attrs.field(default=0, init=False)
    """Number of stop signals so far."""
    _pending: deque[signal.Signals] = attrs.field(factory=deque, init=False)
    _wakeup: Wakeup = attrs.field(factory=Wakeup, init=False)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; Python may call this between any two instructions."""
        name = signal.Signals(number)
        if name in STOP_SIGNALS:
            self.stop_count += 1
            if self.stop_count > 2:
                self.give_up(name)
        self._pending.append(name)
        self.loop.call_soon(self._wakeup.notify)

    async def get(self) -> signal.Signals:
        """Wait for the next signal."""
        while not self._pending:
            await self._wakeup.wait()
        return self._pending.popleft()


@contextmanager
def handle_signals(signals: SignalQueue) -> Generator[None, None, None]:
    """Install handlers for the signals; restore the previous ones on exit.

    Raises:
        RuntimeError: the current thread is not the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        msg = (
            "serve() sets signal handlers, and Python allows that in the main thread "
            "only. In another thread use 'await nursery.start(supervisor.serve)'."
        )
        raise RuntimeError(msg)
    before = {
        number: signal.signal(number, signals.on_signal)
        for number in (*STOP_SIGNALS, *RELOAD_SIGNALS)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
