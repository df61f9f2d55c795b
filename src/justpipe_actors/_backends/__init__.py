"""The back ends: the only code that knows which event loop this is.

A run that nobody's block owns is owned by the loop: a trio system task, or an asyncio task
that is strongly referenced, since asyncio alone keeps only a weak reference.
What is for one loop is imported on that loop only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import lazy_exports
from .base import Group, Loop, current_loop


if TYPE_CHECKING:
    from ._asyncio import AsyncioLoop
    from ._trio import TrioLoop


__all__ = ["AsyncioLoop", "Group", "Loop", "TrioLoop", "current_loop"]

_MODULE_OF = {
    "AsyncioLoop": "justpipe_actors._backends._asyncio",
    "TrioLoop": "justpipe_actors._backends._trio",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF)
