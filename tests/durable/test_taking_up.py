"""Events while a run is claimed and not yet at work."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import anyio
import pytest

from justpipe_actors import Ask, Pipe, Supervisor, Suspend, ask
from justpipe_actors._supervisor import stored_runs
from justpipe_actors.abc import Commit, NewRun, Signal, Submitted
from justpipe_actors.errors import RunRejected, RunTimeout
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineTerminalStatus

from .crash_model import final_state, wait_until


SUCCESS = PipelineTerminalStatus.SUCCESS
HOUR = timedelta(hours=1)


def asking() -> Pipe[Any, Any]:
    """Return a pipe with a step that asks."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="asking")

    @pipe.step("first")
    async def first(state: dict[str, Any]) -> None:
        state["answer"] = await ask(int, key="q")

    return pipe


class SlowJournal(MemoryJournal):
    """A journal that stores a submitted run when a test tells it to."""

    def __init__(self) -> None:
        super().__init__()
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()

    def submit(self, new: NewRun, worker: int | None = None) -> Submitted:
        """Store a run, late."""
        self.has_begun.set()
        self.may_go_on.wait(30)
        return super().submit(new, worker)


@pytest.mark.parametrize("max_runs", [None, 1])
async def test_a_run_goes_on_when_its_submission_was_cancelled(
    max_runs: int | None,
) -> None:
    """It may be stored all the same; then its worker takes it up."""
    journal, pipe = SlowJournal(), asking()
    async with Supervisor(pipe, journal=journal, max_runs=max_runs) as supervisor:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: supervisor.submit(pipe, {}, run_id="run"))
            await wait_until(journal.has_begun.is_set)
            tasks.cancel_scope.cancel()
        journal.may_go_on.set()
        await wait_until(lambda: bool(journal.asks("run")))
        await supervisor.answer("run:first:q", 1)
        run = await supervisor.submit(pipe, {}, run_id="run")
        with anyio.fail_after(30):
            assert (await run.wait()).status is SUCCESS
        again = await supervisor.submit(pipe, {}, run_id="second")
        await wait_until(lambda: bool(journal.asks("second")))
        await again.answer("second:first:q", 2)
        with anyio.fail_after(30):
            assert (await again.wait()).status is SUCCESS


class RacingJournal(MemoryJournal):
    """A journal that gets a signal just after a claimed run has read its signals."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.supervisor: Supervisor | None = None

    def signals_of(self, run: int) -> list[Signal]:
        """Return signals; then another one comes, and the worker's turn reads it."""
        found = super().signals_of(run)
        if self.supervisor is not None:
            supervisor, self.supervisor = self.supervisor, None
            if self.kind == "cancel":
                assert self.cancel("run", "enough")
            else:
                assert self.answer("run:first:q", "1")
            durable = supervisor._core.durable
            assert durable is not None
            durable.keeper._turn()
        return found


@pytest.mark.parametrize("kind", ["cancel", "answer"])
async def test_a_signal_for_a_run_that_is_being_taken_up_is_not_lost(kind: str) -> None:
    """It comes after the run has read its signals and before the run is at work."""
    journal, pipe = RacingJournal(kind), asking()
    async with Supervisor(pipe, journal=journal, grace=0.1) as supervisor:
        await supervisor.submit(pipe, {}, run_id="run")
        await wait_until(lambda: bool(journal.asks("run")))
    async with Supervisor(pipe, journal=journal, grace=0.1) as supervisor:
        journal.supervisor = supervisor
        run = await supervisor.submit(pipe, {}, run_id="run")
        with anyio.fail_after(30):
            end = await run.wait()
    expected = "cancelled" if kind == "cancel" else "success"
    assert end.status.value == expected


async def test_a_run_is_taken_up_after_the_clean_up_of_its_parking() -> None:
    """A parked run that is answered at once waits for that."""
    journal = MemoryJournal()
    pipe: Pipe[Any, Any] = Pipe(dict, name="parked")
    order: list[str] = []
    is_leaving, may_leave = anyio.Event(), anyio.Event()

    @pipe.step("first", routes=["second"])
    async def first(state: dict[str, Any]) -> Ask:
        return Ask(int, to="second", key="q")

    @pipe.step("second")
    async def second(state: dict[str, Any], answer: int) -> None:
        order.append("second")
        state["answer"] = answer

    @pipe.on_shutdown
    async def clean_up() -> None:
        is_leaving.set()
        await may_leave.wait()
        order.append("cleaned up")

    async with Supervisor(pipe, journal=journal, grace=0.1) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="run")
        with anyio.fail_after(30):
            await is_leaving.wait()
            await supervisor.answer("run:first:q", 1)
            await wait_until(lambda: _status_of(journal) == "running")
            may_leave.set()
            assert (await run.wait()).status is SUCCESS
    assert order == ["cleaned up", "second", "cleaned up"]


def _status_of(journal: MemoryJournal) -> str:
    row = journal.find("run")
    assert row is not None
    return row.status


class CrowdedJournal(MemoryJournal):
    """A journal in which another process resumes a run while this one reads it."""

    is_other_quicker = False

    def commits(self, run: int, upto: int | None = None) -> list[Commit]:
        """Return rows, late."""
        if self.is_other_quicker:
            self.is_other_quicker = False
            stored_runs.resume(self, "run", "theirs")
        return super().commits(run, upto)


async def test_one_of_two_processes_resumes_a_suspended_run() -> None:
    """This holds also when both have found it suspended."""
    journal = CrowdedJournal()
    pipe: Pipe[Any, Any] = Pipe(dict, name="suspended")

    @pipe.step("first")
    async def first(state: dict[str, Any]) -> Suspend:
        return Suspend("a person has to look")

    async with Supervisor(pipe, journal=journal, grace=0.1) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="run")
        await run.wait()
        journal.is_other_quicker = True
        with pytest.raises(RunRejected, match="was resumed meanwhile"):
            await supervisor.resume("run", new_id="ours")
        assert journal.find("ours") is None
        found = journal.find("run")
        assert found is not None
        assert found.resumed_by == "theirs"


@pytest.mark.parametrize("kind", ["moments", "join"])
async def test_timers_that_are_due_fire_in_the_order_of_their_times(kind: str) -> None:
    """Their order does not depend on when they were started."""
    moved = 0.0
    journal = MemoryJournal(clock=lambda: time.time() + moved)
    pipe: Pipe[Any, Any] = Pipe(dict, name="moments", allow_multi_root=True)

    def add(name: str, hours: int, then: str | None = None) -> None:
        @pipe.step(name, routes=[f"after {name}"])
        async def wait(state: dict[str, Any]) -> Ask:
            return Ask(None, to=f"after {name}", timeout=hours * HOUR)

        @pipe.step(f"after {name}", to=then)
        async def after(state: dict[str, Any]) -> None:
            state["order"] = [*state.get("order", []), name]

    add("late", 3, "join" if kind == "join" else None)
    add("early", 1)
    if kind == "join":

        @pipe.step("beside", to="join")
        async def beside(state: dict[str, Any]) -> None:
            pass

        async def expired(state: dict[str, Any], error: Exception) -> None:
            state["order"] = [*state.get("order", []), "join"]

        @pipe.step("join", barrier_timeout=7200, on_error=expired)
        async def join(state: dict[str, Any]) -> None:
            state["order"] = [*state.get("order", []), "joined"]

    async with Supervisor(pipe, journal=journal, grace=0.1) as supervisor:
        await supervisor.submit(pipe, {}, run_id="run")
        await wait_until(lambda: _timers_of(journal) == (3 if kind == "join" else 2))
    moved = 4 * 3600.0
    async with Supervisor(pipe, journal=journal, grace=0.1) as supervisor:
        run = await supervisor.submit(pipe, {}, run_id="run")
        with anyio.fail_after(30):
            assert (await run.wait()).status is SUCCESS
    expected = ["early", "join", "late"] if kind == "join" else ["early", "late"]
    assert final_state(pipe, journal, "run")["order"] == expected


def _timers_of(journal: MemoryJournal) -> int:
    """Return the number of stored timers of a run."""
    row = journal.find("run")
    if row is None:
        return 0
    text = "".join(commit.delta for commit in journal.commits(row.id))
    return text.count('"a/') + text.count('"t/')


async def test_a_timeout_is_named_as_it_was_given() -> None:
    """What is left of it when a process takes the run up is not what the user wrote."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="endless")
    pipe.step("endless")(anyio.sleep_forever)
    async with Supervisor(pipe, journal=MemoryJournal()) as supervisor:
        run = await supervisor.submit(pipe, {}, timeout=0.05)
        with pytest.raises(RunTimeout, match=r"timeout of 0\.05 s"):
            await run.result()
