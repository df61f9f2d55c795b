"""Middleware that wraps a step's function: retries, and call timing.

tenacity is imported with the first step that asks for retries.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from ._util.async_generators import OnStreamEnd, Stream, wrap_stream
from .abc import Middleware
from .errors import PipelineCancelled
from .meta import current_step_notes
from .specs import StepContext


if TYPE_CHECKING:
    import tenacity


HAS_TENACITY = True
"""True if retries are available; read when a function is wrapped, so patchable."""

__all__ = [
    "HAS_TENACITY",
    "Middleware",
    "reads",
    "simple_logging_middleware",
    "tenacity_retry_middleware",
]

MiddlewareT = TypeVar("MiddlewareT", bound=Callable[..., object])


def reads(*options: str) -> Callable[[MiddlewareT], MiddlewareT]:
    """Declare which of the decorator's further options a middleware reads.

    It finds them in ``StepContext.kwargs``, declared or not.  When all
    middleware of a pipe declares them, an unread option that looks like a
    misspelt one (``time_out=3``) is a ``DefinitionError``, and not only a warning.

        @reads("tag")
        def tagging(func, ctx): ...

        @pipe.step(tag="slow")

    Returns:
        A decorator for the middleware.
    """

    def note(middleware: MiddlewareT) -> MiddlewareT:
        middleware.options = options  # type: ignore[attr-defined]
        return middleware

    return note


def retrying(func: Callable[..., Any], ctx: StepContext) -> Callable[..., Any]:
    """Return a function that calls another one again, as ``ctx.retries`` says."""
    again = _retrying_of(ctx)

    @functools.wraps(func)
    async def retried(**arguments: Any) -> Any:
        async def attempt() -> Any:
            _count_try(fresh=False)
            result = func(**arguments)
            return await result if inspect.isawaitable(result) else result

        _count_try(fresh=True)
        return await again.copy()(attempt)

    return retried


def _retrying_of(ctx: StepContext) -> tenacity.AsyncRetrying:
    import tenacity  # noqa: PLC0415 - for steps that ask for retries only

    if isinstance(ctx.retries, dict):
        options: dict[str, Any] = {"reraise": True, **ctx.retries}
    else:
        options = {
            "stop": tenacity.stop_after_attempt(int(ctx.retries) + 1),
            "wait": tenacity.wait_exponential(
                multiplier=1,
                min=ctx.kwargs.get("retry_wait_min", 0.1),
                max=ctx.kwargs.get("retry_wait_max", 10),
            ),
            "reraise": ctx.kwargs.get("retry_reraise", True),
        }
    wanted = options.get("retry") or tenacity.retry_if_exception_type()
    options["retry"] = _unless_cancelled(wanted)
    if options["reraise"]:
        options.setdefault("retry_error_callback", _raise_last_error)
    options.setdefault("sleep", anyio.sleep)
    try:
        return tenacity.AsyncRetrying(**options)
    except TypeError as error:
        msg = f"Step '{ctx.name}': tenacity does not take retries={ctx.retries!r}: {error}."
        raise TypeError(msg) from error


def _unless_cancelled(wanted: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Retry if a predicate says so, but never after a cancellation or an interrupt."""

    async def is_wanted(attempt: tenacity.RetryCallState) -> bool:
        outcome = attempt.outcome
        error = outcome.exception() if outcome else None
        if isinstance(error, PipelineCancelled):
            return False
        if isinstance(error, BaseExceptionGroup) and error.subgroup(PipelineCancelled):
            return False
        if error is not None and not isinstance(error, Exception):
            return False
        verdict = wanted(attempt)
        if await verdict if inspect.isawaitable(verdict) else verdict:
            return True
        if error is not None:
            raise error  # tenacity would return None for an exception that is false
        return False

    return is_wanted


def _raise_last_error(attempt: tenacity.RetryCallState) -> Any:
    """Raise the last try's error, as tenacity does, also if the exception is false."""
    assert attempt.outcome is not None
    error = attempt.outcome.exception()
    if error is None:  # the last try returned a value that was not wanted
        raise attempt.retry_object.retry_error_cls(attempt.outcome)
    raise error


def _count_try(*, fresh: bool) -> None:
    notes = current_step_notes.get(None)
    if notes is not None:
        notes.tries = 0 if fresh else notes.tries + 1


_logger = logging.getLogger("justpipe_actors")


@reads()
def simple_logging_middleware(
    func: Callable[..., Any], ctx: StepContext
) -> Callable[..., Any]:
    """Log at DEBUG how long each call of a step took.

    Args:
        func: the step's function, or the next middleware's.
        ctx: the step and its options.

    Returns:
        The function that is called instead.
    """

    def report(began: float) -> None:
        _logger.debug("Step '%s' took %.4fs", ctx.name, time.perf_counter() - began)

    if inspect.isasyncgenfunction(func):

        async def begin(arguments: dict[str, Any]) -> tuple[Stream, OnStreamEnd]:
            began = time.perf_counter()
            return func(**arguments), lambda _: report(began)

        return wrap_stream(func, begin)

    @functools.wraps(func)
    async def logged(**arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            result = func(**arguments)
            return await result if inspect.isawaitable(result) else result
        finally:
            report(began)

    return logged


@reads("retry_wait_min", "retry_wait_max", "retry_reraise")
def tenacity_retry_middleware(
    func: Callable[..., Any], ctx: StepContext
) -> Callable[..., Any]:
    """Call a failing function again, as ``retries=`` says.

    An int makes up to that many further calls with exponential waits between
    ``retry_wait_min`` (0.1 s) and ``retry_wait_max`` (10 s); a dict goes to tenacity.
    Waiting never blocks the loop, and a cancellation is never retried.

    Args:
        func: the step's function, or the next middleware's.
        ctx: the step and its options.

    Returns:
        The function that is called instead.
    """
    if not ctx.retries:
        return func
    if not HAS_TENACITY:
        warnings.warn(
            f"Step '{ctx.name}' asks for retries but tenacity is not installed.",
            UserWarning,
            stacklevel=2,
        )
        return func
    if inspect.isasyncgenfunction(func):
        warnings.warn(
            f"Streaming step '{ctx.name}' cannot retry automatically: "
            "its tokens are published already. Return Retry() instead.",
            UserWarning,
            stacklevel=2,
        )
        return func
    return retrying(func, ctx)
