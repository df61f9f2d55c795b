"""Runs share actors, and yet nothing that happens to one is seen by another.

A neighbour's events are compared with those of its *solo* run: the same pipe, the same
state, alone in a supervisor.  Branches that run beside each other may speak in another
order, so what is compared is what each step said, in its order, and how the run ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any

import anyio
import attrs
import pytest

from justpipe_actors import Event, Pipe, Retry, Skip, Supervisor
from justpipe_actors._run.run_stream import RunStream
from justpipe_actors._util.failpoints import JOURNAL_SEAMS, FailpointHandler, Seam
from justpipe_actors.testing import Fault, Schedule, at_seams, schedules as holds
from justpipe_actors.testing.exploration import deterministic_scheduling
from justpipe_actors.testing.virtual_clock import Backend, VirtualLoop


State = dict[str, Any]


class CrashError(BaseException):
    """What no step should raise."""


def workplace() -> Pipe[State, Any]:  # noqa: C901 - many small steps
    """Return a pipe of everything, which makes trouble when its state says so."""
    child: Pipe[State, Any] = Pipe(dict, log_state=False)

    @child.step
    async def inner(state: State) -> Any:
        await anyio.sleep(0.1)
        yield "from the child"

    pipe: Pipe[State, Any] = Pipe(dict, log_state=False, max_retries=3)

    @pipe.on_shutdown
    async def down(state: State) -> None:
        state["shutdowns"] = state.get("shutdowns", 0) + 1

    @pipe.step(to=["stream", "items", "narrow", "fragile"])
    async def root(state: State) -> None:
        await anyio.sleep(0.01)

    @pipe.step(to="join")
    async def stream(state: State) -> Any:
        for number in range(5):
            yield number
            await anyio.sleep(0.05)

    @pipe.map(each="work", to="join", max_concurrency=2)
    async def items(state: State) -> Any:
        return range(4)

    @pipe.step
    async def work(state: State, item: int) -> Any:
        await anyio.sleep(0.02)
        return Skip() if item == 2 else None

    @pipe.step(to="join", concurrency=1)
    async def narrow(state: State) -> Any:
        await anyio.sleep(0.2)
        state["tries"] = state.get("tries", 0) + 1
        return Retry() if state["tries"] == 1 else None

    @pipe.step(to="join", on_error=lambda error: None)
    async def fragile(state: State) -> None:
        await make_trouble(state)
        raise ValueError("handled")

    @pipe.step(barrier_timeout=500, to="last")
    async def join(state: State) -> None:
        await anyio.sleep(0.1)

    @pipe.sub(pipeline=child)
    async def last(state: State) -> State:
        return {}

    return pipe


async def make_trouble(state: State) -> None:
    """Do what the state says, in the middle of a step."""
    match state.get("trouble"):
        case "crash":
            raise CrashError
        case "long":
            await anyio.sleep(1000)
        case "wide":
            state["log"] = [str(number) for number in range(1000)]
        case _:
            await anyio.lowlevel.checkpoint()


@attrs.frozen
class Said:
    """What a run said, as far as nobody else may change it."""

    by_step: dict[str, list[Any]]
    status: str
    shutdowns: int


def said(events: list[Event], state: State) -> Said:
    """Sort what a run said by who said it."""
    by_step: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        payload = event.payload if event.type.value == "token" else None
        who = " ".join((*event.scope, event.stage))
        by_step[who].append((event.type.value, event.attempt, payload))
    end = events[-1].payload
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return Said(dict(by_step), end.status.value, state["shutdowns"])


async def read_all(run: RunStream, into: list[Event]) -> None:
    """Read a run to its end."""
    async with run:
        async for event in run:
            into.append(event)


# -- the troubles: what happens to the run next door

Failure = Callable[[Supervisor, Pipe[State, Any], Random], Coroutine[Any, Any, None]]


async def cancelled(
    supervisor: Supervisor, pipe: Pipe[State, Any], random: Random
) -> None:
    """Its owner cancels it, some time."""
    async with supervisor.run(pipe, {}) as run, anyio.create_task_group() as tasks:

        async def later() -> None:
            await anyio.sleep(random.random())
            run.cancel("enough")

        tasks.start_soon(later)
        await run.wait()


async def late(supervisor: Supervisor, pipe: Pipe[State, Any], random: Random) -> None:
    """Its deadline passes."""
    state = {"trouble": "long"}
    async with supervisor.run(pipe, state, timeout=0.05 + random.random()) as run:
        assert (await run.wait()).status.value == "timeout"


async def slow(supervisor: Supervisor, pipe: Pipe[State, Any], random: Random) -> None:
    """Its consumer reads nothing for a day, with room for one event."""
    async with supervisor.run(pipe, {}, queue_size=1) as run:
        for _ in range(random.randrange(4)):
            await anext(run)
        await anyio.sleep(100)
        await run.wait()


async def left(supervisor: Supervisor, pipe: Pipe[State, Any], random: Random) -> None:
    """Its consumer goes away in the middle."""
    async with supervisor.run(pipe, {}) as run:
        for _ in range(random.randrange(20)):
            await anext(run)


async def crashing(
    supervisor: Supervisor, pipe: Pipe[State, Any], random: Random
) -> None:
    """One of its steps raises what ends a program."""
    with suppress(CrashError):
        await supervisor.run(pipe, {"trouble": "crash"}).wait()


async def owner_cancelled(
    supervisor: Supervisor, pipe: Pipe[State, Any], random: Random
) -> None:
    """The block it runs in is cancelled."""
    with anyio.move_on_after(random.random()):
        async with supervisor.run(pipe, {}) as run:
            await run.wait()


async def crowd(supervisor: Supervisor, pipe: Pipe[State, Any], random: Random) -> None:
    """Ten runs go well beside it."""
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(supervisor.run(pipe, {}).wait)


TROUBLES: list[Failure] = [
    cancelled,
    late,
    slow,
    left,
    crashing,
    owner_cancelled,
    crowd,
]


EVERYWHERE = frozenset(Seam) - {Seam.PUT, Seam.SPAWN} - JOURNAL_SEAMS
"""Every seam at which the engine may wait, those between runs included."""


async def solo(pipe: Pipe[State, Any]) -> Said:
    """Return what a run says that has the supervisor for itself."""
    state: State = {}
    events: list[Event] = []
    async with Supervisor() as supervisor:
        await read_all(supervisor.run(pipe, state), events)
    return said(events, state)


async def beside(trouble: Failure, random: Random) -> tuple[Said, Said]:
    """Return what a run says beside another in trouble, and what it would alone."""
    pipe = workplace()
    expected = await solo(pipe)
    state: State = {}
    events: list[Event] = []
    async with Supervisor() as supervisor:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_all, supervisor.run(pipe, state), events)
            tasks.start_soon(trouble, supervisor, pipe, random)
        assert not supervisor.snapshot().runs
    return said(events, state), expected


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda it: it.__name__)
def test_a_runs_trouble_is_never_its_neighbours(
    trouble: Failure, loop_backend: Backend
) -> None:
    """Whatever happens to a run, under any schedule, its neighbour says what it says alone."""
    for seed in range(40):
        random = Random(seed)
        schedule = Schedule(holds.draw(random, 200), EVERYWHERE)
        with deterministic_scheduling(), at_seams(schedule):
            beside_it, alone = VirtualLoop(loop_backend).run(beside, trouble, random)
        assert beside_it == alone, f"seed {seed}"


# -- a defect of the engine, in one run


@attrs.define(eq=False)
class InOneRun(FailpointHandler):
    """A fault that strikes one run only."""

    fault: Fault
    run_id: str = ""

    def reach_nowait(self, seam: Seam, run_id: str, part: str) -> None:
        if run_id == self.run_id and run_id:
            self.fault.reach_nowait(seam, run_id, part)


class DefectError(Exception):
    """What the tests put at a seam."""


NOT_OF_A_RUN = {Seam.WAKE, Seam.SPAWN} | JOURNAL_SEAMS
OF_A_RUN = [seam for seam in Seam if seam not in NOT_OF_A_RUN]


async def defective(fault: InOneRun) -> tuple[Said, Said]:
    """Return what a run says beside one that the fault strikes."""
    pipe = workplace()
    expected = await solo(pipe)
    state: State = {}
    events: list[Event] = []
    async with Supervisor() as supervisor:
        struck = supervisor.run(pipe, {})
        fault.run_id = struck.run_id
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_all, supervisor.run(pipe, state), events)
            with suppress(DefectError):
                await read_all(struck, [])
        assert not supervisor.snapshot().runs
    return said(events, state), expected


@pytest.mark.slow
@pytest.mark.parametrize("seam", OF_A_RUN)
def test_a_defect_in_one_run_is_never_its_neighbours(
    seam: Seam, loop_backend: Backend
) -> None:
    """Wherever the engine breaks in one run, its neighbour says what it says alone."""
    at, struck = 0, True
    while struck:
        fault = Fault(seam, DefectError(seam.value), at)
        there = InOneRun(fault)
        with deterministic_scheduling(), at_seams(there):
            beside_it, alone = VirtualLoop(loop_backend).run(defective, there)
        assert beside_it == alone, f"{seam} {at}"
        struck = fault.crossed > at
        at += 1


# -- a cancellation at every step of the scheduler


@pytest.mark.slow
def test_a_run_cancelled_at_any_step_is_never_its_neighbours(
    loop_backend: Backend,
) -> None:
    """Cancelled between any two steps of the scheduler, a run is cancelled alone."""
    from justpipe_actors.testing.deadlocks import DAY, DeadlockDetector
    from justpipe_actors.testing.virtual_clock import virtual_time_with_steps

    class Struck:
        run: RunStream | None = None
        steps = 0
        at = -1

        def count(self) -> None:
            if self.run is not None:
                self.steps += 1
                if self.steps == self.at:
                    self.run.cancel("here")

    async def main(struck: Struck) -> tuple[Said, str]:
        pipe = workplace()
        state: State = {}
        events: list[Event] = []
        async with Supervisor() as supervisor:
            doomed = supervisor.run(pipe, {})
            struck.run = doomed
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read_all, supervisor.run(pipe, state), events)
                tasks.start_soon(read_all, doomed, [])
            struck.run = None
            assert not supervisor.snapshot().runs
            assert doomed.end is not None
            assert doomed.snapshot().tokens == {}
        return said(events, state), doomed.end.status.value

    def trial(at: int) -> tuple[Said, str, int]:
        struck = Struck()
        struck.at = at
        options = virtual_time_with_steps(
            loop_backend, DeadlockDetector(DAY), struck.count
        )
        with deterministic_scheduling():
            says, status = anyio.run(main, struck, **options)
        return says, status, struck.steps

    expected = VirtualLoop(loop_backend).run(solo, workplace())
    _, status, total = trial(-1)
    assert status == "success"
    statuses = set()
    for at in range(1, total, 1 + total // 300):
        says, status, _ = trial(at)
        statuses.add(status)
        assert says == expected, f"step {at}"
    assert statuses == {"success", "cancelled"}
