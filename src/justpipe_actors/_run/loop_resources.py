"""Resources that belong to the event loop: placements of runs without a supervisor.

They are opened by the first run that needs them, shared by all runs of the loop, and
closed when the loop ends.  Each lives in a task of the loop's own (a trio system task,
or an asyncio task that is strongly referenced).  One more such task closes them when the
loop cancels it at its end; on asyncio the others are cancelled at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel

from .._backends import current_loop
from .._supervision.resource_pool import ResourcePool


_of_loop: anyio.lowlevel.RunVar[ResourcePool | None] = anyio.lowlevel.RunVar(
    "justpipe_actors_loop_resources", None
)


def loop_resources() -> ResourcePool:
    """Return the resources of the running event loop."""
    found = _of_loop.get()
    if found is None:
        loop = current_loop()

        def spawn(
            func: Callable[..., Coroutine[Any, Any, None]], *args: object
        ) -> None:
            loop.spawn(partial(func, *args))

        found = ResourcePool(spawn, loop.now, ends_by_cancellation=True)
        _of_loop.set(found)
        loop.spawn(partial(_keep, found))
    return found


async def _keep(resources: ResourcePool) -> None:
    """Close the resources when the loop ends: it cancels this task then."""
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await resources.aclose()
