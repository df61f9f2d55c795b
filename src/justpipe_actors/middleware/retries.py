"""Whether a step's function is called again when it fails."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

from .. import middleware as shelf
from ..shape import StepContext
from .reading import reads


@reads("retry_wait_min", "retry_wait_max", "retry_reraise")
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
    if not shelf.HAS_TENACITY:
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
    return shelf.retrying.retrying(func, ctx)
