"""Reports the test and the hypothesis example that are about to exceed the time limit.

pytest-timeout prints stacks and leaves by ``os._exit``: with hypothesis nobody would know
which example it was.  So a moment before, the test and its example are written to
standard error, which is printed with the stacks.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from threading import Timer
from typing import Any


MOMENT = 1.0
"""Seconds before the end that it is said."""

_example: Mapping[str, object] = {}
_timers: dict[str, Timer] = {}


def noting(test: Callable[..., Any]) -> Any:
    """Return a function for hypothesis to call instead: it notes the example."""

    def note(example: Mapping[str, object]) -> None:
        global _example
        _example = example

    @functools.wraps(test)
    async def noted_async(*args: Any, **example: Any) -> None:
        note(example)
        await test(*args, **example)

    @functools.wraps(test)
    def noted(*args: Any, **example: Any) -> None:
        note(example)
        test(*args, **example)

    found: Any = noted_async if iscoroutinefunction(test) else noted
    found.is_noting = True
    return found


def words(test: str) -> str:
    """Return the name of a test and the values of its current example."""
    values = ", ".join(f"{name}={value!r}" for name, value in _example.items())
    return f"Overdue: {test}" + (f"\nIts example: {values}" if values else "")


def watch(test: str, seconds: float) -> None:
    """Report a test shortly before its time limit."""
    global _example
    _example = {}
    timer = Timer(
        max(seconds - MOMENT, 0), lambda: sys.stderr.write(f"{words(test)}\n")
    )
    timer.daemon = True
    _timers[test] = timer
    timer.start()


def unwatch(test: str) -> None:
    """Cancel the report, because the test has ended."""
    timer = _timers.pop(test, None)
    if timer is not None:
        timer.cancel()
