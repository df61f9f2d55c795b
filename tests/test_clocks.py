"""The clocks other tests rely on."""

from __future__ import annotations

import time

import anyio
import pytest
from hypothesis import given, strategies as st


@pytest.mark.virtual_time
async def test_an_hour_passes_at_once() -> None:
    """Under virtual time a sleeping program costs nothing and loses nothing."""
    started, virtual = time.monotonic(), anyio.current_time()

    with anyio.move_on_after(3600) as scope:
        await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert anyio.current_time() - virtual == pytest.approx(3600)
    assert time.monotonic() - started < 5


@pytest.mark.virtual_time
async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    """Virtual time visits every deadline, the nearest one first."""
    woken: list[int] = []

    async def sleep(seconds: int) -> None:
        await anyio.sleep(seconds)
        woken.append(seconds)

    async with anyio.create_task_group() as tasks:
        for seconds in (30, 10, 20):
            tasks.start_soon(sleep, seconds)

    assert woken == [10, 20, 30]


@given(st.integers(min_value=1, max_value=1000))
@pytest.mark.virtual_time
async def test_every_example_has_a_working_clock(seconds: int) -> None:
    """A property may sleep in each of its examples."""
    before = anyio.current_time()

    await anyio.sleep(seconds)

    assert anyio.current_time() - before == pytest.approx(seconds)
