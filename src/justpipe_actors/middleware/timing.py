"""How long each call of a step takes."""

from __future__ import annotations

import functools
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any

from ..relay import End, Items, relaying
from ..shape import StepContext
from .reading import reads


_logger = logging.getLogger("justpipe_actors")


@reads()
def simple_logging_middleware(
    func: Callable[..., Any], ctx: StepContext
) -> Callable[..., Any]:
    """Log at DEBUG how long each call of a step took."""

    def report(began: float) -> None:
        _logger.debug(f"Step '{ctx.name}' took {time.perf_counter() - began:.4f}s")  # noqa: G004

    if inspect.isasyncgenfunction(func):

        async def begin(arguments: dict[str, Any]) -> tuple[Items, End]:
            began = time.perf_counter()
            return func(**arguments), lambda _: report(began)

        return relaying(func, begin)

    @functools.wraps(func)
    async def logged(**arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            result = func(**arguments)
            return await result if inspect.isawaitable(result) else result
        finally:
            report(began)

    return logged
