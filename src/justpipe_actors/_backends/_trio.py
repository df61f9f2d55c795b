"""The trio loop; the one module of the engine that imports trio.

It provides the operations of ``_backends/base.py``.  Trio cancels through scopes only, so
what ``_asyncio.py`` does against native cancellation returns False here.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Self, cast

import trio

from .._util.interrupts import mark_functions
from ..errors import RunRejected
from .base import BlockInterrupt, Group, Job, Loop, Main


if TYPE_CHECKING:
    from types import TracebackType

    from anyio import CancelScope
    from anyio.abc import TaskGroup


_logger = logging.getLogger("justpipe_actors")
mark_functions(trio.lowlevel.enable_ki_protection, trio.lowlevel.disable_ki_protection)


class _TaskSignal:
    """A signal of a trio loop: it reschedules the task that waits.

    perf: ``trio.Event`` has a set of tasks, and a closure for each wait, which a signal
    for a single task does not need (bench: small; scale: idle run).
    """

    __slots__ = ("_is_set", "_task")

    def __init__(self) -> None:
        self._is_set = False
        self._task: trio.lowlevel.Task | None = None

    @trio.lowlevel.enable_ki_protection
    def set(self) -> None:
        """Set the signal and wake the waiting task."""
        task, self._task = self._task, None
        self._is_set = True
        if task is not None:
            trio.lowlevel.reschedule(task)

    def wait(self) -> Awaitable[object]:
        """Wait until the signal is set; to be awaited at once, by one task."""
        if self._is_set:
            return trio.lowlevel.checkpoint()  # noqa: ASYNC105 - the caller awaits it
        self._task = trio.lowlevel.current_task()
        return trio.lowlevel.wait_task_rescheduled(self._stop_waiting)  # noqa: ASYNC105

    def _stop_waiting(self, _raise_cancelled: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class _Group(Group):
    """A nursery; the task that entered it leaves it."""

    __slots__ = ("_manager", "_nursery")

    def __init__(self) -> None:
        self._manager = trio.open_nursery()

    async def __aenter__(self) -> Self:
        self._nursery = await self._manager.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        try:
            return bool(await self._manager.__aexit__(kind, error, traceback))  # noqa: ASYNC102
        except BaseExceptionGroup as group:
            # The code outside must see the cancellation of many tasks as a single one.
            if group.split(trio.Cancelled)[1] is not None:
                raise
            cancelled: BaseException = group
            while isinstance(cancelled, BaseExceptionGroup):
                cancelled = cancelled.exceptions[0]
            raise cancelled from None

    def start(self, func: Job, *args: object) -> None:
        """Start a task; here every task takes its first step."""
        self._nursery.start_soon(func, *args)


class _LateGroup(Group):
    """A group whose nursery is opened by its first task.

    This task is a system task, like the task of a run.  The nursery is not around the
    block, so an error of a task is reported and does not cancel the block.

    perf: most short runs start no task, and a nursery takes a tenth of such a run
    (bench: small).
    """

    __slots__ = (
        "_hosts",
        "_is_cancelled",
        "_is_closed",
        "_nurseries",
        "_on_error",
        "_without_tasks",
    )

    def __init__(self, on_error: Callable[[BaseException], object]) -> None:
        self._on_error = on_error
        self._hosts = 0
        """Tasks that have a nursery or are about to open one; more than one is rare."""
        self._nurseries: list[trio.Nursery] = []
        self._without_tasks: _TaskSignal | None = None
        self._is_cancelled = False
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._is_cancelled = True
            for nursery in self._nurseries:
                nursery.cancel_scope.cancel()
        if self._hosts:
            self._without_tasks = _TaskSignal()
            with trio.CancelScope(shield=True):  # what cancels the block ends the tasks
                await self._without_tasks.wait()
        self._is_closed = True

    def start(self, func: Job, *args: object) -> None:
        """Start a task; here every task takes its first step."""
        if self._is_closed:
            msg = f"{func} cannot begin: its group was left."
            raise RuntimeError(msg)
        for nursery in self._nurseries:
            with suppress(RuntimeError):  # its last task has just ended
                nursery.start_soon(func, *args)
                return
        trio.lowlevel.spawn_system_task(
            self._host, func, args, name=func, context=copy_context()
        )
        self._hosts += 1

    async def _host(self, func: Job, args: tuple[object, ...]) -> None:
        """Run the first task of a nursery, and wait for the others."""
        try:
            async with trio.open_nursery() as nursery:
                self._nurseries.append(nursery)
                if self._is_cancelled:
                    nursery.cancel_scope.cancel()
                await func(*args)
            self._nurseries.remove(nursery)
        except BaseException as error:  # noqa: ASYNC103 - raised at the consumer
            failure = _without_cancellation(error)
            if failure is None:
                raise
            self._on_error(failure)
        finally:
            self._hosts -= 1
            if not self._hosts and self._without_tasks is not None:
                self._without_tasks.set()


def _without_cancellation(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1]
    return None if isinstance(error, trio.Cancelled) else error


class _ScopeInterrupt(BlockInterrupt):
    """Cancels a scope, the only means of trio to interrupt a task.

    If a block is left in another task, the scope stays with the task that entered it
    and ends with that task.
    """

    __slots__ = ("_scope", "_task")

    def __init__(self, *, is_needed: bool) -> None:
        self._task = trio.lowlevel.current_task()
        self._scope = trio.CancelScope() if is_needed else None
        if self._scope is not None:
            self._scope.__enter__()

    def interrupt(self) -> None:
        """Cancel the body, if the task that entered the block still runs."""
        if self._scope is not None:
            self._scope.cancel()

    def is_body_alive(self) -> bool:
        """Return False: trio cannot tell whether the entering task still runs.

        Only the end of the loop cancels a system task.
        """
        return False

    async def leave(self, error: BaseException | None) -> bool:
        """Forget the block; return whether ``interrupt`` caused the error."""
        if self._scope is None or trio.lowlevel.current_task() is not self._task:
            return False
        if error is None:
            self._scope.__exit__(None, None, None)
            return False
        return bool(self._scope.__exit__(type(error), error, error.__traceback__))


class TrioLoop(Loop):
    """The running trio loop."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        # The clock's own: ``trio.current_time`` looks it up at each call.
        self.now = trio.lowlevel.current_clock().current_time
        self.new_loop_event = _TaskSignal

    def new_scope(self) -> CancelScope:
        """Return a cancel scope for a block of the current task.

        perf: anyio's wraps one of trio and makes two; its own takes 8 % less of a small
        run (``nox -s bench``, small).
        """
        return cast("CancelScope", trio.CancelScope())

    def is_task_cancelled(self) -> bool:
        """Return False: trio has no cancellation other than through a scope."""
        return False

    def watch_task(self) -> Callable[[], bool]:
        """Return ``is_task_cancelled`` for the current task, callable from any task."""
        return self.is_task_cancelled

    def absorb_native_cancel(self) -> bool:
        """Return False: trio has no cancellation other than through a scope."""
        return False

    def is_current(self) -> bool:
        """Return whether the caller runs in this loop and in its thread."""
        try:
            return trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            return False

    def is_in_task(self) -> bool:
        """Return whether this is called in a task and not in a callback of the loop."""
        return trio.lowlevel.in_trio_task()

    def spawn(self, main: Main) -> None:
        """Start a system task that sees the caller's context variables."""
        try:
            trio.lowlevel.spawn_system_task(
                main, name="justpipe_actors run", context=copy_context()
            )
        except RuntimeError as error:
            reason = "the event loop is shutting down"
            raise RunRejected(reason) from error

    def open_group(self) -> _Group:
        """Return a block that waits for its tasks when it is left."""
        return _Group()

    def open_late_group(self, on_error: Callable[[BaseException], object]) -> Group:
        """Return a group that has a nursery only once it has a task."""
        return _LateGroup(on_error)

    def start_in(self, tasks: TaskGroup, func: Job, *args: object) -> None:
        """Start a task of a task group; here every task takes its first step."""
        tasks.start_soon(func, *args)

    def new_interrupt(self, *, is_needed: bool) -> _ScopeInterrupt:
        """Return an interrupt for the block that the current task has entered."""
        return _ScopeInterrupt(is_needed=is_needed)

    def call_soon(self, func: Callable[[], None]) -> None:
        """Call a function in the loop, from any thread; do nothing if it is closed."""
        try:
            self._token.run_sync_soon(func)
        except trio.RunFinishedError:
            return

    def call_after_turn(self, func: Callable[[], None]) -> None:
        """Call a function when the current turn of the loop has ended, from the loop."""
        self._token.run_sync_soon(func)

    def interrupt(self, error: KeyboardInterrupt | SystemExit) -> None:
        """Interrupt the main task.

        trio accepts only a KeyboardInterrupt from outside; any other exception raised
        in a callback would crash the loop without cleaning up.  So a SystemExit comes
        out as one, and is logged.
        """
        if isinstance(error, SystemExit):
            _logger.error(
                "A run without a reader asked the program to exit", exc_info=error
            )
        self.call_soon(partial(signal.raise_signal, signal.SIGINT))
