"""Ctrl-C in two steps: the first asks the run to end, the next is the loop's own.

The handler is Python's and not the loop's, so a first Ctrl-C is noticed even while a
step holds the loop, and a second one finds the handler that trio or asyncio put in place
and interrupts whatever is at work.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import anyio


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
