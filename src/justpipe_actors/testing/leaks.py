"""Tasks that a block has left behind."""

from __future__ import annotations

import asyncio  # noqa: TID251 - to count its tasks
from collections.abc import Generator
from contextlib import contextmanager

import sniffio

import trio


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
    if sniffio.current_async_library() != "trio":
        return {task: task.get_name() for task in asyncio.all_tasks()}
    found: dict[object, str] = {}
    root = trio.lowlevel.current_root_task()
    queue = [root] if root is not None else []
    while queue:
        task = queue.pop()
        found[task] = task.name
        for nursery in task.child_nurseries:
            queue.extend(nursery.child_tasks)
    return found
