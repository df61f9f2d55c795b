"""The placements in this process: on the event loop's thread, and in worker threads.

A long computation in a thread does not block the loop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import checkpoint_if_cancelled

from ..abc import Call, Outcome, Placement, PlacementOwner


T = TypeVar("T")


class HerePlacement:
    """Run each call at once; the call blocks the event loop."""

    name = "here"
    is_remote = False

    async def run_sync(self, call: Callable[[], T], /) -> T:
        """Run a call in the current task and return its result."""
        return call()


class ThreadPlacement:
    """Run each call in a thread of the loop's pool.

    A cancelled step waits for its thread: a thread cannot be stopped from outside, and
    it must not change the state after the run has ended.

    Args:
        limiter: bounds how many threads are used; None is the loop's own limiter.
    """

    name = "thread"
    is_remote = False

    def __init__(self, limiter: CapacityLimiter | None = None) -> None:
        self._limiter = limiter

    @asynccontextmanager
    async def open(self, _owner: PlacementOwner, /) -> AsyncGenerator[Placement]:
        """Return a block without an effect: the loop has the threads already."""
        yield self

    async def run_sync(self, call: Callable[[], T], /) -> T:
        """Run a call in a thread; return its result unless the step was cancelled."""
        result = await anyio.to_thread.run_sync(call, limiter=self._limiter)
        await checkpoint_if_cancelled()
        return result

    async def call(self, call: Call, /) -> Outcome:
        """Run a call in a thread, on copies of its arguments."""
        return await self.run_sync(call.run)
