"""Tracebacks of users' errors without the library's own frames above them.

A step's exception passes through the engine, and through tenacity when it is retried,
before a user sees it: a dozen frames stand above the one line that matters.  The frames
below a user's own stay, also those of the library, because they tell what the user called.
"""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

from ..errors import DefinitionError
from ..errors.base import Factual


_ENGINE = frozenset({"justpipe_actors", "tenacity", "anyio", "concurrent"})
"""Packages that stand between a step and the engine."""

_LOOPS = frozenset({"asyncio", "trio", "outcome", "contextlib"})
"""Packages that stand between ``run_sync`` and a step, too."""

ErrorT = TypeVar("ErrorT", bound=BaseException)


def drop_engine_frames(error: ErrorT, *, loops: bool = False) -> ErrorT:
    """Remove the frames of the engine that stand above the first frame of the user.

    An error that the library words itself has no frame of the user, and gets none.  Any
    other keeps all its frames then: they show a defect of the library.

    Args:
        error: changed in place.
        loops: remove the frames of the event loop as well.

    Returns:
        The same error.
    """
    packages = _ENGINE | _LOOPS if loops else _ENGINE
    rest = error.__traceback__
    while rest is not None and _package_of(rest) in packages:
        rest = rest.tb_next
    if rest is not None or isinstance(error, Factual | DefinitionError):
        BaseException.with_traceback(error, rest)  # its class may refuse attributes
    return error


def _package_of(frame: TracebackType) -> str:
    return str(frame.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
