"""The back ends: the only code that depends on which event loop runs.

The loop owns a run that no ``async with`` block owns: as a trio system task, or as an
asyncio task with a strong reference, because asyncio itself keeps only a weak one.
Code for one loop is imported on that loop only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports
from .base import Group as Group, Loop as Loop, current_loop as current_loop


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from ._asyncio import AsyncioLoop as AsyncioLoop
    from ._trio import TrioLoop as TrioLoop
