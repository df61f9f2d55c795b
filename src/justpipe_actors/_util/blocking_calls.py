"""Log a warning when a hook, an observer or a resource holds the event loop for long.

``watch`` resumes a coroutine by itself and measures each part from one wait to the next,
without a task or a thread.  The functions of steps have another driver
(``_engine/user_code.py``), because it has to run each part in the context variables of
the invocation and with Ctrl-C enabled; what is watched here runs in the context of the
task that awaits it.  Both word their warnings here.
"""

from __future__ import annotations

import logging
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from time import monotonic
from types import CoroutineType
from typing import Any, TypeVar, cast

from .callables import (
    definition_of,
    is_async_generator_function,
    is_coroutine_function,
    unwrap_function,
)


BLOCKING_LIMIT = 1.0
"""Seconds that a function may hold the event loop without a warning."""

ResultT = TypeVar("ResultT")

_logger = logging.getLogger("justpipe_actors.steps")


class BlockingReport:
    """Warns, once, that one function of the user holds the event loop."""

    __slots__ = ("coroutine", "extra", "func", "is_given", "subject")

    def __init__(self, subject: str, func: object, **extra: object) -> None:
        """Say what the log is to name.

        Args:
            subject: what the function is, and its name.
            func: the function.
            extra: attributes of the log record.
        """
        self.subject, self.func, self.extra = subject, func, extra
        self.coroutine: object = None
        """The coroutine that ``watch`` drives."""
        self.is_given = False
        """Whether the warning was logged."""

    def call(self, func: Callable[..., ResultT], *args: object) -> ResultT:
        """Call a function that may hold the event loop."""
        began = monotonic()
        try:
            return func(*args)
        finally:
            self.check(began)

    def check(self, began: float) -> None:
        """Warn if too much time has passed since ``began``; in seconds of ``monotonic``."""
        seconds = monotonic() - began
        if seconds > BLOCKING_LIMIT and not self.is_given:
            self.is_given = True
            subject = self.subject + definition_of(self.func)
            log_blocking(
                subject, seconds, self.coroutine, _remedy(self.func), self.extra
            )


def _remedy(func: object) -> str:
    """Return what helps a function that has no ``placement``."""
    inner = unwrap_function(func)
    if is_coroutine_function(inner) or is_async_generator_function(inner):
        return "Call what blocks with anyio.to_thread.run_sync()."
    return "Make it async, and call what blocks with anyio.to_thread.run_sync()."


def log_blocking(
    subject: str,
    seconds: float,
    coroutine: object,
    remedy: str,
    extra: dict[str, object],
) -> None:
    """Log that a function held the event loop, with the wait that came after."""
    # Imported here, because few runs have to look for a line.
    from .await_chain import format_user_line  # noqa: PLC0415

    line = None if coroutine is None else format_user_line(coroutine)
    _logger.warning(
        "%s held the event loop for %.1f s%s, and nothing else ran meanwhile. %s",
        subject,
        seconds,
        "" if line is None else f", before {line}",
        remedy,
        extra=extra,
    )


def watch(awaitable: Awaitable[ResultT], report: BlockingReport) -> Awaitable[ResultT]:
    """Await something, and warn if it holds the event loop from one wait to the next."""
    coroutine: Coroutine[Any, Any, ResultT] = (
        awaitable if type(awaitable) is CoroutineType else _await(awaitable)
    )
    report.coroutine = coroutine
    return _drive(coroutine, report)


async def _await(awaitable: Awaitable[ResultT]) -> ResultT:
    return await awaitable


@types.coroutine
def _drive(
    coroutine: Coroutine[Any, Any, ResultT], report: BlockingReport
) -> Generator[Any, Any, ResultT]:
    resume: Callable[[Any], Any] = coroutine.send
    answer: Any = None
    try:
        while True:
            began = monotonic()
            try:
                trap = resume(answer)
            finally:
                answer = None  # else an error's traceback refers to the error
                report.check(began)
            try:
                resume, answer = coroutine.send, (yield trap)
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001, ASYNC103 - thrown on into the coroutine
                resume, answer = coroutine.throw, error
    except StopIteration as stop:
        return cast("ResultT", stop.value)
    finally:
        report.coroutine = None
