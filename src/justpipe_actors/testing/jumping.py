"""The two loops whose clock jumps, and what they do at a standstill."""

from __future__ import annotations

import asyncio  # noqa: TID251 - a clock belongs to a loop
import logging
import selectors
import signal
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context
from functools import partial
from math import inf
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from trio.testing import MockClock

import trio

from . import watching
from .watching import Watch


T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_logger = logging.getLogger("justpipe_actors")


class JumpingSelector(selectors.DefaultSelector):
    """A selector that counts a timeout as passed instead of waiting for it."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.now = 0.0
        self._watch = watch
        self._loop: JumpingLoop | None = None

    def serve(self, loop: JumpingLoop) -> None:
        """Say whose selector this is."""
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """Poll; when nothing is ready, move ``now`` to the end of the wait.

        Raises:
            Deadlock: nothing will ever be ready, and nobody was watching.
        """
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._loop is None or self._loop.has_busy_threads():
            return super().select(None)
        if timeout is None or self.now > self._watch.limit:
            return self._stand_still()
        self.now += timeout
        return ready

    def _stand_still(self) -> Any:
        if watching.is_callable_from_outside() or len(self.get_map()) > 1:
            return super().select(None)  # a portal, or a socket: the world may answer
        if watching.has_unknown_threads():
            ready = super().select(watching.PATIENCE)
            if ready:
                return ready
        if not self._watch.tell(self.now):
            raise self._watch.take_error()
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """What trio's autojumping ``MockClock`` is, for asyncio."""

    def __init__(
        self, watch: Watch | None = None, on_step: Callable[[], None] | None = None
    ) -> None:
        self.watch = watch or Watch()
        self._on_step = on_step
        self._jumping = JumpingSelector(self.watch)
        self._jobs: set[object] = set()
        super().__init__(self._jumping)
        self._jumping.serve(self)

    def time(self) -> float:
        """Return the virtual time, in seconds from 0."""
        return self._jumping.now

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Call a function in the next turn, and whoever counts steps before it."""
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
        """Note that a thread is busy until its result is here."""
        job = super().run_in_executor(executor, func, *args)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    async def shutdown_default_executor(self, *options: Any) -> None:
        """Wait for the executor's threads in real time: they are joined by another one."""
        self._jobs.add(self)
        try:
            await super().shutdown_default_executor(*options)
        finally:
            self._jobs.discard(self)

    def has_busy_threads(self) -> bool:
        """Tell whether a thread works for this loop."""
        return bool(self._jobs) or watching.has_busy_workers(self)


class JumpingInstrument(trio.abc.Instrument):
    """Holds a ``MockClock`` back while threads are busy, and notices a standstill.

    trio's clock jumps, and spins, as soon as no task is runnable.  Two polls in a row
    without a task in between mean that not even ``wait_all_tasks_blocked`` has woken
    anybody.
    """

    def __init__(
        self,
        clock: MockClock,
        watch: Watch,
        on_step: Callable[[], None] | None = None,
    ) -> None:
        self._clock = clock
        self._on_step = on_step
        self._watch = watch
        self._idle = 0
        self._since = 0.0

    def before_run(self) -> None:
        """Say whose watch this is."""
        watching.watch_clock(self._clock, self._watch)

    def after_run(self) -> None:
        """Forget the clock."""
        watching.watch_clock(self._clock, None)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note that something happens."""
        self._idle = 0
        if self._on_step is not None:
            self._on_step()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Let the clock jump only while no thread is busy."""
        threshold = inf if trio.testing.active_thread_count() else 0
        if self._clock.autojump_threshold != threshold:
            self._clock.autojump_threshold = threshold

    def before_io_wait(self, timeout: float) -> None:
        """Count the polls at which nothing could happen."""
        if timeout or self._is_alive():
            return
        if self._clock.current_time() > self._watch.limit:
            self._tell()
        elif trio.lowlevel.current_statistics().seconds_to_next_deadline == inf:
            self._count()

    def _is_alive(self) -> bool:
        if watching.is_callable_from_outside() or trio.testing.active_thread_count():
            return True
        now = trio.lowlevel.current_statistics()
        # trio itself reads one socket, to be woken by.
        sockets = getattr(now.io_statistics, "tasks_waiting_read", 1) - 1
        sockets += getattr(now.io_statistics, "tasks_waiting_write", 0)
        return bool(now.tasks_runnable or now.run_sync_soon_queue_size or sockets > 0)

    def _count(self) -> None:
        if not self._idle:
            self._since = time.monotonic()
        self._idle += 1
        patience = watching.PATIENCE if watching.has_unknown_threads() else 0
        if self._idle > 2 and time.monotonic() - self._since >= patience:
            self._tell()

    def _tell(self) -> None:
        self._idle = 0
        if not self._watch.tell(self._clock.current_time()):
            raise_in_main(self._watch.take_error())


def raise_in_main(error: Exception) -> None:
    """Raise an exception where trio's main task waits, as trio does for Ctrl-C.

    There is no public way to do it; without the private one, Ctrl-C has to do.
    """

    def abort() -> NoReturn:
        raise error

    try:
        runner: Any = trio._core._run.GLOBAL_RUN_CONTEXT.runner  # noqa: SLF001
        runner.main_task._attempt_abort(abort)  # noqa: SLF001
    except AttributeError:
        _logger.exception("%s", error)
        signal.raise_signal(signal.SIGINT)
