"""asyncio event loop for tests, with a clock that jumps and a list of its tasks.

This is the only module in ``testing`` that imports asyncio.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from . import deadlocks
from .deadlocks import DeadlockDetector


T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def tasks_of_loop() -> dict[object, str]:
    """Return all tasks of the current event loop, and their names."""
    return {task: task.get_name() for task in asyncio.all_tasks()}


class AutojumpSelector(selectors.DefaultSelector):
    """A selector that advances the virtual time by a timeout instead of waiting."""

    def __init__(self, detector: DeadlockDetector) -> None:
        super().__init__()
        self.now = 0.0
        self._detector = detector
        self._loop: AutojumpLoop | None = None

    def attach_loop(self, loop: AutojumpLoop) -> None:
        """Set the loop that uses this selector."""
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """Poll; when nothing is ready, move ``now`` to the end of the wait.

        Raises:
            Deadlock: nothing will ever be ready, and no ``watched`` block is open.
        """
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._loop is None or self._loop.has_busy_threads():
            return super().select(None)
        if timeout is None or self.now > self._detector.limit:
            return self._on_standstill()
        self.now += timeout
        return ready

    def _on_standstill(self) -> Any:
        if deadlocks.serves_other_threads() or len(self.get_map()) > 1:
            return super().select(None)  # a portal or a socket may still wake the loop
        if deadlocks.has_unknown_threads():
            ready = super().select(deadlocks.THREAD_GRACE)
            if ready:
                return ready
        if not self._detector.report_deadlock(self.now):
            raise self._detector.take_error()
        return []


class AutojumpLoop(asyncio.SelectorEventLoop):
    """The asyncio counterpart of trio's autojumping ``MockClock``."""

    def __init__(
        self,
        detector: DeadlockDetector | None = None,
        on_step: Callable[[], None] | None = None,
    ) -> None:
        self.detector = detector or DeadlockDetector()
        self._on_step = on_step
        self._selector = AutojumpSelector(self.detector)
        self._executor_jobs: set[object] = set()
        super().__init__(self._selector)
        self._selector.attach_loop(self)
        deadlocks.register_detector(self, self.detector)

    def time(self) -> float:
        """Return the virtual time, in seconds from 0."""
        return self._selector.now

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Schedule a callback for the next turn, and call ``on_step`` before it."""
        if self._on_step is None:
            return super().call_soon(callback, *args, context=context)
        call = partial(callback, *args)
        return super().call_soon(self._step, call, context=context)

    def _step(self, call: Callable[[], object]) -> None:
        if self._on_step is not None:
            self._on_step()
        call()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Count a thread as busy until its result has arrived."""
        job = super().run_in_executor(executor, func, *args)
        self._executor_jobs.add(job)
        job.add_done_callback(self._executor_jobs.discard)
        return job

    async def shutdown_default_executor(self, *options: Any) -> None:
        """Wait for the executor's threads in real time: another thread joins them."""
        self._executor_jobs.add(self)
        try:
            await super().shutdown_default_executor(*options)
        finally:
            self._executor_jobs.discard(self)

    def has_busy_threads(self) -> bool:
        """Tell whether a thread works for this loop."""
        return bool(self._executor_jobs) or deadlocks.has_busy_workers(self)
