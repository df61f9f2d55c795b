"""Programs that cancel tasks of the engine natively, or at the worst time."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe, Supervisor
from justpipe_actors._backends import current_loop
from justpipe_actors._run.run_stream import RunStream
from justpipe_actors.observability import Observer


only_asyncio = pytest.mark.parametrize(
    "anyio_backend", ["asyncio"], indirect=True, scope="module"
)
"""trio has no way to cancel one task from outside."""


def resting() -> Pipe[Any, Any]:
    """Return a pipe of one step that waits once."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="resting")

    @pipe.step
    async def rest(state: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()

    return pipe


async def kill_newborn(known: set[asyncio.Task[Any]]) -> None:
    """Cancel every new task natively before its first step."""
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - known:
        task.cancel()


# -- tasks that are killed before they have begun


@only_asyncio
async def test_a_run_whose_new_task_is_cancelled_begins() -> None:
    """Its consumer does not wait for ever for a task that never ran."""
    events: list[Event] = []

    async def consume() -> None:
        events.extend([event async for event in resting().run({})])

    consumer = asyncio.create_task(consume())
    known = asyncio.all_tasks()
    with anyio.fail_after(30):
        await kill_newborn(known)
        await consumer

    assert events[-1].payload.status.value == "success"


@only_asyncio
async def test_a_new_dispatcher_task_that_is_cancelled_is_replaced() -> None:
    """Its message is processed, and later runs of the supervisor work."""
    events: list[Event] = []
    async with Supervisor() as supervisor:

        async def consume() -> None:
            events.extend([event async for event in supervisor.run(resting(), {})])

        consumer = asyncio.create_task(consume())
        known = asyncio.all_tasks()
        with anyio.fail_after(30):
            await kill_newborn(known)
            await consumer
        later = await supervisor.run(resting(), {}).wait()

    assert events[-1].payload.status.value == "success"
    assert later.status.value == "success"


class Diary(Observer):
    """Keeps the events it gets; a test may cancel its task natively."""

    def __init__(self, kill: int | None = None) -> None:
        self.kill = kill
        self.heard: list[EventType] = []

    async def on_event(self, state: Any, context: Any, meta: Any, event: Event) -> None:
        """Keep an event, and cancel this task after about three."""
        self.heard.append(event.type)
        if len(self.heard) == self.kill:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await anyio.lowlevel.checkpoint()


@only_asyncio
@pytest.mark.parametrize("hosted", [False, True])
async def test_an_observer_whose_new_task_is_cancelled_gets_all_events(
    hosted: bool,
) -> None:
    """The run does not notice either."""
    pipe, diary = resting(), Diary()
    pipe.add_observer(diary)
    async with Supervisor() if hosted else nullcontext():
        consumer = asyncio.create_task(pipe.run({}).wait())
        known = asyncio.all_tasks()
        with anyio.fail_after(30):
            for _ in range(5):
                known |= {
                    t for t in asyncio.all_tasks() if "listen" not in t.get_name()
                }
                await kill_newborn(known)
                known |= asyncio.all_tasks()
            end = await consumer

    assert end.status.value == "success"
    assert diary.heard[-1] is EventType.FINISH


@only_asyncio
@pytest.mark.parametrize("moment", range(1, 5))
async def test_an_observer_that_is_cancelled_at_work_goes_on(
    moment: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that its task was cancelled, and the run does not notice."""
    pipe, diary = resting(), Diary(kill=moment)
    pipe.add_observer(diary)
    with anyio.fail_after(30):
        end = await pipe.run({}).wait()

    assert end.status.value == "success"
    kinds = ["start", "step_start", "step_end", "finish"]
    assert [kind.value for kind in diary.heard] == kinds
    assert "Observer Diary: its task was cancelled" in caplog.text


@only_asyncio
async def test_an_observer_that_is_cancelled_while_it_waits_goes_on() -> None:
    """It loses no event."""
    pipe, diary, go = resting(), Diary(), anyio.Event()
    pipe.add_observer(diary)
    pipe.step("wait")(go.wait)
    async with pipe.run({}, start="wait") as run, anyio.create_task_group() as tasks:
        tasks.start_soon(run.wait)
        await anyio.wait_all_tasks_blocked()
        for task in asyncio.all_tasks():
            if "Listener.listen" in task.get_name():
                task.cancel()
        await anyio.wait_all_tasks_blocked()
        go.set()

    assert run.end is not None
    assert run.end.status.value == "success"
    assert diary.heard[-1] is EventType.FINISH


@only_asyncio
async def test_a_supervisor_whose_new_task_is_cancelled_opens() -> None:
    """Opening does not wait for ever."""

    async def live() -> str:
        async with Supervisor() as supervisor:
            return (await supervisor.run(resting(), {}).wait()).status.value

    owner = asyncio.create_task(live())
    known = asyncio.all_tasks()
    with anyio.fail_after(30):
        await kill_newborn(known)
        assert await owner == "success"


@only_asyncio
async def test_tasks_are_made_by_the_task_factory_of_the_program() -> None:
    """The loop has the same factory afterwards."""
    made: list[str] = []

    def factory(loop: Any, coroutine: Any, **options: Any) -> Any:
        made.append(repr(coroutine))
        return asyncio.Task(coroutine, loop=loop, **options)

    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)
    try:
        async with Supervisor() as supervisor:
            end = await supervisor.run(resting(), {}).wait()
        assert loop.get_task_factory() is factory
    finally:
        loop.set_task_factory(None)

    assert end.status.value == "success"
    assert len(made) == 3  # the owner task, the monitor of services, a dispatcher task


@only_asyncio
async def test_a_group_that_is_cancelled_while_its_task_starts() -> None:
    """The cancellation reaches the new task at its first await, as it does any task."""
    log: list[str] = []

    async def job() -> None:
        log.append("begun")
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cancelled")

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            current_loop().start_in(tasks, job)
            tasks.cancel_scope.cancel()

    assert log == ["begun", "cancelled"]


# -- runs inside runs, all served by one task


def nested(depth: int, cleaned: list[str]) -> Pipe[Any, Any]:
    """Return a pipe whose step runs a pipe whose step ... waits for ever."""
    pipe: Pipe[Any, Any] = Pipe(dict, name=f"level {depth}")
    if depth:

        @pipe.sub(pipeline=nested(depth - 1, cleaned))
        async def sub(state: dict[str, Any]) -> Any:
            return state

    else:

        @pipe.step
        async def wait(state: dict[str, Any]) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()
                cleaned.append("wait")

    return pipe


@pytest.mark.parametrize("hosted", [False, True])
@pytest.mark.parametrize("moment", range(12))
async def test_each_of_three_nested_runs_has_its_reason(
    hosted: bool, moment: int
) -> None:
    """The outer run has the caller's reason, the inner ones that their owner ended."""
    cleaned: list[str] = []
    events: list[Event] = []
    async with Supervisor() if hosted else nullcontext():
        run = nested(3, cleaned).run({})

        async def stop() -> None:
            for _ in range(moment):
                await anyio.lowlevel.checkpoint()
            run.cancel("enough")

        with anyio.fail_after(30):
            async with run, anyio.create_task_group() as tasks:
                tasks.start_soon(stop)
                events = [event async for event in run]

    began = any(event.type is EventType.STEP_START for event in events)
    starts = [event for event in events if event.type is EventType.START]
    ends = [event for event in events if event.type is EventType.FINISH]
    assert [end.payload.error for end in ends] == [
        *["The run's owner was cancelled"] * (len(ends) - 1),
        "enough",
    ]
    assert len(starts) <= len(ends) == (4 if began else 1)
    assert cleaned == ["wait"] * began


# -- an owner that is cancelled


async def test_a_run_cancelled_in_its_own_step_names_its_owner() -> None:
    """The reason is the same whether the step or the block is cancelled first."""
    pipe = nested(0, [])
    with anyio.CancelScope() as scope:
        async with pipe.run({}) as run:
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await run.wait()

    assert scope.cancelled_caught
    assert run.end is not None
    assert run.end.error == "The run's owner was cancelled"


@pytest.mark.virtual_time
async def test_a_child_that_exceeds_its_steps_timeout_was_ended_by_its_owner() -> None:
    """The timeout belongs to the sub step; the child is cancelled."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.sub(pipeline=nested(1, []), timeout=1)
    async def sub(state: dict[str, Any]) -> Any:
        return state

    async with pipe.run({}) as run:
        ends = [e.payload async for e in run if e.type is EventType.FINISH]

    assert [end.status.value for end in ends] == ["cancelled", "cancelled", "failed"]
    assert {end.error for end in ends[:2]} == {"The run's owner was cancelled"}
    assert ends[-1].failed_step == "sub"


@only_asyncio
@pytest.mark.parametrize("moment", range(1, 8))
async def test_a_supervisor_that_is_cancelled_while_it_opens_ends(
    moment: int,
) -> None:
    """Natively cancelled at any turn of its opening, the block ends as cancelled."""

    async def own() -> None:
        async with Supervisor():
            await anyio.sleep_forever()

    owner = asyncio.create_task(own())
    for _ in range(moment):
        await asyncio.sleep(0)
    owner.cancel()
    with anyio.fail_after(30):
        await asyncio.wait([owner])

    assert owner.cancelled()


# -- tasks that are killed at work


def _timer_task() -> asyncio.Task[Any]:
    (task,) = [t for t in asyncio.all_tasks() if "_wait_for_timers" in t.get_name()]
    return task


def _joined(gate: anyio.Event) -> Pipe[Any, Any]:
    """Return a pipe with a join that waits a minute for a slow parent."""
    pipe: Pipe[Any, Any] = Pipe(dict, allow_multi_root=True)
    pipe.step("fast", to="join")(lambda: None)
    pipe.step("slow", to="join")(gate.wait)
    pipe.step("join", barrier_timeout=60)(lambda: None)
    return pipe


async def _kill_timers(runs: list[RunStream]) -> None:
    killed = _timer_task()
    killed.cancel()
    await anyio.wait_all_tasks_blocked()
    assert killed.done()
    assert not _timer_task().done()
    assert [run.snapshot().tokens["join (barrier)"] for run in runs] == [1] * len(runs)


@only_asyncio
async def test_cancelling_the_task_of_the_timers_loses_no_timer() -> None:
    """Timers are data, so another task waits for them."""
    go = anyio.Event()
    pipe = _joined(go)
    async with Supervisor() as supervisor:
        runs = [supervisor.submit_nowait(pipe, {}) for _ in range(2)]
        await anyio.wait_all_tasks_blocked()
        await _kill_timers(runs)
        go.set()
        ends = [await run.wait() for run in runs]

    assert [end.status.value for end in ends] == ["success", "success"]


@only_asyncio
async def test_a_run_without_a_supervisor_loses_no_timer_either() -> None:
    """The task is replaced, and the caller's block is not cancelled."""
    go = anyio.Event()
    async with _joined(go).run({}) as run:
        await anyio.wait_all_tasks_blocked()
        await _kill_timers([run])
        go.set()
        end = await run.wait()

    assert end.status.value == "success"


@only_asyncio
async def test_a_supervisor_survives_the_cancellation_of_its_main_task(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The task that owns all others logs it and goes on, and the runs do not notice."""
    go = anyio.Event()
    pipe: Pipe[Any, Any] = Pipe(None)
    pipe.step("wait")(go.wait)
    async with Supervisor() as supervisor:
        run = await supervisor.submit(pipe, {})
        (owner,) = [
            t for t in asyncio.all_tasks() if "justpipe_actors run" in t.get_name()
        ]
        for _ in range(2):
            owner.cancel()
            await anyio.wait_all_tasks_blocked()
        go.set()
        ends = [await run.wait(), await supervisor.run(resting(), {}).wait()]

    assert [end.status.value for end in ends] == ["success", "success"]
    assert "The supervisor's own task was cancelled" in caplog.text
