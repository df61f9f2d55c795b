"""A supervisor and its runs belong to one event loop; others get a sentence."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe, Supervisor
from justpipe_actors.errors import OtherLoopError
from justpipe_actors.types import PipelineTerminalStatus


AnyPipe = Pipe[Any, Any]
Call = Callable[[Supervisor, AnyPipe, Any], Awaitable[object]]


async def _add_service(supervisor: Supervisor, pipe: AnyPipe, run: Any) -> None:
    supervisor.add_service("idle", anyio.sleep_forever)


async def _submit_nowait(supervisor: Supervisor, pipe: AnyPipe, run: Any) -> None:
    supervisor.submit_nowait(pipe, {})


async def _cancel_runs(supervisor: Supervisor, pipe: AnyPipe, run: Any) -> None:
    supervisor.cancel_runs()


async def _reject_runs(supervisor: Supervisor, pipe: AnyPipe, run: Any) -> None:
    supervisor.reject_runs()


async def _listen(supervisor: Supervisor, pipe: AnyPipe, run: Any) -> None:
    supervisor.listen(run.run_id)


async def _iterate(supervisor: Supervisor, pipe: AnyPipe, run: Any) -> None:
    async for _ in run:
        pass


CALLS: dict[str, Call] = {
    "submit": lambda supervisor, pipe, run: supervisor.submit(pipe, {}),
    "submit_nowait": _submit_nowait,
    "run": lambda supervisor, pipe, run: supervisor.run(pipe, {}).wait(),
    "drain": lambda supervisor, pipe, run: supervisor.drain(),
    "wait_ready": lambda supervisor, pipe, run: supervisor.wait_ready(),
    "wait_drained": lambda supervisor, pipe, run: supervisor.wait_drained(),
    "asks": lambda supervisor, pipe, run: supervisor.asks(),
    "leave": lambda supervisor, pipe, run: supervisor.__aexit__(None, None, None),
    "add_service": _add_service,
    "cancel_runs": _cancel_runs,
    "reject_runs": _reject_runs,
    "listen": _listen,
    "wait": lambda supervisor, pipe, run: run.wait(),
    "result": lambda supervisor, pipe, run: run.result(),
    "aclose": lambda supervisor, pipe, run: run.aclose(),
    "iterate": _iterate,
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_another_loop_is_refused_and_changes_nothing(
    name: str, backend: str
) -> None:
    """The error is a sentence; the run, the supervisor and the other loop go on."""
    pipe: AnyPipe = Pipe(dict, name="waiting")
    go = anyio.Event()

    @pipe.step
    async def wait(state: dict[str, Any]) -> None:
        await go.wait()

    async with Supervisor(pipe) as supervisor:
        run = await supervisor.submit(pipe, {})
        await anyio.wait_all_tasks_blocked()

        async def call() -> str:
            with pytest.raises(OtherLoopError, match="another event loop"):
                await CALLS[name](supervisor, pipe, run)
            return "went on"

        elsewhere = await anyio.to_thread.run_sync(
            lambda: anyio.run(call, backend=backend)
        )
        health = supervisor.health()
        go.set()
        end = await run.wait()

    assert elsewhere == "went on"
    assert health.ready
    assert end.status is PipelineTerminalStatus.SUCCESS


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_the_block_of_a_run_is_left_in_its_own_loop(backend: str) -> None:
    """Another loop is refused; the block can still be left where it belongs."""
    pipe: AnyPipe = Pipe(dict, name="waiting")
    pipe.step("wait")(lambda: anyio.sleep_forever())
    stack = AsyncExitStack()
    run = await stack.enter_async_context(pipe.run({}))
    await anyio.wait_all_tasks_blocked()

    async def leave() -> None:
        with pytest.raises(OtherLoopError, match="another event loop"):
            await run.__aexit__(None, None, None)

    await anyio.to_thread.run_sync(lambda: anyio.run(leave, backend=backend))
    assert run.snapshot().running
    await stack.aclose()

    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CLIENT_CLOSED


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", ["wait_ready", "wait_drained"])
async def test_a_task_of_another_loop_that_waits_for_the_supervisor_is_told(
    name: str, backend: str
) -> None:
    """It began to wait when the supervisor had no loop yet, and does not wait for ever."""
    supervisor = Supervisor()
    waits, is_told = threading.Event(), threading.Event()

    async def wait_elsewhere() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_refusal)
            await anyio.wait_all_tasks_blocked()
            waits.set()

    async def expect_refusal() -> None:
        with pytest.raises(OtherLoopError, match="another event loop"):
            await getattr(supervisor, name)()
        is_told.set()

    async def open_and_drain() -> None:
        await anyio.to_thread.run_sync(waits.wait)
        async with supervisor:
            await supervisor.drain()
            await anyio.to_thread.run_sync(is_told.wait)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(open_and_drain)
        await anyio.to_thread.run_sync(
            lambda: anyio.run(wait_elsewhere, backend=backend)
        )
