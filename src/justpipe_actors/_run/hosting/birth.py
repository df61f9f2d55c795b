"""asyncio tasks that are worth their group: killing one costs what it did, and no more.

asyncio lets anybody cancel a task past all scopes, and when such a task ends by that,
anyio cancels its whole task group: here, every run of a supervisor.  So a native
cancellation that a task does not deal with itself goes no further than the task.

One that was killed before its first step would never take it, and nobody would hear that
what it was to do is not done.  So the loop is given a coroutine that has taken its first
step already, and can catch that; another task does the work.  For tasks of anyio's groups
that is done in the loop's factory, the one place where what anyio hands to the loop can be
wrapped (``bear``); where the engine makes its tasks itself, it wraps them itself
(``born``).
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - for the hosting seam
import types
from collections.abc import Callable, Coroutine, Generator
from math import inf
from typing import Any

import anyio


Life = Coroutine[Any, Any, object]
"""What a task does."""


def bear(loop: asyncio.AbstractEventLoop, start: Callable[[], Life]) -> None:
    """Start a task; when it is killed at birth, another one does what it was to do.

    Args:
        loop: the running one.
        start: makes the coroutine and its task, and returns the coroutine.
    """
    factory = loop.get_task_factory()
    unborn: list[Life] = []

    def start_again() -> bool:
        for life in unborn:
            life.close()
        bear(loop, start)
        return True

    def make(
        loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Future[Any]:
        life = _born(coroutine, start_again)
        life.send(None)
        if factory is None or _is_eager(factory):
            return asyncio.Task(life, loop=loop, **options)
        return factory(loop, life, **options)

    loop.set_task_factory(make)
    try:
        unborn.append(start())
    finally:
        loop.set_task_factory(factory)


def born(
    loop: asyncio.AbstractEventLoop, coroutine: Life, on_killed: Callable[[], bool]
) -> Life:
    """Return what a task of our own is made from; it is told of a kill at its birth.

    Args:
        loop: the running one.
        coroutine: what the task does.
        on_killed: starts another task that does it, if there can be one.
    """
    life = _born(coroutine, on_killed)
    if not _is_eager(loop.get_task_factory()):
        life.send(None)
    return life


async def _born(coroutine: Life, on_killed: Callable[[], bool]) -> object:
    """Drive a coroutine; tell when the task was killed before its first step.

    A cancel scope that was cancelled so early comes again at the first await, and so
    does a kill when no other task can be started.
    """
    try:
        await _first_step()
    except asyncio.CancelledError:  # noqa: ASYNC103 - another task has its work
        if _is_killed():
            if on_killed():
                coroutine.close()
                return None  # noqa: ASYNC104
            _kill_self()
    except BaseException:  # the loop is gone
        coroutine.close()
        raise
    del on_killed  # it holds what is not needed any more
    try:
        return await coroutine
    except asyncio.CancelledError:
        if _is_killed():
            return None  # noqa: ASYNC104 - it ends, and that is all
        raise


def _kill_self() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def _is_killed() -> bool:
    """Tell whether the current task was cancelled, and by no scope; forget it then."""
    return forget_kill() and anyio.current_effective_deadline() > -inf


@types.coroutine
def _first_step() -> Generator[None]:
    yield


def forget_kill() -> bool:
    """Take back all native cancellations of the current task; tell if there were any."""
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        return False
    while task.uncancel():
        continue
    return True


def _is_eager(factory: object) -> bool:
    """Tell whether a task factory runs a task's first step while it makes it.

    anyio needs to know its tasks before they run, and goes around such a factory too.
    """
    eager = getattr(asyncio, "eager_task_factory", None)  # from Python 3.12
    return eager is not None and getattr(factory, "__code__", None) is eager.__code__
