"""Runs whose tasks are all cancelled natively at some turn of the loop.

Only asyncio lets anybody do that.  Whatever was interrupted, the stream ends: with FINISH,
or by telling that there is none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

import anyio
import pytest

from justpipe_actors import EventType, Pipe, Supervisor
from justpipe_actors.errors import DispatcherTaskKilled, RunInterrupted
from justpipe_actors.observability import Observer


AnyPipe = Pipe[Any, Any]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Silence the log: hundreds of dispatcher tasks are cancelled here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class ObserverTask(Observer):
    """An observer that takes some time for each event."""

    async def on_event(self, *args: Any) -> None:
        await asyncio.sleep(0)

    async def on_pipeline_end(self, *args: Any) -> None:
        await asyncio.sleep(0)


async def pause() -> None:
    """Let other tasks run."""
    await asyncio.sleep(0)


def built() -> AnyPipe:
    """Return a pipe with a map, a join with a timeout, and observers."""
    pipe: AnyPipe = Pipe(None, queue_size=2, allow_multi_root=True)
    pipe.on_startup(pause)
    pipe.on_shutdown(pause)
    pipe.add_observer(ObserverTask())
    pipe.map("m", each="w", to="j")(lambda: range(3))

    @pipe.step
    async def w(item: int) -> None:
        try:
            await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)

    pipe.step("b", to="j")(pause)
    pipe.step("j", barrier_timeout=100)(pause)
    return pipe


class Killer:
    """Cancels every task of a run natively at one turn of the loop, or at several in a row."""

    def __init__(self, at: range) -> None:
        self.at = at
        self.turn = 0
        self.spared = asyncio.all_tasks()
        self.is_over = False

    def tick(self) -> None:
        self.turn += 1
        if self.turn in self.at:
            for task in asyncio.all_tasks() - self.spared:
                task.cancel()
        if not self.is_over:
            asyncio.get_running_loop().call_soon(self.tick)


async def run_and_kill(at: range, *, is_block: bool) -> bool:
    """Cancel a run's tasks, check that it ends, and tell whether it had ended before."""
    killer = Killer(at)
    killer.tick()
    last: EventType | None = None
    run = built().run(None)
    try:
        if is_block:
            async with run:
                async for event in run:
                    last = event.type
        else:
            async for event in run:
                last = event.type
    except (DispatcherTaskKilled, RunInterrupted):
        pass
    else:
        assert last is EventType.FINISH
    killer.is_over = True
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == killer.spared
    return killer.turn < at.start


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kills", [1, 2, 3])
@pytest.mark.parametrize("is_block", [True, False], ids=["block", "detached"])
def test_a_natively_cancelled_run_ends(kills: int, is_block: bool) -> None:
    """No task is left, and the consumer gets FINISH or an error that says why there is none."""
    for turn in count(1):
        at = range(turn, turn + 2 * kills, 2)
        if asyncio.run(run_and_kill(at, is_block=is_block)):
            break
    assert turn > 20


BLOCKS = ["run", "hosted run", "supervisor"]


@asynccontextmanager
async def opened(block: str, pipe: AnyPipe) -> AsyncIterator[None]:
    """Open a block in which a run of the pipe is at work."""
    async with AsyncExitStack() as stack:
        if block == "run":
            await stack.enter_async_context(pipe.run(None))
        else:
            supervisor = await stack.enter_async_context(Supervisor(pipe))
            if block == "supervisor":
                await supervisor.submit(pipe, None)
            else:
                await stack.enter_async_context(pipe.run(None))
        yield


async def fail_and_be_cancelled(block: str, *, natively: bool) -> None:
    """Fail in a block, and be cancelled while the block waits for the run's cleanup."""
    works, cleans, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()
    scope = anyio.CancelScope()
    pipe: AnyPipe = Pipe(None, name="cleaning")

    @pipe.step
    async def work() -> None:
        try:
            works.set()
            await asyncio.sleep(3600)
        finally:
            with anyio.CancelScope(shield=True):
                cleans.set()
                await may_end.wait()

    async def body() -> None:
        with scope:
            async with opened(block, pipe):
                await works.wait()
                raise ValueError("of the body")

    task = asyncio.create_task(body())
    await cleans.wait()
    if natively:
        task.cancel()
    else:
        scope.cancel()
    await asyncio.sleep(0)
    may_end.set()
    await task


@pytest.mark.parametrize("block", BLOCKS)
def test_the_error_of_a_body_does_not_hide_a_native_cancellation(block: str) -> None:
    """asyncio delivers it once; a block that raised its body's error would swallow it."""
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(fail_and_be_cancelled(block, natively=True))


@pytest.mark.parametrize("block", BLOCKS)
def test_the_error_of_a_body_is_raised_although_a_scope_is_cancelled(
    block: str,
) -> None:
    """A scope delivers its cancellation again at each wait, so nothing is lost."""
    with pytest.raises(ValueError, match="of the body"):
        asyncio.run(fail_and_be_cancelled(block, natively=False))
