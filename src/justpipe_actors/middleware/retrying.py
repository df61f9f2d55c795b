"""Calling a failing function again, by tenacity."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import anyio
import tenacity

from ..errors import PipelineCancelled
from ..meta import current_step_notes
from ..shape import StepContext


def retrying(func: Callable[..., Any], ctx: StepContext) -> Callable[..., Any]:
    """Return a function that calls another one again, as ``ctx.retries`` says."""
    again = tenacity.AsyncRetrying(**_tenacity_options(ctx))

    @functools.wraps(func)
    async def retried(**arguments: Any) -> Any:
        async def attempt() -> Any:
            _count_try(fresh=False)
            result = func(**arguments)
            return await result if inspect.isawaitable(result) else result

        _count_try(fresh=True)
        return await again.copy()(attempt)

    return retried


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


def _count_try(*, fresh: bool) -> None:
    notes = current_step_notes.get(None)
    if notes is not None:
        notes.tries = 0 if fresh else notes.tries + 1
