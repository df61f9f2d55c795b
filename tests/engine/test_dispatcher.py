"""Which tasks process the messages of the inboxes: few tasks, and fair turns."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import Pipe, Supervisor
from justpipe_actors._engine.dispatcher import (
    IDLE_TASKS,
    MESSAGES_PER_SLICE,
    Dispatcher,
)


def crew_of(supervisor: Supervisor) -> Any:
    """Return the dispatcher of a supervisor."""
    return supervisor._require_open().system.dispatcher


@pytest.mark.virtual_time
async def test_a_chain_that_does_not_wait_needs_one_dispatcher_task() -> None:
    """The task that commits an invocation processes the message that follows; no other
    task is woken.
    """
    pipe: Pipe[Any, Any] = Pipe(list)
    tasks = []
    for number in range(50):

        async def step(state: list[Any]) -> None:
            tasks.append(anyio.get_current_task().id)

        pipe.step(name=f"s{number}", to=f"s{number + 1}" if number < 49 else None)(step)
    async with Supervisor() as supervisor:
        await supervisor.run(pipe, []).wait()
        statistics = crew_of(supervisor).statistics()

    assert len(tasks) == 50
    assert len(set(tasks)) == 1
    assert statistics.idle + statistics.working <= 2


async def test_steps_that_wait_run_at_the_same_time() -> None:
    """A dispatcher task inside a step that waits delays no other step."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    started = []
    go = anyio.Event()

    @pipe.step(to=["a", "b", "c"])
    async def first(state: dict[str, Any]) -> None:
        pass

    for name in ("a", "b", "c"):

        async def wait(state: dict[str, Any]) -> None:
            started.append(1)
            await go.wait()

        pipe.step(name=name)(wait)
    async with pipe.run({}) as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.wait)
        await anyio.wait_all_tasks_blocked()
        assert len(started) == 3
        go.set()


async def test_an_interrupted_invocation_leaves_a_usable_task() -> None:
    """A task whose cancel scope was cancelled processes the next message in a new scope."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step
    async def wait(state: dict[str, Any]) -> None:
        if state["waits"]:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()

    async with Supervisor() as supervisor:
        for _ in range(3):
            stuck = supervisor.run(pipe, {"waits": True})
            async with stuck:
                await anext(stuck)
                stuck.cancel("enough")
                assert (await stuck.wait()).error == "enough"
            end = await supervisor.run(pipe, {"waits": False}).wait()
            assert end.status.value == "success"


async def test_surplus_dispatcher_tasks_end() -> None:
    """After a burst only the spare tasks stay."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    go = anyio.Event()

    @pipe.step
    async def wait(state: dict[str, Any]) -> None:
        await go.wait()

    async with Supervisor() as supervisor:
        runs = [supervisor.submit_nowait(pipe, {}) for _ in range(IDLE_TASKS * 2)]
        await anyio.wait_all_tasks_blocked()
        assert crew_of(supervisor).statistics().working >= IDLE_TASKS * 2
        go.set()
        for run in runs:
            await run.wait()
        await anyio.wait_all_tasks_blocked()
        statistics = crew_of(supervisor).statistics()

    assert statistics.working == 0
    assert statistics.idle <= IDLE_TASKS


async def test_a_stalled_run_gives_its_slot_to_others() -> None:
    """With one slot, a run whose consumer is slow delays no other run."""
    pipe: Pipe[Any, Any] = Pipe(list)

    @pipe.step(concurrency=1)
    async def speak(state: list[int]) -> Any:
        for number in range(20):
            yield number

    async with Supervisor() as supervisor:
        stalled = supervisor.run(pipe, [], queue_size=1)
        await anext(stalled)
        await anyio.wait_all_tasks_blocked()
        healthy = [event async for event in supervisor.run(pipe, [])]
        snapshot = supervisor.snapshot()
        rest = [event async for event in stalled]

    assert len(healthy) == 24
    assert snapshot.runs[stalled.run_id].is_parked
    assert len(rest) == 23


async def test_a_slot_is_never_taken_twice() -> None:
    """An invocation that goes on after a stall waits for the slot that it gave away."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    at_work = most = 0

    @pipe.step(concurrency=1)
    async def speak(state: dict[str, Any]) -> Any:
        nonlocal at_work, most
        for number in range(5):
            at_work += 1
            most = max(most, at_work)
            await anyio.lowlevel.checkpoint()
            at_work -= 1
            yield number

    async with Supervisor() as supervisor:

        async def read() -> None:
            async for _ in supervisor.run(pipe, {}, queue_size=1):
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(read)
        (actor,) = supervisor._require_open().system.statistics()

    assert most == 1
    assert (actor.busy, actor.returning) == (0, 0)


@pytest.mark.virtual_time
async def test_a_run_with_a_timeout_is_timed_while_its_step_ignores_it() -> None:
    """The task that waits for a run's deadline processes none of its steps."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step(to="b")
    async def a(state: dict[str, Any]) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(5)

    @pipe.step
    async def b(state: dict[str, Any]) -> None:
        pass

    async with pipe.run({}, timeout=1) as run:
        end = await run.wait()

    assert end.status.value == "timeout"
    assert end.duration_s == pytest.approx(5)


async def test_a_queue_that_is_never_empty_is_served_by_two_tasks_in_turn() -> None:
    """Runs that always have a message do not add a task with every time slice."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step
    async def spin(state: dict[str, Any]) -> str | None:
        state["turns"] = state.get("turns", 0) + 1
        return "spin" if state["turns"] < 5000 else None

    async with Supervisor() as supervisor:
        runs = [supervisor.submit_nowait(pipe, {}) for _ in range(3)]
        for run in runs:
            assert (await run.wait()).status.value == "success"
        await anyio.wait_all_tasks_blocked()
        statistics = crew_of(supervisor).statistics()

    assert statistics.idle + statistics.working <= len(runs) + 3


@pytest.mark.virtual_time
@pytest.mark.parametrize("waits", [False, True])
async def test_a_burst_of_submissions_lets_other_tasks_run(waits: bool) -> None:
    """Between two turns of another task the dispatcher begins no more runs than it
    processes messages.
    """
    pipe: Pipe[Any, Any] = Pipe(dict)
    runs, served, most = 4 * MESSAGES_PER_SLICE, 0, 0

    @pipe.step
    async def count(state: dict[str, Any]) -> None:
        nonlocal served
        served += 1
        if waits:
            await checkpoint()

    async def beat() -> None:
        nonlocal most
        while True:
            before = served
            await checkpoint()
            most = max(most, served - before)

    async with Supervisor() as supervisor, anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        streams = [supervisor.submit_nowait(pipe, {}) for _ in range(runs)]
        for stream in streams:
            await stream.wait()
        tasks.cancel_scope.cancel()

    assert served == runs
    assert 0 < most <= 2 * MESSAGES_PER_SLICE


@pytest.mark.virtual_time
async def test_a_burst_of_submissions_needs_few_dispatcher_tasks() -> None:
    """A task whose time slice is over waits and is woken again; no task is added each time."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("nothing")(lambda: None)
    async with Supervisor() as supervisor:
        streams = [
            supervisor.submit_nowait(pipe, {}) for _ in range(8 * MESSAGES_PER_SLICE)
        ]
        for stream in streams:
            await stream.wait()
        statistics = crew_of(supervisor).statistics()

    assert statistics.idle + statistics.working <= 3


def test_a_dispatcher_task_that_ends_at_its_start_is_not_awaited() -> None:
    """Where tasks begin at once, a task may end before the dispatcher counts it; work goes on."""
    done = []

    def spawn(func: Callable[..., Coroutine[Any, Any, object]]) -> None:
        with pytest.raises(StopIteration):
            func().send(None)

    async def job() -> None:
        done.append(1)

    dispatcher = Dispatcher(spawn, now=lambda: 0.0, absorb_native_cancel=lambda: False)
    dispatcher.release_idle_tasks()  # whoever comes goes home when nothing is left to do
    dispatcher.start_job(job)
    dispatcher.start_job(job)

    assert done == [1, 1]
