"""What was tried to break the engine, and did, until it was mended."""

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
    """Cancel natively, before its first step, every task that was just made."""
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - known:
        task.cancel()


# -- tasks that are killed before they have begun


@only_asyncio
async def test_a_run_killed_before_it_has_begun_begins_all_the_same() -> None:
    """Its consumer does not wait for ever for a task that never took a step."""
    events: list[Event] = []

    async def consume() -> None:
        events.extend([event async for event in resting().run({})])

    consumer = asyncio.create_task(consume())
    known = asyncio.all_tasks()
    with anyio.fail_after(5):
        await kill_newborn(known)
        await consumer

    assert events[-1].payload.status.value == "success"


@only_asyncio
async def test_a_receiver_killed_before_it_has_begun_costs_nothing() -> None:
    """Another one does what it was summoned for; its supervisor and later runs go on."""
    events: list[Event] = []
    async with Supervisor() as supervisor:

        async def consume() -> None:
            events.extend([event async for event in supervisor.run(resting(), {})])

        consumer = asyncio.create_task(consume())
        known = asyncio.all_tasks()
        with anyio.fail_after(5):
            await kill_newborn(known)
            await consumer
        later = await supervisor.run(resting(), {}).wait()

    assert events[-1].payload.status.value == "success"
    assert later.status.value == "success"


class Diary(Observer):
    """Writes down what it hears; its task is killed in the middle, if there is anybody to."""

    def __init__(self, kill: int | None = None) -> None:
        self.kill = kill
        self.heard: list[EventType] = []

    async def on_event(self, state: Any, context: Any, meta: Any, event: Event) -> None:
        """Write an event down, and be killed after the third one or so."""
        self.heard.append(event.type)
        if len(self.heard) == self.kill:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await anyio.lowlevel.checkpoint()


@only_asyncio
@pytest.mark.parametrize("hosted", [False, True])
async def test_a_listener_killed_before_it_has_begun_hears_everything(
    hosted: bool,
) -> None:
    """An observer cannot harm a run, nor can who kills its task."""
    pipe, diary = resting(), Diary()
    pipe.add_observer(diary)
    async with Supervisor() if hosted else nullcontext():
        consumer = asyncio.create_task(pipe.run({}).wait())
        known = asyncio.all_tasks()
        with anyio.fail_after(5):
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
async def test_a_listener_killed_at_work_listens_on(
    moment: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What it was told when it was killed is said in the log; the run does not notice."""
    pipe, diary = resting(), Diary(kill=moment)
    pipe.add_observer(diary)
    with anyio.fail_after(5):
        end = await pipe.run({}).wait()

    assert end.status.value == "success"
    kinds = ["start", "step_start", "step_end", "finish"]
    assert [kind.value for kind in diary.heard] == kinds
    assert "Observer Diary: its task was cancelled" in caplog.text


@only_asyncio
async def test_a_listener_killed_while_it_waits_listens_on() -> None:
    """Nothing it was not told yet is lost."""
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
async def test_a_supervisor_whose_keeper_is_killed_before_it_has_begun_opens() -> None:
    """Nobody waits for ever for a supervisor to open."""

    async def live() -> str:
        async with Supervisor() as supervisor:
            return (await supervisor.run(resting(), {}).wait()).status.value

    owner = asyncio.create_task(live())
    known = asyncio.all_tasks()
    with anyio.fail_after(5):
        await kill_newborn(known)
        assert await owner == "success"


@only_asyncio
async def test_the_tasks_of_a_program_with_a_task_factory_are_made_by_it() -> None:
    """The loop's factory makes the engine's tasks, and is there again afterwards."""
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
    assert len(made) == 3  # the keeper, the watch over services and one receiver


@only_asyncio
async def test_a_group_that_is_cancelled_while_its_task_is_born() -> None:
    """A cancel scope reaches a newborn task at its first await, as it does any other."""
    log: list[str] = []

    async def job() -> None:
        log.append("begun")
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cancelled")

    with anyio.fail_after(5):
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
async def test_cancelled_three_deep_every_run_says_whose_will_it_was(
    hosted: bool, moment: int
) -> None:
    """The outer run gives the caller's reason, the inner ones that their owner ended."""
    cleaned: list[str] = []
    events: list[Event] = []
    async with Supervisor() if hosted else nullcontext():
        run = nested(3, cleaned).run({})

        async def stop() -> None:
            for _ in range(moment):
                await anyio.lowlevel.checkpoint()
            run.cancel("enough")

        with anyio.fail_after(5):
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


async def test_a_conductor_cancelled_in_its_own_step_blames_its_owner() -> None:
    """Whether the step or the block hears of it first, the reason is the same."""
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
async def test_a_child_over_its_steps_time_was_ended_by_its_owner() -> None:
    """The timeout of a sub-pipeline's step is the step's; the child just ends."""
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
async def test_a_supervisor_cancelled_while_it_opens_lets_its_owner_go(
    moment: int,
) -> None:
    """Natively cancelled at any step of its opening, the block ends as cancelled."""

    async def own() -> None:
        async with Supervisor():
            await anyio.sleep_forever()

    owner = asyncio.create_task(own())
    for _ in range(moment):
        await asyncio.sleep(0)
    owner.cancel()
    with anyio.fail_after(5):
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
async def test_killing_the_task_of_the_timers_loses_no_timer() -> None:
    """Timers are data: another task waits for those of all runs."""
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
async def test_a_run_of_its_own_loses_no_timer_either() -> None:
    """Without a supervisor the task is replaced too, and the caller's block is left alone."""
    go = anyio.Event()
    async with _joined(go).run({}) as run:
        await anyio.wait_all_tasks_blocked()
        await _kill_timers([run])
        go.set()
        end = await run.wait()

    assert end.status.value == "success"


@only_asyncio
async def test_a_killed_keeper_keeps_its_supervisor(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The task that owns all others goes on, says so, and everything else does not notice."""
    go = anyio.Event()
    pipe: Pipe[Any, Any] = Pipe(None)
    pipe.step("wait")(go.wait)
    async with Supervisor() as supervisor:
        run = await supervisor.submit(pipe, {})
        (keeper,) = [
            t for t in asyncio.all_tasks() if "justpipe_actors run" in t.get_name()
        ]
        for _ in range(2):
            keeper.cancel()
            await anyio.wait_all_tasks_blocked()
        go.set()
        ends = [await run.wait(), await supervisor.run(resting(), {}).wait()]

    assert [end.status.value for end in ends] == ["success", "success"]
    assert "The supervisor's own task was cancelled" in caplog.text
