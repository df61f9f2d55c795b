"""Runs share actors, and events of one run do not affect another.

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
    """An error that no step should raise."""


def workplace() -> Pipe[State, Any]:  # noqa: C901 - many small steps
    """Return a pipe with all kinds of steps, which fails as its state says."""
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
    """The events of a run, as far as no other run may change them."""

    by_step: dict[str, list[Any]]
    status: str
    shutdowns: int


def said(events: list[Event], state: State) -> Said:
    """Sort the events of a run by their invocations."""
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
    """Cancel the run by its owner at some time."""
    async with supervisor.run(pipe, {}) as run, anyio.create_task_group() as tasks:

        async def later() -> None:
            await anyio.sleep(random.random())
            run.cancel("enough")

        tasks.start_soon(later)
        await run.wait()


async def late(supervisor: Supervisor, pipe: Pipe[State, Any], random: Random) -> None:
    """Let the run's timeout pass."""
    state = {"trouble": "long"}
    async with supervisor.run(pipe, state, timeout=0.05 + random.random()) as run:
        assert (await run.wait()).status.value == "timeout"


async def slow(supervisor: Supervisor, pipe: Pipe[State, Any], random: Random) -> None:
    """Let its consumer read nothing for a day, with room for one event."""
    async with supervisor.run(pipe, {}, queue_size=1) as run:
        for _ in range(random.randrange(4)):
            await anext(run)
        await anyio.sleep(100)
        await run.wait()


async def left(supervisor: Supervisor, pipe: Pipe[State, Any], random: Random) -> None:
    """Let its consumer leave in the middle."""
    async with supervisor.run(pipe, {}) as run:
        for _ in range(random.randrange(20)):
            await anext(run)


async def crashing(
    supervisor: Supervisor, pipe: Pipe[State, Any], random: Random
) -> None:
    """Let one of its steps raise a BaseException."""
    with suppress(CrashError):
        await supervisor.run(pipe, {"trouble": "crash"}).wait()


async def owner_cancelled(
    supervisor: Supervisor, pipe: Pipe[State, Any], random: Random
) -> None:
    """Cancel the block of the run."""
    with anyio.move_on_after(random.random()):
        async with supervisor.run(pipe, {}) as run:
            await run.wait()


async def crowd(supervisor: Supervisor, pipe: Pipe[State, Any], random: Random) -> None:
    """Run ten successful runs beside it."""
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
    """Return the events of a run that is alone in its supervisor."""
    state: State = {}
    events: list[Event] = []
    async with Supervisor() as supervisor:
        await read_all(supervisor.run(pipe, state), events)
    return said(events, state)


async def beside(trouble: Failure, random: Random) -> tuple[Said, Said]:
    """Return the events of a run beside a failing one, and its events alone."""
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
def test_a_failing_run_does_not_affect_another(
    trouble: Failure, loop_backend: Backend
) -> None:
    """Under any schedule the other run has the same events as alone."""
    for seed in range(40):
        random = Random(seed)
        schedule = Schedule(holds.draw(random, 200), EVERYWHERE)
        with deterministic_scheduling(), at_seams(schedule):
            beside_it, alone = VirtualLoop(loop_backend).run(beside, trouble, random)
        assert beside_it == alone, f"seed {seed}"


# -- a defect of the engine, in one run


@attrs.define(eq=False)
class InOneRun(FailpointHandler):
    """A fault that occurs in one run only."""

    fault: Fault
    run_id: str = ""

    def reach_nowait(self, seam: Seam, run_id: str, part: str) -> None:
        if run_id == self.run_id and run_id:
            self.fault.reach_nowait(seam, run_id, part)


class DefectError(Exception):
    """The error that tests raise at a failpoint."""


NOT_OF_A_RUN = {Seam.WAKE, Seam.SPAWN} | JOURNAL_SEAMS
OF_A_RUN = [seam for seam in Seam if seam not in NOT_OF_A_RUN]


async def defective(fault: InOneRun) -> tuple[Said, Said]:
    """Return the events of a run beside one with the fault."""
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
def test_a_defect_in_one_run_does_not_affect_another(
    seam: Seam, loop_backend: Backend
) -> None:
    """Wherever the engine fails in one run, the other has the same events as alone."""
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
def test_a_cancelled_run_does_not_affect_another(
    loop_backend: Backend,
) -> None:
    """It is cancelled between any two steps of the scheduler."""
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
