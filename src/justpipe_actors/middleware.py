"""What can be wrapped around a step's function."""

from __future__ import annotations

import functools
import inspect
import logging
import time
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import tenacity

from .abc import Middleware
from .errors import PipelineCancelled
from .meta import current_step_notes
from .shape import StepContext


HAS_TENACITY = True
"""Whether retries can be had; read when a function is wrapped, so it can be patched."""

__all__ = [
    "HAS_TENACITY",
    "Middleware",
    "simple_logging_middleware",
    "tenacity_retry_middleware",
]

_logger = logging.getLogger("justpipe_actors")


def tenacity_retry_middleware(
    func: Callable[..., Any], ctx: StepContext
) -> Callable[..., Any]:
    """Call a failing function again, as ``retries=`` says.

    An int makes up to that many further calls with exponential waits between
    ``retry_wait_min`` (0.1 s) and ``retry_wait_max`` (10 s); a dict goes to tenacity.
    Waiting never blocks the loop, and a cancellation is never retried.
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
            "its tokens are out already. Answer Retry() instead.",
            UserWarning,
            stacklevel=2,
        )
        return func
    options = _tenacity_options(ctx)
    return _retrying(func, tenacity.AsyncRetrying(**options))


def _tenacity_options(ctx: StepContext) -> dict[str, Any]:
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
    options.setdefault("sleep", anyio.sleep)
    return options


def _unless_cancelled(wanted: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Ask a predicate whether to retry, except after what nobody may retry."""

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
        return bool(await verdict if inspect.isawaitable(verdict) else verdict)

    return is_wanted


def _retrying(func: Callable[..., Any], retrying: Any) -> Callable[..., Any]:
    @functools.wraps(func)
    async def retried(**arguments: Any) -> Any:
        async def attempt() -> Any:
            _count_try(fresh=False)
            result = func(**arguments)
            return await result if inspect.isawaitable(result) else result

        _count_try(fresh=True)
        return await retrying.copy()(attempt)

    return retried


def _count_try(*, fresh: bool) -> None:
    notes = current_step_notes.get(None)
    if notes is not None:
        notes.tries = 0 if fresh else notes.tries + 1


def simple_logging_middleware(
    func: Callable[..., Any], ctx: StepContext
) -> Callable[..., Any]:
    """Log at DEBUG how long each call of a step took."""

    def report(began: float) -> None:
        _logger.debug(f"Step '{ctx.name}' took {time.perf_counter() - began:.4f}s")  # noqa: G004

    if inspect.isasyncgenfunction(func):
        return _logged_stream(func, report)

    @functools.wraps(func)
    async def logged(**arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            result = func(**arguments)
            return await result if inspect.isawaitable(result) else result
        finally:
            report(began)

    return logged


def _logged_stream(
    func: Callable[..., Any], report: Callable[[float], None]
) -> Callable[..., Any]:
    @functools.wraps(func)
    async def logged(**arguments: Any) -> AsyncIterator[Any]:
        began = time.perf_counter()
        items = func(**arguments)
        try:
            item = await anext(items)
            while True:
                # As `yield from` would: what is thrown in belongs to the step, whose
                # own cancel scopes may be open around its yield.
                try:
                    yield item
                except GeneratorExit:
                    raise
                except BaseException as error:  # noqa: BLE001, ASYNC103 - thrown on
                    item = await items.athrow(error)  # noqa: ASYNC102
                else:
                    item = await anext(items)
        except StopAsyncIteration:
            return
        finally:
            report(began)
            await items.aclose()  # noqa: ASYNC102 - its cleanup shields itself

    return logged
