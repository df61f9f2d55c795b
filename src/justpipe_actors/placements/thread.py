"""In a worker thread, so that a long computation does not hold the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import checkpoint_if_cancelled


T = TypeVar("T")


class ThreadPlacement:
    """Run each call in a thread of the loop's pool.

    A cancelled step waits for its thread: a thread cannot be stopped from outside, and
    what it still does to the state must not happen after the run has ended.

    Args:
        limiter: bounds how many threads are used; None is the loop's own limiter.
    """

    name = "thread"

    def __init__(self, limiter: CapacityLimiter | None = None) -> None:
        self._limiter = limiter

    async def run_sync(self, call: Callable[[], T], /) -> T:
        """Run a call in a thread and return its result, unless it came too late."""
        result = await anyio.to_thread.run_sync(call, limiter=self._limiter)
        await checkpoint_if_cancelled()
        return result
