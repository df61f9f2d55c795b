"""``explore``: races that plain runs miss are found, shortened, and repeated."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import anyio
import pytest
from hypothesis import given, settings

from justpipe_actors import Pipe, TestPipe, TestResult
from justpipe_actors._util import failpoints
from justpipe_actors.errors import ScheduleFailure
from justpipe_actors.testing import explore, replay, virtual_time
from justpipe_actors.testing.hypothesis import schedules
from justpipe_actors.testing.virtual_clock import Backend


State = dict[str, Any]
BACKENDS = ["asyncio", "trio"]


def bank() -> Pipe[State, Any]:
    """Return a pipe that loses an update when a deposit and a fee overlap.

    They hardly ever do: the fee comes later.
    """
    pipe: Pipe[State, Any] = Pipe(dict, name="Bank")

    @pipe.step(to=["deposit", "audit"])
    async def opening(state: State) -> None:
        state["balance"] = 100

    @pipe.step(to="report")
    async def deposit(state: State) -> None:
        balance = state["balance"]
        await anyio.lowlevel.checkpoint()  # as a look-up in a warm cache
        state["balance"] = balance + 50

    @pipe.step(to="fee")
    async def audit(state: State) -> None:
        await anyio.sleep(0.2)

    @pipe.step(to="report")
    async def fee(state: State) -> None:
        state["balance"] -= 1

    @pipe.step
    async def report(state: State) -> None: ...

    return pipe


def balanced(result: TestResult[State]) -> None:
    """Check that no update is lost."""
    assert result.final_state["balance"] == 149


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_lost_update_is_found_within_200_schedules(
    backend: Backend,
) -> None:
    """Fifty plain runs pass, and one of 200 schedules fails, for every seed."""

    async def plain() -> None:
        for _ in range(50):
            balanced(await TestPipe(bank()).run({}))

    anyio.run(plain, **virtual_time(backend))
    for seed in range(10):
        with pytest.raises(ScheduleFailure) as caught:
            explore(bank(), dict, balanced, schedules=200, seed=seed, backend=backend)
        held = [choice for choice in caught.value.choices if choice]
        assert 1 <= len(held) <= 2


def test_a_failure_reports_how_to_repeat_it() -> None:
    """The report has the seed, the delays and the trace, and its choices replay."""
    with pytest.raises(ScheduleFailure) as caught:
        explore(bank(), dict, balanced, seed=1)

    found = caught.value
    assert "of seed 1, shortened from" in found.report
    assert "resume    deposit   held for" in found.report
    assert "AssertionError" in found.problem
    assert isinstance(found.__cause__, AssertionError)
    assert pickle.loads(pickle.dumps(found)).choices == found.choices

    with pytest.raises(ScheduleFailure, match="held for"):
        replay(bank(), dict, balanced, choices=found.choices)
    assert replay(bank(), dict, balanced, choices=[]).final_state["balance"] == 149


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_correct_pipeline_passes(
    backend: Backend,
) -> None:
    """The report says how many different interleavings were tried."""
    pipe = bank()
    harness = TestPipe(pipe)

    async def atomic(state: State) -> None:
        await anyio.lowlevel.checkpoint()
        state["balance"] += 50

    harness.mock("deposit", side_effect=atomic)
    seen = explore(harness, dict, balanced, schedules=60, backend=backend)

    assert seen.schedules == 60
    assert seen.crossings > 10
    assert seen.interleavings > 5
    assert failpoints.active is None


def test_a_pipeline_that_fails_without_a_schedule_is_reported_so() -> None:
    """A check that never holds is no race; False counts as a failure."""
    with pytest.raises(ScheduleFailure, match="under the plain schedule") as caught:
        explore(bank(), dict, lambda result: False)
    assert caught.value.choices == ()


def test_an_assumed_order_is_found() -> None:
    """Two branches have no order, even if one of them is usually faster."""
    pipe: Pipe[State, Any] = Pipe(dict)

    @pipe.step(to=["quick", "slow"])
    async def root(state: State) -> None: ...

    @pipe.step
    async def quick(state: State) -> None:
        state["ready"] = True

    @pipe.step
    async def slow(state: State) -> None:
        await anyio.sleep(0.05)
        state["saw"] = state.get("ready", False)

    with pytest.raises(ScheduleFailure) as caught:
        explore(pipe, dict, lambda result: result.final_state["saw"])
    assert sum(map(bool, caught.value.choices)) == 1


def test_a_deadlock_under_some_schedule_is_found() -> None:
    """Two locks that are taken in different orders block a run at times."""
    pipe: Pipe[State, Any] = Pipe(dict)

    @pipe.on_startup
    async def locks(state: State) -> None:
        state.update(a=anyio.Lock(), b=anyio.Lock())

    @pipe.step(to=["one", "two"])
    async def root(state: State) -> None: ...

    async def both(first: anyio.Lock, second: anyio.Lock) -> None:
        async with first, second:
            pass

    @pipe.step
    async def one(state: State) -> None:
        await both(state["a"], state["b"])

    @pipe.step
    async def two(state: State) -> None:
        await anyio.sleep(0.01)
        await both(state["b"], state["a"])

    with pytest.raises(ScheduleFailure, match=r"(?s)Deadlock.*step 'one'.*step 'two'"):
        explore(pipe, dict, lambda result: None, seed=3, schedules=500)


def test_threads_are_replaced_so_that_a_schedule_can_be_repeated() -> None:
    """A step placed in a thread is explored inline."""
    import threading

    pipe: Pipe[State, Any] = Pipe(dict)

    @pipe.step(placement="thread")
    def where(state: State) -> None:
        state["thread"] = threading.current_thread()

    result = replay(pipe, dict, lambda result: None, choices=[])
    assert result.final_state["thread"] is threading.main_thread()


@settings(max_examples=30)
@given(choices=schedules())
def test_hypothesis_draws_schedules_too(choices: list[int]) -> None:
    """A schedule is a list of integers, which hypothesis can shrink."""
    pipe: Pipe[State, Any] = Pipe(dict)
    pipe.step("only")(lambda state: state.update(done=True))
    result = replay(pipe, dict, lambda result: None, choices=choices)
    assert result.final_state == {"done": True}


def test_explorations_cannot_be_nested() -> None:
    """The failpoints belong to the process, so a second exploration is refused."""
    inner = bank()

    def check(result: TestResult[State]) -> None:
        with seams_taken():
            explore(inner, dict, balanced, schedules=1)

    with pytest.raises(ScheduleFailure, match="one thing at a time"):
        explore(bank(), dict, check, schedules=1)


def seams_taken() -> Any:
    """Use the failpoints."""
    from justpipe_actors.testing import Schedule, at_seams

    return at_seams(Schedule([]))


# -- the same seed gives the same runs


PROGRAM = """
import sys
sys.path[:0] = {path!r}
from tests.testing.test_exploration import bank, balanced, explore
from justpipe_actors.errors import (ScheduleFailure)
try:
    explore(bank(), dict, balanced, seed="same", backend="trio")
except ScheduleFailure as found:
    print(found)
"""


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trace_in_every_process() -> None:
    """Hash seeds, addresses and the time of day change nothing."""
    seen = {trace(hashing) for hashing in ("0", "1", "random")}

    assert len(seen) == 1
    assert "held for" in seen.pop()


def trace(hashing: str) -> str:
    """Return the result of a new process."""
    program = PROGRAM.format(path=sys.path)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": hashing, "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout
