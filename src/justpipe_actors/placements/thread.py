"""In a worker thread, so that a long computation does not hold the event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import checkpoint_if_cancelled

from ..abc import Call, Outcome, Placement, PlacementOwner


T = TypeVar("T")


class ThreadPlacement:
    """Run each call in a thread of the loop's pool.

    A cancelled step waits for its thread: a thread cannot be stopped from outside, and
    what it still does to the state must not happen after the run has ended.

    Args:
        limiter: bounds how many threads are used; None is the loop's own limiter.
    """

    name = "thread"
    is_remote = False

    def __init__(self, limiter: CapacityLimiter | None = None) -> None:
        self._limiter = limiter

    @asynccontextmanager
    async def open(self, _owner: PlacementOwner, /) -> AsyncGenerator[Placement]:
        """Return a block; the loop's threads are there without it."""
        yield self

    async def run_sync(self, call: Callable[[], T], /) -> T:
        """Run a call in a thread and return its result, unless it came too late."""
        result = await anyio.to_thread.run_sync(call, limiter=self._limiter)
        await checkpoint_if_cancelled()
        return result

    async def call(self, call: Call, /) -> Outcome:
        """Let a call run in a thread, on copies of its arguments."""
        return await self.run_sync(call.run)
