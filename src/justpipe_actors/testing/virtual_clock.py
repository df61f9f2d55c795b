"""Time that costs nothing: loops whose clock jumps as soon as every task sleeps.

``virtual_time`` returns what ``anyio.run`` wants to know, and so do a blocking portal
and Starlette's ``TestClient``::

    anyio.run(main, **virtual_time("trio"))

A clock jumps only when nothing else can happen.  It does not while a worker thread is
busy: what the thread brings back comes first.  And when nothing can happen at all, no
task, no timer, no thread, the program would hang; that is a ``Deadlock``, and it is
raised with a list of who waits for what.

What is not known to the loop, a thread of the program's own for instance, may still wake
it.  So when there are such threads, a second of real time has to pass first; and a loop
outside the main thread, which others call into, is never called deadlocked.
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
    """What ``anyio.run`` and its kin take besides a function."""

    backend: Backend
    """The event loop."""
    backend_options: dict[str, Any]
    """Its options."""


def virtual_time(
    backend: Backend | str = "trio", *, horizon: float = deadlocks.YEAR
) -> BackendOptions:
    """Return the arguments that make ``anyio.run`` use a clock that jumps.

    The options are good for one loop.  For anyio's pytest plugin, a fixture
    ``anyio_backend`` returns ``tuple(virtual_time("trio").values())``.

    Args:
        backend: ``"asyncio"`` or ``"trio"``.
        horizon: virtual seconds after which a program in which only timers go on
            counts as deadlocked.

    Raises:
        ValueError: there is no such backend.
    """
    return virtual_time_with_steps(backend, DeadlockDetector(horizon), None)


def virtual_time_with_steps(
    backend: Backend | str,
    detector: DeadlockDetector,
    on_step: Callable[[], None] | None,
) -> BackendOptions:
    """Return the options of a clock that jumps and of a loop that tells its steps.

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
    """One of the two event loops, with a clock that jumps."""

    backend: Backend
    """Which one."""

    def run(self, func: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run a coroutine function in a loop of its own and return its result.

        Raises:
            Deadlock: nothing could happen any more.
        """

        async def main() -> T:
            with watched():
                return await func(*args)
            raise AssertionError  # the block ends or raises

        return anyio.run(main, **virtual_time(self.backend))


@contextmanager
def nothing_left() -> Generator[None]:
    """Raise if a block leaves tasks of the event loop behind that it did not find.

    Raises:
        AssertionError: it does; they are named.
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
