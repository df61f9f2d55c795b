"""What users' code raised: a failure or a cancellation, and the frames that matter.

A cancellation is the engine's own if a cancel scope around the code is cancelled, or if
the owner of the run was cancelled natively.  Any other one comes from the code itself,
for example from awaiting a cancelled future, and is a failure of that code.  Passed on,
it would end the task group silently.

A step's exception passes through the engine, and through tenacity when it is retried,
before a user sees it: a dozen frames stand above the one line that matters.  The frames
below a user's own stay, also those of the library, because they tell what the user called.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import TypeVar

import anyio

from ..errors import DefinitionError, ForeignCancellation
from ..errors.base import Factual


def classify_exception(
    error: BaseException, part: str, is_owner_cancelled: Callable[[], bool]
) -> BaseException | None:
    """Return the failure of user code; None if it is only being cancelled.

    The result is an ``Exception``, except for exceptions such as ``SystemExit``.

    Args:
        error: the exception that the code raised.
        part: name of the step, hook or observer, for the error message.
        is_owner_cancelled: tells whether the owner was cancelled outside all scopes.
    """
    if isinstance(error, Exception):
        return error
    if isinstance(error, BaseExceptionGroup):
        _, failures = error.split(anyio.get_cancelled_exc_class())
        if failures is not None:
            return failures
    elif not isinstance(error, anyio.get_cancelled_exc_class()):
        return error
    if anyio.current_effective_deadline() == -inf or is_owner_cancelled():
        return None
    foreign = ForeignCancellation(part)
    foreign.__cause__ = error
    return foreign


def is_native_cancellation(error: BaseException) -> bool:
    """Tell whether the task was cancelled natively and not by a scope around it.

    Only asyncio has such cancellations.  It delivers one once, so code that replaces it
    by another exception has swallowed it.  A scope delivers its own again at each wait.

    Args:
        error: the exception that is being handled.
    """
    is_cancellation = isinstance(error, anyio.get_cancelled_exc_class())
    return is_cancellation and anyio.current_effective_deadline() > -inf


OWNER_CANCELLED = "The run's owner was cancelled"
"""Reason of a run that ended because its owner was cancelled."""

TASK_CANCELLED = "A task of the run was cancelled from outside"
"""Reason of a run that ended because one of its tasks was cancelled natively."""


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
