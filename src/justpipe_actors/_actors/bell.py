"""One task waits, anybody rings; the smallest wake-up there is."""

from __future__ import annotations

import anyio


class Bell:
    """Wake the one task that waits here.

    A ring with nobody waiting is forgotten, so whoever waits checks its condition first
    and there is no await between the check and ``wait``.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def ring(self) -> None:
        """Wake the waiter, if there is one."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait for the next ring."""
        event = self._event = anyio.Event()
        try:
            await event.wait()
        finally:
            if self._event is event:
                self._event = None
