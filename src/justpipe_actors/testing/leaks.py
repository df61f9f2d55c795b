"""Tasks that a block has left behind."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import sniffio

from . import _asyncio_clock as on_asyncio, _trio_clock as on_trio


@contextmanager
def nothing_left() -> Generator[None]:
    """Raise if a block leaves tasks of the event loop behind that it did not find.

    Raises:
        AssertionError: it does; they are named.
    """
    before = tasks_of_loop()
    yield
    left = [name for task, name in tasks_of_loop().items() if task not in before]
    assert not left, f"tasks are left: {', '.join(sorted(left))}"


def tasks_of_loop() -> dict[object, str]:
    """Return all tasks of the current event loop, system tasks included, and their names."""
    if sniffio.current_async_library() == "trio":
        return on_trio.tasks_of_loop()
    return on_asyncio.tasks_of_loop()
