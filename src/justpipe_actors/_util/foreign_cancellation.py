"""Tell what users' code raised: a failure, our cancellation, or one from elsewhere.

A cancellation is the engine's own if a cancel scope around the code is cancelled, or if
the owner of the run was cancelled natively.  Any other one comes from the code itself,
for example from awaiting a cancelled future, and is a failure of that code.  Passed on,
it would end the task group silently.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import anyio

from ..errors import ForeignCancellation


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


OWNER_CANCELLED = "The run's owner was cancelled"
"""Reason of a run that ended because its owner was cancelled."""

TASK_CANCELLED = "A task of the run was cancelled from outside"
"""Reason of a run that ended because one of its tasks was cancelled natively."""
