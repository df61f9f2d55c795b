"""Where the step already is: on the event loop's own thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar


T = TypeVar("T")


class HerePlacement:
    """Run each call at once and hold the loop for as long as it takes."""

    name = "here"
    is_remote = False

    async def run_sync(self, call: Callable[[], T], /) -> T:
        """Run a call on the spot and return its result."""
        return call()
