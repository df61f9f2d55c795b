"""Tasks that a block has left behind."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import sniffio

from . import _asyncio_clock, _trio_clock


@contextmanager
def nothing_left() -> Generator[None]:
    """Raise if a block leaves tasks of the event loop behind that it did not find.

    Raises:
        AssertionError: it does; they are named.
    """
    before = tasks_of_loop()
    yield
    leaked = [name for task, name in tasks_of_loop().items() if task not in before]
    assert not leaked, f"tasks are left: {', '.join(sorted(leaked))}"


def tasks_of_loop() -> dict[object, str]:
    """Return all tasks of the current event loop, system tasks included, and their names."""
    if sniffio.current_async_library() == "trio":
        return _trio_clock.tasks_of_loop()
    return _asyncio_clock.tasks_of_loop()
