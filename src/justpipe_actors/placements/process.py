"""The placement in processes of this machine: synchronous work on every core.

The pool belongs to an owner: a supervisor or an event loop.  It starts workers on
demand up to a limit, keeps them for later calls, replaces those that die, and kills all
of them when the owner closes.
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

    A worker imports a function by module and name, so the function must be defined at
    the top level of a module.  State, item and context are copied with pickle; changes
    of state and context are merged in the owner's process.

    Args:
        workers: maximum number of processes; None is the number of cores.
        max_calls: calls after which a process is replaced; None never.

    Raises:
        ValueError: ``workers`` or ``max_calls`` is less than 1.
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
        """Return a block with a pool; leaving the block ends all of its processes."""
        from .process_pool import ProcessPool  # noqa: PLC0415 - with the first process

        pool = ProcessPool(self.workers or _count_cores(), self.max_calls)
        self._opened.append(pool)
        try:
            yield pool
        finally:
            self._opened.remove(pool)
            await pool.aclose()  # shielded

    async def call(self, call: Call, /) -> Outcome:
        """Run a call in the pool that was opened last.

        Raises:
            RuntimeError: no pool is open.
            PlacementLost: the process that ran it died.
        """
        if not self._opened:
            msg = (
                "Open the placement first: async with placement.open(owner) as opened."
            )
            raise RuntimeError(msg)
        return await self._opened[-1].call(call)

    def check(self, func: Callable[..., Any]) -> str | None:
        """Return why a worker cannot import a function; None if it can.

        Args:
            func: the function.
        """
        return why_not_importable(func)

    def __repr__(self) -> str:
        return f"ProcessPlacement(workers={self.workers}, max_calls={self.max_calls})"


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
