"""What a test in this folder can use."""

from __future__ import annotations

import anyio
import pytest
from trio.testing import MockClock

import trio


async def test_this_folder_runs_on_trio(nursery: trio.Nursery) -> None:
    """A test in this folder runs once, on trio, with pytest-trio's fixtures."""
    greeted = trio.Event()

    async def greet() -> None:
        greeted.set()

    nursery.start_soon(greet)
    await greeted.wait()

    assert anyio.get_current_task().name is not None
    assert trio.current_time() > 0


async def test_its_clock_jumps(autojump_clock: MockClock) -> None:
    """With ``autojump_clock`` an hour passes at once."""
    before = trio.current_time()

    await trio.sleep(3600)

    assert trio.current_time() - before == pytest.approx(3600)
    assert trio.current_time() == autojump_clock.current_time()
