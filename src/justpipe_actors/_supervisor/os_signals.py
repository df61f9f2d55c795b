"""Signals as a count and a queue, so that the last one works when the loop does not.

The handlers are Python's own and not the loop's: those only run when the loop turns, and
the signal that gives up is for the moment when a step holds the loop for ever.
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
from .._util.sync import Wakeup


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Signals that ask for the end."""

RELOAD_SIGNALS: tuple[signal.Signals, ...] = tuple(
    signal.Signals(number)
    for number in (getattr(signal, "SIGHUP", None),)
    if number is not None
)
"""Signals that ask for a reload; there is none on Windows."""


@attrs.define(eq=False, repr=False)
class SignalQueue:
    """The signals that have come and are not dealt with."""

    loop: Loop
    """Where they are dealt with."""
    give_up: Callable[[signal.Signals], None]
    """Called at once, in the signal's handler, at the third one that asks for the end."""
    stop_count: int = attrs.field(default=0, init=False)
    """Signals that asked for the end."""
    _pending: deque[signal.Signals] = attrs.field(factory=deque, init=False)
    _wakeup: Wakeup = attrs.field(factory=Wakeup, init=False)

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; this may be called between any two instructions."""
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
    """Hear signals instead of dying of them; what was before is restored.

    Raises:
        RuntimeError: this is not the main thread.
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
