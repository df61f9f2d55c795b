"""What happens to a step while it waits inside its function.

The step releases its ``concurrency=`` slot, its timeout is paused, and its run may be
parked or released, because no user code is at work.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from math import inf

import anyio

from ..errors import DuplicateKey
from ..waiting import Duration
from .invocation import Invocation


def use_key(invocation: Invocation, function: str, key: str) -> str:
    """Register the key of a function call; return the key's full name.

    Raises:
        DuplicateKey: the invocation has used the key before.
    """
    name = key if invocation.notes.open else f"handler:{key}"
    call = (invocation.notes.tries, invocation.notes.open)
    if invocation.used_keys is None or invocation.used_keys[0] != call:
        invocation.used_keys = (call, set())
    used = invocation.used_keys[1]
    if name in used:
        raise DuplicateKey(invocation.node.name, function, key)
    used.add(name)
    return name


def seconds_of(timeout: Duration | None) -> float | None:
    """Return a duration in seconds; None if there is none."""
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    return timeout


def seconds_until(moment: Duration | datetime, now: float) -> float:
    """Return the seconds from ``now`` until a time.

    Raises:
        ValueError: the time has no time zone.
    """
    if isinstance(moment, datetime):
        if moment.utcoffset() is None:
            msg = f"sleep_until needs a time zone, {moment.isoformat()} has none."
            raise ValueError(msg)
        return max(moment.timestamp() - now, 0.0)
    return max(seconds_of(moment) or 0.0, 0.0)


@contextmanager
def standing_still(invocation: Invocation) -> Generator[None]:
    """Pause the step's timeout, and mark that no user code is running."""
    limit, now = invocation.limit, invocation.run_state.system.now
    left = inf if limit is None else limit.deadline - now()
    if limit is not None:
        limit.deadline = inf
    invocation.is_resting = True
    journal = invocation.run_state.journal
    if journal is not None:
        journal.stream.check_rest()
    try:
        yield
    finally:
        invocation.is_resting = False
        if limit is not None:
            limit.deadline = now() + left


async def wait_without_slot(invocation: Invocation, over: anyio.Event) -> None:
    """Wait without the step's slot; queue for a slot afterwards."""
    actor = invocation.actor
    actor.release_slot()
    try:
        await over.wait()
    except BaseException:
        actor.busy += 1  # its cleanup does not queue for a slot
        raise
    await actor.reacquire_slot()
