"""A run ends with its block, whichever task enters and leaves the block."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._backends import current_loop
from justpipe_actors.errors import RunInterrupted, RunRejected
from justpipe_actors.types import PipelineTerminalStatus


AnyPipe = Pipe[Any, Any]


def waiting(ended: list[str]) -> AnyPipe:
    """Return a pipe of one step that waits until it is cancelled."""
    pipe: AnyPipe = Pipe(dict, name="waiting")

    @pipe.step
    async def wait(state: dict[str, Any]) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("wait")

    return pipe


async def in_a_task(func: Any, *args: Any) -> Any:
    """Call a function in a task that ends with the call."""
    results: list[Any] = []

    async def call() -> None:
        results.append(await func(*args))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
    return results[0]


async def test_one_task_enters_and_another_leaves() -> None:
    """Fixtures and exit stacks do so; the run works in between, and ends with the block."""
    ended: list[str] = []
    stack = AsyncExitStack()

    run = await in_a_task(stack.enter_async_context, waiting(ended).run({}))
    await anyio.wait_all_tasks_blocked()
    assert ended == []
    await in_a_task(stack.aclose)

    assert ended == ["wait"]
    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CLIENT_CLOSED


async def test_another_task_may_leave_a_run_of_a_supervisor() -> None:
    """The run belongs to the supervisor, and ends when its block is left."""
    ended: list[str] = []
    stack = AsyncExitStack()

    async with Supervisor():
        run = await stack.enter_async_context(waiting(ended).run({}))
        await anyio.wait_all_tasks_blocked()
        await in_a_task(stack.aclose)

    assert ended == ["wait"]
    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CLIENT_CLOSED


async def test_another_task_may_wait_for_the_result() -> None:
    """The task that entered the block may have ended by then."""
    pipe: AnyPipe = Pipe(dict, name="adding")
    pipe.step("add")(lambda state: state.update(n=1))
    stack = AsyncExitStack()

    run = await in_a_task(stack.enter_async_context, pipe.run({}))
    assert await in_a_task(run.result) == {"n": 1}
    await stack.aclose()


async def test_a_generator_may_yield_inside_the_block() -> None:
    """Its consumer breaks out of it, and closes it in another task."""
    ended: list[str] = []

    async def events() -> AsyncIterator[str]:
        async with waiting(ended).run({}) as run:
            async for event in run:
                yield event.type.value

    generator = events()
    assert await in_a_task(generator.__anext__) == "start"
    await in_a_task(generator.aclose)  # type: ignore[attr-defined]

    assert ended == ["wait"]


async def test_a_cancelled_block_ends_the_run() -> None:
    """The run is cancelled with its block, and its cleanup is waited for."""
    ended: list[str] = []

    with anyio.CancelScope() as scope:
        async with waiting(ended).run({}) as run:
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.sleep_forever()

    assert ended == ["wait"]
    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CANCELLED


async def test_the_error_of_the_body_is_raised_bare() -> None:
    """It is not in a group, and the run has ended before."""
    ended: list[str] = []

    with pytest.raises(KeyError, match="mine"):
        async with waiting(ended).run({}):
            await anyio.wait_all_tasks_blocked()
            raise KeyError("mine")

    assert ended == ["wait"]


async def test_a_block_that_is_entered_and_never_left() -> None:
    """A stream that is dropped inside its block ends its run, with a warning."""
    ended: list[str] = []
    run = waiting(ended).run({})
    await run.__aenter__()
    await anyio.wait_all_tasks_blocked()

    with pytest.warns(ResourceWarning, match="'waiting' was dropped before its end"):
        del run
        gc.collect()
    while not ended:
        await anyio.lowlevel.checkpoint()


async def test_a_run_that_its_loop_refused_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A loop that ends starts no run: to wait for the run again, or to close it, returns."""

    def refuse(*_: object) -> None:
        reason = "the event loop is shutting down"
        raise RunRejected(reason)

    monkeypatch.setattr(type(current_loop()), "spawn", refuse)
    run = waiting([]).run({})
    with pytest.raises(RunRejected, match="shutting down"):
        await run.wait()

    await run.aclose()
    with pytest.raises(RunInterrupted):
        await run.wait()
    assert [event async for event in run] == []
