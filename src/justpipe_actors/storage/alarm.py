"""When the writer's thread wakes up.

It sleeps until the first event that waits has lingered for others, until somebody is in a
hurry, until a store that failed is to be tried again, or until a sign of life is due.
Without runs it sleeps a moment, for the next one, and then ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sized

import attrs

from .owners import BEAT


LINGER = 0.25
"""Seconds that the first event to wait may wait for others, and the thread for a run."""


@attrs.define(eq=False)
class Alarm:
    """One thread's; all moments are on the monotonic clock."""

    bell: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    """Held by whoever looks at this, or changes what the thread works on."""
    is_closing: bool = attrs.field(default=False, init=False)
    """Whether the interpreter is about to go."""
    retry_at: float | None = attrs.field(default=None, init=False)
    """When a store that failed is tried again."""
    _beat_at: float = attrs.field(default=0.0, init=False)
    _linger_until: float | None = attrs.field(default=None, init=False)
    _is_urgent: bool = attrs.field(default=False, init=False)
    _sleeps_until: float = attrs.field(default=0.0, init=False)

    # -- from event loops

    def stir(self) -> None:
        """Say that something waits."""
        with self.bell:
            if self._linger_until is None:
                self._linger_until = time.monotonic() + LINGER
                # To wake a thread costs more than to take an event in.
                if self._sleeps_until > self._linger_until:
                    self.bell.notify()

    def hurry(self) -> None:
        """Say that something should not wait any longer."""
        with self.bell:
            self._is_urgent = True
            self.bell.notify()

    def close(self) -> None:
        """Say that this is the last moment."""
        with self.bell:
            self.is_closing = True
            self.bell.notify()

    # -- in the thread

    def wait(self, work: Sized) -> None:
        """Sleep, the bell held, until there is something to do, or no work for long."""
        ends_at = time.monotonic() + LINGER
        while not self.is_closing:
            now = time.monotonic()
            until = self._due() if work else ends_at
            if until <= now or (work and self._is_urgent):
                break
            self._sleeps_until = until
            self.bell.wait(until - now)
        self._sleeps_until = 0.0
        self._is_urgent, self._linger_until = False, None

    def _due(self) -> float:
        moments = (self._linger_until, self.retry_at, self._beat_at)
        return min(moment for moment in moments if moment is not None)

    def set_beat(self) -> None:
        """Let the next sign of life be due after one beat."""
        self._beat_at = time.monotonic() + BEAT

    def is_beat_due(self) -> bool:
        """Tell whether it is time for a sign of life; the next one is set."""
        is_due = time.monotonic() >= self._beat_at
        if is_due:
            self.set_beat()
        return is_due
