"""In processes of this machine: synchronous work on every core.

The pool belongs to an owner, a supervisor or an event loop.  Workers are started when
there is work for them, kept for the next calls, bounded in number, replaced when they
die, and gone when the owner closes.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ..abc import Call, Outcome, Placement, PlacementOwner
from .importing import why_not_importable


if TYPE_CHECKING:
    from .process_pool import ProcessPool


class ProcessPlacement:
    """Run functions in a bounded number of warm worker processes.

    A function is found by its name in its module, so it is defined at the top level of
    one.  Its state, item and context are copied with pickle; what it changes in state
    and context is merged here.

    Args:
        workers: most processes at once; None is the number of cores.
        max_calls: calls after which a process is replaced; None never.

    Raises:
        ValueError: one of them is less than 1.
    """

    name = "process"
    is_remote = True

    def __init__(
        self, workers: int | None = None, max_calls: int | None = None
    ) -> None:
        for option, value in (("workers", workers), ("max_calls", max_calls)):
            if value is not None and value < 1:
                msg = f"{option} must be at least 1, not {value}; None is the default."
                raise ValueError(msg)
        self.workers = workers
        self.max_calls = max_calls
        self._opened: list[ProcessPool] = []

    @asynccontextmanager
    async def open(self, owner: PlacementOwner, /) -> AsyncGenerator[Placement]:
        """Return a block with a pool; no process of it is left when the block is."""
        from .process_pool import ProcessPool  # noqa: PLC0415 - with the first process

        pool = ProcessPool(self.workers or _count_cores(), self.max_calls)
        self._opened.append(pool)
        try:
            yield pool
        finally:
            self._opened.remove(pool)
            await pool.aclose()  # noqa: ASYNC102 - shielded

    async def call(self, call: Call, /) -> Outcome:
        """Let a call run in the pool that was opened last.

        Raises:
            RuntimeError: none is open.
            PlacementLost: the process that ran it died.
        """
        if not self._opened:
            msg = (
                "Open the placement first: async with placement.open(owner) as opened."
            )
            raise RuntimeError(msg)
        return await self._opened[-1].call(call)

    def check(self, func: Callable[..., Any]) -> str | None:
        """Say why a function cannot be found by a worker; None if it can."""
        return why_not_importable(func)

    def __repr__(self) -> str:
        return f"ProcessPlacement(workers={self.workers}, max_calls={self.max_calls})"


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
