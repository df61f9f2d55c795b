"""The asyncio loop; the one module of the engine that imports asyncio.

It provides the operations of ``_backends/base.py``, and it handles *native*
cancellation: any code can call ``Task.cancel()``, past all cancel scopes of anyio.  A
task that is cancelled so before its first step has run nothing of its function and could
not clean up, so a replacement is started.  A later native cancellation ends the task, and
the owner decides what follows.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from functools import cache, partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Self

import anyio

from .base import BlockInterrupt, Group, Job, Loop, Main


if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import TaskGroup


Work = Coroutine[Any, Any, object]
"""The coroutine of a task."""


def start_protected(loop: asyncio.AbstractEventLoop, start: Callable[[], Work]) -> None:
    """Start a task; if it is cancelled before its first step, start a replacement.

    Args:
        loop: the running one.
        start: makes the coroutine and its task, and returns the coroutine.
    """
    factory = loop.get_task_factory()
    not_started: list[Work] = []

    def start_again() -> bool:
        for protected in not_started:
            protected.close()
        start_protected(loop, start)
        return True

    def make(
        loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Future[Any]:
        protected = _drive_protected(coroutine, start_again)
        protected.send(None)
        if factory is None or _is_eager(factory):
            return asyncio.Task(protected, loop=loop, **options)
        return factory(loop, protected, **options)

    loop.set_task_factory(make)
    try:
        not_started.append(start())
    finally:
        loop.set_task_factory(factory)


def protect_first_step(
    loop: asyncio.AbstractEventLoop,
    coroutine: Work,
    on_native_cancel: Callable[[], bool],
) -> Work:
    """Wrap a task's coroutine to detect a cancellation before its first step.

    Args:
        loop: the running one.
        coroutine: what the task does.
        on_native_cancel: starts a replacement task; returns whether it could.
    """
    protected = _drive_protected(coroutine, on_native_cancel)
    if not _is_eager(loop.get_task_factory()):
        protected.send(None)
    return protected


async def _drive_protected(
    coroutine: Work, on_native_cancel: Callable[[], bool]
) -> object:
    """Drive a coroutine; report a cancellation of the task before its first step.

    A cancel scope that was cancelled so early comes again at the first await, and so
    does a kill when no other task can be started.
    """
    try:
        await _first_step()
    except asyncio.CancelledError:  # noqa: ASYNC103 - another task has its work
        if _was_natively_cancelled():
            if on_native_cancel():
                coroutine.close()
                return None  # noqa: ASYNC104
            _cancel_self()
    except BaseException:  # the loop is closed
        coroutine.close()
        raise
    del on_native_cancel  # frees the objects that the coroutine holds
    try:
        return await coroutine
    except asyncio.CancelledError:
        if _was_natively_cancelled():
            return None  # noqa: ASYNC104 - it ends, and that is all
        raise


def _cancel_self() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def _was_natively_cancelled() -> bool:
    """Clear native cancellations; return whether they alone cancelled the task."""
    return clear_native_cancel() and anyio.current_effective_deadline() > -inf


@types.coroutine
def _first_step() -> Generator[None]:
    yield


def clear_native_cancel() -> bool:
    """Clear the native cancellations of the current task; return if there were any."""
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        return False
    while task.uncancel():
        continue
    return True


def _is_eager(factory: object) -> bool:
    """Return whether a task factory runs a task's first step at its creation.

    anyio must register its tasks before they run, so it avoids such a factory too.
    """
    eager = getattr(asyncio, "eager_task_factory", None)  # from Python 3.12
    return eager is not None and getattr(factory, "__code__", None) is eager.__code__


class _FutureSignal:
    """A signal of an asyncio loop: a bare future."""

    __slots__ = ("_future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future: asyncio.Future[None] = loop.create_future()

    def set(self) -> None:
        """Set the signal and wake the waiting task."""
        if not self._future.done():
            self._future.set_result(None)

    def wait(self) -> Awaitable[None]:
        """Wait until the signal is set."""
        return self._future


class _Group(Group):
    """A task group of asyncio, and the tasks that come too late for it.

    asyncio's own group refuses tasks once its owner is cancelled.  This group starts
    them even then, because the engine relies on what they do at their end, and they are
    cancelled at their first wait.
    """

    __slots__ = ("_is_closed", "_late_tasks", "_loop", "_tasks")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks = asyncio.TaskGroup()
        self._late_tasks: set[asyncio.Task[object]] | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._tasks.__aexit__(kind, error, traceback)  # noqa: ASYNC102 - as any group
        finally:
            while self._late_tasks:
                try:
                    await asyncio.wait(self._late_tasks)  # noqa: ASYNC102
                except asyncio.CancelledError:  # noqa: ASYNC103
                    continue  # noqa: ASYNC104 - what made them late is on its way out
            self._is_closed = True

    def start(self, func: Job, *args: object) -> None:
        """Start a task that takes its first step even if the group is cancelled."""
        if self._is_closed:
            msg = f"{_name_of(func)} cannot begin: its group was left."
            raise RuntimeError(msg)
        if not self._start(func, args):
            self._start_late(func, args)

    def _start(self, func: Job, args: tuple[object, ...]) -> bool:
        """Start a task; return False if the group no longer accepts tasks."""
        work = func(*args)
        protected = protect_first_step(
            self._loop, work, lambda: self._start(func, args)
        )
        task = None
        try:
            task = self._tasks.create_task(protected, name=_name_of(func))
        except RuntimeError:
            return False
        finally:
            if task is None:
                protected.close()
                work.close()
        return True

    def _start_late(self, func: Job, args: tuple[object, ...]) -> None:
        """Start a task that is already cancelled, outside the group that is ending."""
        protected = protect_first_step(self._loop, func(*args), _not_again)
        try:
            task = self._loop.create_task(protected, name=_name_of(func))
        except BaseException:
            protected.close()
            raise
        self._late_tasks = self._late_tasks or set()
        self._late_tasks.add(task)
        task.add_done_callback(self._late_tasks.discard)
        task.cancel()


def _name_of(func: Job) -> str | None:
    return getattr(func, "__qualname__", None)


def _not_again() -> bool:
    """Return False: a late task has no replacement."""
    return False


class _TaskInterrupt(BlockInterrupt):
    """Cancels a task as ``asyncio.timeout`` does, without a scope around the block."""

    __slots__ = ("_is_sent", "_task")

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._is_sent = False

    def interrupt(self) -> None:
        """Cancel the body, if the task that entered the block still runs."""
        if self._task is not None and not self._is_sent:
            self._is_sent = self._task.cancel()

    def is_body_alive(self) -> bool:
        """Return whether the task that entered the block still runs, uncancelled."""
        task = self._task
        return task is not None and not task.done() and not task.cancelling()

    async def leave(self, error: BaseException | None) -> bool:
        """Forget the block; return whether ``interrupt`` caused the error."""
        task = asyncio.current_task()
        if not self._is_sent or task is None or task is not self._task:
            return False
        if task.uncancel():
            return False
        if isinstance(error, asyncio.CancelledError):
            return True
        with suppress(asyncio.CancelledError):  # it may not have been delivered yet
            await asyncio.sleep(0)
        return False


def _clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return the clock of a loop.

    perf: the loop's method around ``monotonic`` is called three times per step
    (bench: chain); a loop with a clock of its own, such as a test's, is asked.
    """
    is_plain = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
    return monotonic if is_plain else loop.time


@cache
def _scope_class() -> type[anyio.CancelScope]:
    """Return the class of cancel scopes that anyio has for this loop.

    perf: ``anyio.CancelScope`` looks for it each time (bench: small).
    """
    return type(anyio.CancelScope())


class AsyncioLoop(Loop):
    """The running asyncio loop."""

    _tasks: ClassVar[set[asyncio.Task[object]]] = set()

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = _clock_of(self._loop)
        self.new_loop_event = partial(_FutureSignal, self._loop)

    def new_scope(self) -> anyio.CancelScope:
        """Return a cancel scope for a block of the current task."""
        return _scope_class()()

    def is_task_cancelled(self) -> bool:
        """Return whether the current task was cancelled natively, not by a scope."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def watch_task(self) -> Callable[[], bool]:
        """Return ``is_task_cancelled`` for the current task, callable from any task."""
        task = asyncio.current_task()
        return lambda: task is not None and task.cancelling() > 0

    def absorb_native_cancel(self) -> bool:
        """Clear the current task's native cancellation; return whether it had one."""
        return clear_native_cancel()

    def is_current(self) -> bool:
        """Return whether the caller runs in this loop and in its thread."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def is_in_task(self) -> bool:
        """Return whether this is called in a task and not in a callback of the loop."""
        return asyncio.current_task() is not None

    def spawn(self, main: Main) -> None:
        """Start a task and keep a strong reference to it until it ends."""
        self._spawn(main)

    def _spawn(self, main: Main) -> bool:
        again = partial(self._spawn, main)
        protected = protect_first_step(self._loop, main(), again)
        task = self._loop.create_task(protected, name="justpipe_actors run")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def open_group(self) -> _Group:
        """Return a block that waits for its tasks when it is left."""
        return _Group(self._loop)

    def open_late_group(self, on_error: Callable[[BaseException], object]) -> Group:
        """Return a group; here an error of a task cancels the block."""
        return _Group(self._loop)

    def start_in(self, tasks: TaskGroup, func: Job, *args: object) -> None:
        """Start a task of a task group that begins whatever happens."""
        name = _name_of(func)

        def start() -> Work:
            protected = func(*args)
            tasks.start_soon(lambda: protected, name=name)
            return protected

        start_protected(self._loop, start)

    def new_interrupt(self, *, is_needed: bool) -> _TaskInterrupt:
        """Return an interrupt for the block that the current task has entered."""
        return _TaskInterrupt()

    def call_soon(self, func: Callable[[], None]) -> None:
        """Call a function in the loop, from any thread; do nothing if it is closed."""
        if not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(func)
            except RuntimeError:
                return

    def call_after_turn(self, func: Callable[[], None]) -> None:
        """Call a function when the current turn of the loop has ended, from the loop."""
        # perf: call_soon_threadsafe would wake the loop up by a byte in a socket.
        self._loop.call_soon(func)

    def interrupt(self, error: KeyboardInterrupt | SystemExit) -> None:
        """Raise the interrupt out of the loop."""

        def raise_error() -> None:
            raise error

        self._loop.call_soon(raise_error)
