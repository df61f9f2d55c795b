"""Which options of a step a middleware reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar


MiddlewareT = TypeVar("MiddlewareT", bound=Callable[..., object])


def reads(*options: str) -> Callable[[MiddlewareT], MiddlewareT]:
    """Say which of the decorator's further options a middleware reads.

    It finds them in ``StepContext.kwargs``, whether it says so or not.  When all
    middleware of a pipe says it, an option that nobody reads and that looks like a
    misspelt one (``time_out=3``) is a ``DefinitionError``, and not only a warning.

    ::

        @reads("tag")
        def tagging(func, ctx): ...

        @pipe.step(tag="slow")
    """

    def note(middleware: MiddlewareT) -> MiddlewareT:
        middleware.options = options  # type: ignore[attr-defined]
        return middleware

    return note
