"""The back ends: the only code that knows which event loop this is.

A run that nobody's block owns is owned by the loop: a trio system task, or an asyncio task
that is strongly referenced, since asyncio alone keeps only a weak reference.
What is for one loop is imported on that loop only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports
from .base import Group as Group, Loop as Loop, current_loop as current_loop


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from ._asyncio import AsyncioLoop as AsyncioLoop
    from ._trio import TrioLoop as TrioLoop
