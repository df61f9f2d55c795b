"""The placement on the event loop's own thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar


T = TypeVar("T")


class HerePlacement:
    """Run each call at once; the call blocks the event loop."""

    name = "here"
    is_remote = False

    async def run_sync(self, call: Callable[[], T], /) -> T:
        """Run a call in the current task and return its result."""
        return call()
