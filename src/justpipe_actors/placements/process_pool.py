"""A pool of worker processes, one per owner."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from ..abc import Call, Outcome, Placement, PlacementOwner
from ..errors import PlacementLost
from .worker_process import WorkerProcess


class ProcessPool:
    """A pool of worker processes, one per owner."""

    name = "process"
    is_remote = True

    def __init__(self, workers: int, max_calls: int | None) -> None:
        self._places = anyio.Semaphore(workers, fast_acquire=True)
        self._max_calls = max_calls
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._is_closed = False

    @asynccontextmanager
    async def open(self, _owner: PlacementOwner, /) -> AsyncGenerator[Placement]:
        """Return a block in which the pool can be used; the pool is open already."""
        yield self

    async def call(self, call: Call, /) -> Outcome:
        """Run a call in a free process, or wait for one.

        When the awaiting task is cancelled the process is killed; a new one is started
        when a call needs it.

        Raises:
            PlacementLost: the process that ran it died.
        """
        async with self._places:
            if self._is_closed:
                raise PlacementLost(call.step, self.name, "its owner is closing")
            worker = self._take()
            try:
                outcome = await worker.call(call)
            except BaseException:
                await worker.wait_end()  # noqa: ASYNC102 - shielded, bounded
                raise
            finally:
                self._busy.discard(worker)
            if worker.calls == self._max_calls or self._is_closed:
                await worker.wait_end()
            else:
                self._idle.append(worker)
            return outcome

    def _take(self) -> WorkerProcess:
        """Return the idle worker used last, as its caches are warm, or a new worker."""
        worker = self._take_idle() or WorkerProcess(self.name)
        self._busy.add(worker)
        return worker

    def _take_idle(self) -> WorkerProcess | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            worker.close()
        return None

    async def aclose(self) -> None:
        """Kill all workers and wait for their end."""
        self._is_closed = True
        workers = [*self._idle, *self._busy]
        for worker in workers:
            worker.kill()
        with anyio.CancelScope(shield=True):  # noqa: ASYNC912 - none may be left
            for worker in workers:
                await worker.wait_end()
        self._idle.clear()

    def statistics(self) -> dict[str, int]:
        """Return how many processes work and how many wait for a call."""
        return {"busy": len(self._busy), "idle": len(self._idle)}
