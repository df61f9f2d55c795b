"""trio event loop for tests, with a clock that jumps and a list of its tasks."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from math import inf
from typing import Any, NoReturn

from trio.testing import MockClock

import trio

from . import deadlocks
from .deadlocks import DeadlockDetector


_logger = logging.getLogger("justpipe_actors")


def tasks_of_loop() -> dict[object, str]:
    """Return all tasks of the current event loop, system tasks included, and their names."""
    tasks: dict[object, str] = {}
    root = trio.lowlevel.current_root_task()
    queue = [root] if root is not None else []
    while queue:
        task = queue.pop()
        tasks[task] = task.name
        for nursery in task.child_nurseries:
            queue.extend(nursery.child_tasks)
    return tasks


class AutojumpInstrument(trio.abc.Instrument):
    """Stops a ``MockClock`` from jumping while threads are busy, and detects deadlocks.

    trio's clock jumps, and spins, as soon as no task is runnable.  Two polls in a row
    without a task step in between mean that not even ``wait_all_tasks_blocked`` has
    woken a task.
    """

    def __init__(
        self,
        clock: MockClock,
        detector: DeadlockDetector,
        on_step: Callable[[], None] | None = None,
    ) -> None:
        self._clock = clock
        self._on_step = on_step
        self._detector = detector
        self._idle_polls = 0
        self._idle_since = 0.0

    def before_run(self) -> None:
        """Register the deadlock detector for this trio loop."""
        deadlocks.register_detector(trio.lowlevel.current_trio_token(), self._detector)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Record that a task makes progress."""
        self._idle_polls = 0
        if self._on_step is not None:
            self._on_step()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Let the clock jump only while no thread is busy."""
        threshold = inf if trio.testing.active_thread_count() else 0
        if self._clock.autojump_threshold != threshold:
            self._clock.autojump_threshold = threshold

    def before_io_wait(self, timeout: float) -> None:
        """Count consecutive polls without a task step."""
        if timeout or self._is_alive():
            return
        if self._clock.current_time() > self._detector.limit:
            self._report_deadlock()
        elif trio.lowlevel.current_statistics().seconds_to_next_deadline == inf:
            self._count_idle_poll()

    def _is_alive(self) -> bool:
        if deadlocks.serves_other_threads() or trio.testing.active_thread_count():
            return True
        statistics = trio.lowlevel.current_statistics()
        # trio itself always reads one socket, its wakeup socket.
        sockets = getattr(statistics.io_statistics, "tasks_waiting_read", 1) - 1
        sockets += getattr(statistics.io_statistics, "tasks_waiting_write", 0)
        return bool(
            statistics.tasks_runnable
            or statistics.run_sync_soon_queue_size
            or sockets > 0
        )

    def _count_idle_poll(self) -> None:
        if not self._idle_polls:
            self._idle_since = time.monotonic()
        self._idle_polls += 1
        grace = deadlocks.THREAD_GRACE if deadlocks.has_unknown_threads() else 0
        if self._idle_polls > 2 and time.monotonic() - self._idle_since >= grace:
            self._report_deadlock()

    def _report_deadlock(self) -> None:
        self._idle_polls = 0
        if not self._detector.report_deadlock(self._clock.current_time()):
            raise_in_main(self._detector.take_error())


def raise_in_main(error: Exception) -> None:
    """Raise an exception where trio's main task waits, as trio does for Ctrl-C.

    trio has no public function for this; without the private one, send Ctrl-C.
    """

    def abort() -> NoReturn:
        raise error

    try:
        runner: Any = trio._core._run.GLOBAL_RUN_CONTEXT.runner
        runner.main_task._attempt_abort(abort)
    except AttributeError:
        _logger.exception("%s", error)
        signal.raise_signal(signal.SIGINT)
