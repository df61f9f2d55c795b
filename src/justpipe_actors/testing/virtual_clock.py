"""Virtual time: event loops with a clock that jumps as soon as every task sleeps.

``virtual_time`` returns keyword arguments for ``anyio.run``, a blocking portal or
Starlette's ``TestClient``::

    anyio.run(main, **virtual_time("trio"))

The clock jumps only when no task is runnable and no worker thread is busy, because the
thread's result may make a task runnable.  When no task, timer or thread can make
progress, the program would hang; the loop then raises ``Deadlock`` with a list of the
waiting tasks and the lines that they wait in.

A thread that the loop does not know may still wake the loop.  If there are such
threads, the loop waits one second of real time before it raises.  A loop outside the
main thread serves calls from other threads and never raises ``Deadlock``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, Literal, TypedDict, TypeVar

import anyio
import attrs
import sniffio
import trio.testing

from . import (
    _asyncio_clock,
    _trio_clock,
    deadlocks,
)
from .deadlocks import DeadlockDetector, watched


T = TypeVar("T")


Backend = Literal["asyncio", "trio"]


class BackendOptions(TypedDict):
    """Keyword arguments of ``anyio.run`` and similar functions."""

    backend: Backend
    backend_options: dict[str, Any]
    """Options of anyio's backend."""


def virtual_time(
    backend: Backend | str = "trio", *, horizon: float = deadlocks.YEAR
) -> BackendOptions:
    """Return the arguments that make ``anyio.run`` use a clock that jumps.

    The options are valid for one loop only.  For anyio's pytest plugin, a fixture
    ``anyio_backend`` returns ``tuple(virtual_time("trio").values())``.

    Args:
        backend: ``"asyncio"`` or ``"trio"``.
        horizon: virtual seconds after which a program with no activity but timers
            counts as deadlocked.

    Raises:
        ValueError: there is no such backend.

    Examples:
        >>> import anyio
        >>> async def wait_a_day():
        ...     begin = anyio.current_time()
        ...     await anyio.sleep(86_400)
        ...     return anyio.current_time() - begin
        >>> anyio.run(wait_a_day, **virtual_time("trio"))
        86400.0
    """
    return virtual_time_with_steps(backend, DeadlockDetector(horizon), None)


def virtual_time_with_steps(
    backend: Backend | str,
    detector: DeadlockDetector,
    on_step: Callable[[], None] | None,
) -> BackendOptions:
    """Return the options of a loop with a virtual clock and a callback for its steps.

    Args:
        backend: ``"asyncio"`` or ``"trio"``.
        detector: notices a standstill.
        on_step: called before every step of a task, or every callback on asyncio.

    Raises:
        ValueError: there is no such backend.
    """
    if backend == "asyncio":
        options = {
            "loop_factory": lambda: _asyncio_clock.AutojumpLoop(detector, on_step)
        }
        return {"backend": "asyncio", "backend_options": options}
    if backend != "trio":
        msg = f"There is no backend {backend!r}; use 'asyncio' or 'trio'."
        raise ValueError(msg)
    clock = trio.testing.MockClock(autojump_threshold=0)
    instrument = _trio_clock.AutojumpInstrument(clock, detector, on_step)
    trio_options: dict[str, Any] = {"clock": clock, "instruments": [instrument]}
    return {"backend": "trio", "backend_options": trio_options}


@attrs.frozen
class VirtualLoop:
    """An event loop with a clock that jumps."""

    backend: Backend

    def run(self, func: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run a coroutine function in a loop of its own and return its result.

        Raises:
            Deadlock: no task, timer or thread could make progress.
        """

        async def main() -> T:
            with watched():
                return await func(*args)
            raise AssertionError  # the block ends or raises

        return anyio.run(main, **virtual_time(self.backend))


@contextmanager
def nothing_left() -> Generator[None]:
    """Raise if tasks that were started in the block are still alive after it.

    Returns:
        The block.

    Raises:
        AssertionError: there are such tasks; the message names them.
    """
    before = tasks_of_loop()
    yield
    leaked = [name for task, name in tasks_of_loop().items() if task not in before]
    assert not leaked, f"tasks are left: {', '.join(sorted(leaked))}"


def tasks_of_loop() -> dict[object, str]:
    """Return all tasks of the current event loop, system tasks included, and their names."""
    if sniffio.current_async_library() == "trio":
        return _trio_clock.tasks_of_loop()
    return _asyncio_clock.tasks_of_loop()
