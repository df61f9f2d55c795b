"""A run's block and trio's rule that a nursery is left in the task that entered it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import trio
from justpipe_actors import Pipe, Supervisor


pipe: Pipe[Any, Any] = Pipe(dict, name="p")


@pipe.step
async def wait(state: dict[str, Any]) -> None:
    """Wait until the run is stopped."""
    await trio.sleep_forever()


async def leave_elsewhere(stack: AsyncExitStack) -> BaseException | None:
    """Leave in another task, and return what that raises."""
    raised: list[BaseException] = []

    async def leave() -> None:
        try:
            await stack.aclose()
        except RuntimeError as error:
            raised.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
    return raised[0] if raised else None


async def test_another_task_is_told_that_it_cannot_leave_a_plain_run() -> None:
    """The run has ended, and the error is a sentence with the remedy."""
    stack = AsyncExitStack()
    run = await stack.enter_async_context(pipe.run({}))

    error = await leave_elsewhere(stack)
    await run.__aexit__(None, None, None)  # here it can be left

    assert "left in another one" in str(error)
    assert "open Supervisor" in str(error)
    assert run.end is not None
    assert run.end.status.value == "client_closed"


async def test_another_task_may_leave_a_run_of_a_supervisor() -> None:
    """Its tasks belong to the supervisor, so its block has no nursery."""
    stack = AsyncExitStack()
    async with Supervisor(pipe):
        run = await stack.enter_async_context(pipe.run({}))

        assert await leave_elsewhere(stack) is None

    assert run.end is not None
    assert run.end.status.value == "client_closed"
