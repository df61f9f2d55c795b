"""What came out of a user's code, and whether it is to blame for it.

A function that raises has failed.  A cancellation is ours when a scope above was
cancelled (a timeout, the run, a supervisor) or when the owner of the host was; it goes
on up.  Any other one is *foreign*: the function awaited something that had been
cancelled, or cancelled its own task, and that is a failure.

trio wraps both into one group when a nursery is cancelled and a child's cleanup fails.
Then the failure is what counts: the cancellation comes again at the next await, the
failure does not.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import anyio

from ..errors import ForeignCancellation


def blamed(
    error: BaseException, who: str, is_owner_cancelled: Callable[[], bool]
) -> BaseException | None:
    """Return what user code is to blame for; None if it is only being cancelled.

    What is returned is an ``Exception``, unless the code asked for more than failing.

    Args:
        error: what came out of it.
        who: the step, hook or observer.
        is_owner_cancelled: whether the owner was cancelled past all scopes.
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
    foreign = ForeignCancellation(who)
    foreign.__cause__ = error
    return foreign
