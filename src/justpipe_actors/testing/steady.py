"""Everything that varies between two runs of the same thing, held still.

trio shuffles its tasks on purpose, and offers no public way not to.  Two private names
are replaced while a schedule runs: the flag that makes it sort a batch of tasks by age
first, and the source of its shuffling.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import trio


class _InOrder:
    """In place of trio's random numbers: tasks run in the order of their age."""

    def shuffle(self, batch: list[Any]) -> None:
        batch.reverse()  # trio takes them from the end

    def random(self) -> float:
        return 0.0

    def uniform(self, low: float, high: float) -> float:
        return low


@contextmanager
def steady(seed: object = 0) -> Generator[None]:
    """Let trio schedule in order and ``random`` begin at the same place, for a while.

    Raises:
        RuntimeError: this version of trio is not known.
    """
    core: Any = trio._core._run  # noqa: SLF001 - there is no public way
    names = ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r")
    if not all(hasattr(core, name) for name in names):
        msg = f"trio {trio.__version__} hides its scheduler; use backend='asyncio'."
        raise RuntimeError(msg)
    before = {name: getattr(core, name) for name in names}
    numbers = random.getstate()
    random.seed(str(seed))
    core._ALLOW_DETERMINISTIC_SCHEDULING, core._r = True, _InOrder()  # noqa: SLF001
    try:
        yield
    finally:
        random.setstate(numbers)
        for name, value in before.items():
            setattr(core, name, value)
