"""A supervisor lives as long as its block, whichever task enters and leaves the block."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any

import anyio
import pytest

from justpipe_actors import EventType, Pipe, Supervisor
from justpipe_actors.errors import OtherLoopError, RestartIntensityExceeded
from justpipe_actors.types import PipelineTerminalStatus


AnyPipe = Pipe[Any, Any]


def counting() -> AnyPipe:
    """Return a pipe of one step."""
    pipe: AnyPipe = Pipe(dict, name="counting")
    pipe.step("count")(lambda state: state.update(n=state.get("n", 0) + 1))
    return pipe


async def test_one_task_enters_and_another_leaves() -> None:
    """Fixtures and exit stacks do this; runs work in between, and nothing is left."""
    pipe = counting()
    closed: list[str] = []
    supervisor = Supervisor(pipe)
    stack = AsyncExitStack()
    state: dict[str, Any] = {}

    async def enter() -> None:
        await stack.enter_async_context(supervisor)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
    supervisor.add_service("log", _log_end(closed))
    await supervisor.run(pipe, state).wait()
    await anyio.wait_all_tasks_blocked()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stack.aclose)

    assert state == {"n": 1}
    assert closed == ["closed"]
    assert not supervisor.is_open


def _log_end(closed: list[str]) -> Any:
    async def service() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            closed.append("closed")

    return service


async def test_the_leaving_task_may_be_cancelled() -> None:
    """Runs end at once when the leaving task is cancelled, whichever task entered."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("wait")(lambda state: anyio.sleep_forever())
    supervisor = Supervisor(pipe, grace=0)
    stack = AsyncExitStack()

    async def enter() -> None:
        await stack.enter_async_context(supervisor)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
    run = await supervisor.submit(pipe, {})
    with anyio.move_on_after(0) as scope:
        await stack.aclose()

    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CANCELLED
    assert not supervisor.is_open
    del scope


async def test_an_exceeded_intensity_does_not_reach_an_ended_task() -> None:
    """When the task that entered has ended, the failure is raised where the block is left."""

    async def broken() -> None:
        raise ValueError("broken")

    supervisor = Supervisor(intensity=0)
    stack = AsyncExitStack()

    async def enter() -> None:
        await stack.enter_async_context(supervisor)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
    supervisor.add_service("broken", broken)
    await anyio.wait_all_tasks_blocked()

    with pytest.raises(RestartIntensityExceeded):
        await stack.aclose()


async def test_an_exceeded_intensity_interrupts_the_body() -> None:
    """A body that waits for ever is cancelled, and the failure is raised."""

    break_now = anyio.Event()

    async def broken() -> None:
        await break_now.wait()
        raise ValueError("broken")

    supervisor = Supervisor(intensity=0)
    supervisor.add_service("broken", broken)
    with pytest.raises(RestartIntensityExceeded):
        async with supervisor:
            break_now.set()
            await anyio.sleep_forever()


PROGRAM = """
import logging, sys, anyio
from justpipe_actors import Pipe, Supervisor
logging.disable()
pipe = Pipe(dict)
kept = []

@pipe.step
async def wait(state):
    try:
        await anyio.sleep_forever()
    finally:
        print("step ended", flush=True)

async def gen():
    async with Supervisor(pipe) as supervisor:
        await supervisor.submit(pipe, {{}})
        await anyio.wait_all_tasks_blocked()
        yield supervisor

async def main():
    {body}

try:
    anyio.run(main, backend=sys.argv[1])
except RuntimeError as error:
    print("raised", error)
print("left")
"""

DROPPED = """
    async for supervisor in gen():
        break
    raise RuntimeError("my own")
"""

FORGOTTEN = """
    supervisor = Supervisor(pipe)
    await supervisor.__aenter__()
    await supervisor.submit(pipe, {})
    await anyio.wait_all_tasks_blocked()
    raise RuntimeError("my own")
"""


@pytest.mark.parametrize("body", [DROPPED, FORGOTTEN], ids=["dropped", "forgotten"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_end_of_the_loop_ends_an_open_supervisor(backend: str, body: str) -> None:
    """A supervisor that is never left does not keep the program alive and hides no error."""
    source = PROGRAM.format(body=body.strip())
    done = subprocess.run(
        [sys.executable, "-c", source, backend],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout.split("\n")[:-1] == ["step ended", "raised my own", "left"] or (
        sorted(done.stdout.split("\n")[:-1]) == ["left", "raised my own", "step ended"]
    )
    assert "different" not in done.stderr
    assert "Traceback" not in done.stderr


NEVER_LEFT = """
import sys, anyio
from justpipe_actors import Pipe, Supervisor

pipe = Pipe(dict)

@pipe.step
async def wait(state):
    await anyio.sleep_forever()

async def main():
    supervisor = Supervisor(pipe)
    supervisor.add_service("idle", anyio.sleep_forever)
    await supervisor.__aenter__()
    await supervisor.submit(pipe, {})
    await anyio.wait_all_tasks_blocked()

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_end_of_the_loop_is_logged_in_one_line(backend: str) -> None:
    """There is no traceback of the engine's tasks when a supervisor was never left."""
    done = subprocess.run(
        [sys.executable, "-c", NEVER_LEFT, backend],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    [line] = done.stderr.splitlines()
    assert line.startswith("The event loop ended while a Supervisor was open")


@asynccontextmanager
async def opened(pipe: AnyPipe) -> AsyncIterator[Supervisor]:
    """Yield an open supervisor."""
    async with Supervisor(pipe) as supervisor:
        yield supervisor


async def test_the_error_of_the_body_comes_out() -> None:
    """The user's exception is raised as it is, without a group around it."""
    with pytest.raises(KeyError, match="mine"):
        async with opened(counting()):
            raise KeyError("mine")


class Grave(BaseException):
    """A ``BaseException`` that is no ``Exception``."""


async def test_a_service_that_exits_at_once() -> None:
    """A ``BaseException`` of a service is raised by the block, however early it comes."""

    async def leave() -> None:
        raise Grave

    supervisor = Supervisor()
    supervisor.add_service("leave", leave)
    with pytest.raises(Grave):
        async with supervisor:
            await anyio.sleep_forever()


@pytest.mark.parametrize("eager", [True, False])
async def test_a_base_exception_of_a_resource_is_raised_unchanged(eager: bool) -> None:
    """It is raised as it is, whether the resource is eager or not."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.resource(eager=eager)
    async def pool() -> AsyncIterator[int]:
        if pipe.name:
            raise Grave
        yield 1

    @pipe.step
    async def use(state: dict[str, Any], pool: int) -> None:
        pass

    with pytest.raises(Grave):
        async with Supervisor(pipe):
            await pipe.run({}).wait()


async def test_a_run_can_be_cancelled_from_another_thread() -> None:
    """``cancel`` may be called in any thread."""
    pipe: AnyPipe = Pipe(dict)
    pipe.step("wait")(lambda state: anyio.sleep_forever())

    async with pipe.run({}) as run:
        thread = threading.Thread(target=run.cancel, args=("from a thread",))
        async for event in run:
            if event.type is EventType.STEP_START:
                thread.start()
        await anyio.to_thread.run_sync(thread.join)

    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CANCELLED
    assert run.end.error == "from a thread"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_a_run_is_awaited_in_its_own_loop_only(backend: str) -> None:
    """In another loop waiting raises an error, and the run goes on."""
    pipe: AnyPipe = Pipe(dict)
    go = anyio.Event()

    @pipe.step
    async def wait(state: dict[str, Any]) -> None:
        await go.wait()

    async with Supervisor(pipe) as supervisor:
        run = await supervisor.submit(pipe, {})

        def elsewhere() -> None:
            with pytest.raises(OtherLoopError, match="another event loop"):
                anyio.run(run.wait, backend=backend)

        await anyio.to_thread.run_sync(elsewhere)
        go.set()
        end = await run.wait()

    assert end.status is PipelineTerminalStatus.SUCCESS


@pytest.mark.virtual_time
async def test_a_drain_waits_for_readers() -> None:
    """A slow reader has read FINISH when ``drain`` reports its run as completed."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step
    async def work(state: dict[str, Any]) -> Any:
        for number in range(5):
            yield number

    seen: list[EventType] = []

    async with Supervisor(pipe) as supervisor:
        run = supervisor.run(pipe, {})

        async def read() -> None:
            async for event in run:
                seen.append(event.type)
                await anyio.sleep(0.5)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.sleep(0.1)
            report = await supervisor.drain()
            assert report.completed == (run.run_id,)
            assert seen[-1] is EventType.FINISH


@pytest.mark.virtual_time
async def test_a_drain_names_readers_that_are_too_slow() -> None:
    """A reader that has not read FINISH within the grace is reported."""
    pipe = counting()
    async with Supervisor(pipe) as supervisor:
        run = supervisor.run(pipe, {})
        await anext(run)
        report = await supervisor.drain(grace=1)

        assert (report.completed, report.unread) == ((), (run.run_id,))
        await run.aclose()


# -- nested runs


def nested(depth: int) -> AnyPipe:
    """Return a pipe that is nested so many levels deep."""
    pipe = counting()
    for _ in range(depth):
        outer: AnyPipe = Pipe(dict)
        outer.sub("in", pipeline=pipe)(lambda state: state)
        pipe = outer
    return pipe


async def test_a_hundred_nested_runs_are_read_to_the_end() -> None:
    """Events pass through all levels, and the reader is woken."""
    state: dict[str, Any] = {}
    async with nested(100).run(state) as run:
        last = [event async for event in run][-1]

    assert last.type is EventType.FINISH
    assert last.payload.status is PipelineTerminalStatus.SUCCESS
    assert state == {"n": 1}


async def test_nested_runs_are_cancelled_together() -> None:
    """A cancellation reaches the innermost of a hundred runs."""
    pipe: AnyPipe = Pipe(dict)
    started = anyio.Event()

    @pipe.step
    async def wait(state: dict[str, Any]) -> None:
        started.set()
        await anyio.sleep_forever()

    for _ in range(100):
        outer: AnyPipe = Pipe(dict)
        outer.sub("in", pipeline=pipe)(lambda state: state)
        pipe = outer

    async with pipe.run({}) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.wait)
        await started.wait()
        run.cancel("enough")

    assert run.end is not None
    assert run.end.status is PipelineTerminalStatus.CANCELLED


@pytest.mark.slow
async def test_a_pipe_that_contains_itself_is_bounded() -> None:
    """The failure names the limit on nesting."""
    pipe: AnyPipe = Pipe(dict, log_state=False)
    pipe.sub("again", pipeline=pipe)(lambda state: state)

    end = await pipe.run({}).wait()

    assert end.error is not None
    assert "within 500 others" in end.error


# -- resources and restarts


@pytest.mark.virtual_time
async def test_a_resource_that_a_step_breaks_opens_again_at_once() -> None:
    """Only failed openings are followed by a backoff."""
    opened: list[float] = []
    pipe: AnyPipe = Pipe(dict, log_state=False)

    @pipe.resource
    async def pool() -> AsyncIterator[int]:
        opened.append(anyio.current_time())
        yield 1

    @pipe.step(breaks={"pool": ConnectionError})
    async def use(state: dict[str, Any], pool: int) -> None:
        raise ConnectionError

    async with Supervisor(pipe):
        began = anyio.current_time()
        for _ in range(10):
            await pipe.run({}).wait()

        assert len(opened) == 10
        assert anyio.current_time() - began < 0.01


@pytest.mark.virtual_time
async def test_a_snapshot_names_the_resource_that_a_run_waits_for() -> None:
    """It names the step, too."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.resource
    async def pool() -> AsyncIterator[int]:
        await anyio.sleep(5)
        yield 1

    @pipe.step
    async def use(state: dict[str, Any], pool: int) -> None:
        pass

    async with pipe.run({}) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.wait)
        await anyio.sleep(1)
        assert run.snapshot().resources == {"use": "pool"}
        assert "at work: use, use waits for resource pool" in repr(run.snapshot())
    assert run.snapshot().resources == {}


@pytest.mark.virtual_time
@pytest.mark.parametrize("intensity", [None, 10**9])
async def test_restarts_without_a_limit_have_growing_delays(
    intensity: int | None,
) -> None:
    """A crash loop that may go on for ever does not use the CPU all the time."""
    starts: list[float] = []

    async def broken() -> None:
        starts.append(anyio.current_time())
        raise ValueError("broken")

    supervisor = Supervisor(intensity=intensity)
    supervisor.add_service("broken", broken)
    async with supervisor:
        await anyio.sleep(300)

    assert 10 < len(starts) < 40
    waits = [after - before for before, after in pairwise(starts)]
    assert max(waits) > 10


async def test_waiting_for_a_supervisor_that_is_ready_is_a_checkpoint() -> None:
    """A loop around it can be cancelled, and lets other tasks run."""
    async with Supervisor() as supervisor:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await supervisor.wait_ready()

    assert scope.cancelled_caught
