"""The operations of the event loop that the engine needs and anyio does not have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Self

import sniffio

from .. import _backends


if TYPE_CHECKING:
    from types import TracebackType

    from anyio import CancelScope
    from anyio.abc import TaskGroup

    from .._util.sync import LoopEvent


Main = Callable[[], Coroutine[Any, Any, None]]
Job = Callable[..., Coroutine[Any, Any, object]]


class Group(ABC):
    """A group of the loop's own tasks; leaving its block waits for all of them.

    They are the loop's and not anyio's because anyio's cost four times as much on
    asyncio, in time and in memory: each has a scope, and an event for its end.  So on
    asyncio no cancel scope around the block reaches them.  The code that opens a group
    lets the tasks end, or cancels their work by scopes of its own.
    """

    __slots__ = ()

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None: ...

    @abstractmethod
    def start(self, func: Job, *args: object) -> None:
        """Start a task that takes its first step even if the group is cancelled."""


class BlockInterrupt(ABC):
    """Cancels the body of a block that may be left in another task.

    If a context manager may be left in another task than it was entered in (a fixture,
    an exit stack, an async generator that was dropped), it must hold no task group, and
    no cancel scope on a loop that can interrupt a block without one.
    """

    __slots__ = ()

    @abstractmethod
    def interrupt(self) -> None:
        """Cancel the body, if the task that entered the block still runs."""

    @abstractmethod
    def is_body_alive(self) -> bool:
        """Return whether the task that entered the block still runs, uncancelled."""

    @abstractmethod
    async def leave(self, error: BaseException | None) -> bool:
        """Forget the block; return whether ``interrupt`` caused the error."""


class Loop(ABC):
    """Operations that depend on the event loop."""

    now: Callable[[], float]
    """Returns the loop's clock, in seconds."""
    new_loop_event: Callable[[], LoopEvent]
    """Returns a signal that one task can wait for.

    perf: it and the clock are attributes, because each use of a method that is handed
    on makes an object of 64 bytes (scale, idle run).
    """

    @abstractmethod
    def new_scope(self) -> CancelScope:
        """Return a cancel scope for a block of the current task."""

    @abstractmethod
    def is_task_cancelled(self) -> bool:
        """Return whether the current task was cancelled natively, not by a scope."""

    @abstractmethod
    def watch_task(self) -> Callable[[], bool]:
        """Return ``is_task_cancelled`` for the current task, callable from any task."""

    @abstractmethod
    def absorb_native_cancel(self) -> bool:
        """Clear the current task's native cancellation; return whether it had one."""

    @abstractmethod
    def is_current(self) -> bool:
        """Return whether the caller runs in this loop and in its thread."""

    @abstractmethod
    def is_in_task(self) -> bool:
        """Return whether this is called in a task, where other tasks can be started."""

    @abstractmethod
    def spawn(self, main: Main) -> None:
        """Start a task that the loop owns; it must not raise."""

    @abstractmethod
    def open_group(self) -> Group:
        """Return a block that waits for its tasks when it is left."""

    @abstractmethod
    def open_late_group(self, on_error: Callable[[BaseException], object]) -> Group:
        """Return a block that waits for its tasks, and costs little while it has none.

        Args:
            on_error: called with the error of a task where that does not cancel the
                block; it must end what the block does.
        """

    @abstractmethod
    def start_in(self, tasks: TaskGroup, func: Job, *args: object) -> None:
        """Start a task of a task group that begins whatever happens."""

    @abstractmethod
    def new_interrupt(self, *, is_needed: bool) -> BlockInterrupt:
        """Return an interrupt for the block that the current task has entered.

        On trio this opens a cancel scope, so the block must be left in the same task.

        Args:
            is_needed: whether anything could interrupt the block at all.
        """

    @abstractmethod
    def call_soon(self, func: Callable[[], None]) -> None:
        """Call a function in the loop, from any thread; do nothing if it is closed."""

    @abstractmethod
    def call_after_turn(self, func: Callable[[], None]) -> None:
        """Call a function when the current turn of the loop has ended, from the loop."""

    @abstractmethod
    def interrupt(self, error: KeyboardInterrupt | SystemExit) -> None:
        """Deliver an interrupt from a run without a consumer to the program."""


def has_running_loop() -> bool:
    """Return whether an event loop runs in this thread."""
    try:
        sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return False
    return True


def current_loop() -> Loop:
    """Return the running event loop."""
    if sniffio.current_async_library() == "trio":
        return _backends.TrioLoop()
    return _backends.AsyncioLoop()
