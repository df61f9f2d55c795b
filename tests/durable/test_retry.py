"""A retry runs the failed steps again, and no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Literal

import anyio
import pytest

from justpipe_actors import (
    Ask,
    Event,
    EventType,
    Pipe,
    Stop,
    Supervisor,
    ask,
    once,
)
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineEndData, PipelineTerminalStatus

from .crash_model import final_state, wait_until
from .test_clock_jumps import HOUR, JumpingJournal


SUCCESS, FAILED = PipelineTerminalStatus.SUCCESS, PipelineTerminalStatus.FAILED
State = dict[str, Any]
AnyPipe = Pipe[Any, Any]


class Work:
    """Counts calls, and fails the named ones until ``heal`` is called."""

    def __init__(self, *failing: str) -> None:
        self.failing = set(failing)
        self.calls: Counter[str] = Counter()

    def do(self, name: str) -> None:
        """Note a call."""
        self.calls[name] += 1
        if name in self.failing:
            raise ValueError(name)

    def heal(self) -> None:
        """Let all calls succeed from now on, and reset the counts."""
        self.failing.clear()
        self.calls.clear()


async def fail_and_retry(
    pipe: AnyPipe,
    work: Work,
    state: Any = None,
    *,
    hangs: Callable[[], bool] | None = None,
    **options: Any,
) -> tuple[PipelineEndData, Any]:
    """Run a pipe, which fails, and retry it; return the end and state of the retry.

    Once it hangs, two hours pass.
    """
    journal = JumpingJournal(verify=True)
    with anyio.fail_after(30):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, state or {}, run_id="run", **options)
            if hangs is not None:
                await wait_until(hangs)
                journal.offset += 2 * HOUR
            assert (await run.wait()).status is not SUCCESS
            work.heal()
            again = await supervisor.retry("run", new_id="again")
            end = await again.wait()
    return end, final_state(pipe, journal, "again")


def add_steps(pipe: AnyPipe, work: Work, **edges: str) -> None:
    """Add steps that note their calls, each with its comma-separated successors."""

    def make(name: str) -> Any:
        async def func(state: State) -> None:
            work.do(name)
            state[name] = state.get(name, 0) + 1

        return func

    for name, to in edges.items():
        pipe.step(name, to=to.split(",") if to else None)(make(name))


async def test_only_the_failed_items_of_a_map_run_again() -> None:
    """The results of the others are collected with the new ones."""
    work = Work("item 2", "item 5")
    pipe: AnyPipe = Pipe(dict, name="mapped")
    add_steps(pipe, work, begin="fan", end="")

    @pipe.map("fan", each="item", to="end", collect="found", max_concurrency=2)
    async def fan(state: State) -> list[int]:
        work.do("fan")
        return list(range(8))

    @pipe.step("item")
    async def item(state: State, number: int) -> int:
        work.do(f"item {number}")
        return number * 10

    end, state = await fail_and_retry(pipe, work)

    assert end.status is SUCCESS
    assert work.calls == {"item 2": 1, "item 5": 1, "end": 1}
    assert state == {"begin": 1, "found": [n * 10 for n in range(8)], "end": 1}


async def test_succeeded_items_of_a_lazy_source_do_not_run_again() -> None:
    """The source is read again, as after a crash."""
    work = Work("item 1")
    pipe: AnyPipe = Pipe(dict, name="lazy")

    @pipe.map("fan", each="item", max_concurrency=2)
    async def fan(state: State) -> AsyncIterator[int]:
        for number in range(4):
            yield number

    @pipe.step("item")
    async def item(state: State, number: int) -> None:
        work.do(f"item {number}")

    end, _ = await fail_and_retry(pipe, work)

    assert end.status is SUCCESS
    assert work.calls == {"item 1": 1}


async def test_branches_beside_a_failed_step_do_not_run_again() -> None:
    """This holds also for those that ended after the failure; pruned steps run once now."""
    work = Work("broken")
    pipe: AnyPipe = Pipe(dict, name="branches")
    add_steps(
        pipe,
        work,
        begin="broken,one",
        one="two",
        two="join",
        broken="behind",
        behind="join",
        join="end",
        end="",
    )

    end, state = await fail_and_retry(pipe, work)

    assert end.status is SUCCESS
    assert end.diagnostics == []
    assert work.calls == {"broken": 1, "behind": 1, "join": 1, "end": 1}
    names = ["begin", "broken", "one", "two", "behind", "join", "end"]
    assert state == dict.fromkeys(names, 1)


async def test_two_failures_run_again() -> None:
    """A join that both had pruned waits for both."""
    work = Work("left", "right")
    pipe: AnyPipe = Pipe(dict, name="twice")
    add_steps(pipe, work, begin="left,right", left="join", right="join", join="")

    end, _ = await fail_and_retry(pipe, work)

    assert end.status is SUCCESS
    assert work.calls == {"left": 1, "right": 1, "join": 1}


async def test_a_child_run_goes_on_at_its_failed_step() -> None:
    """Neither its other steps nor the step that began it run again."""
    work = Work("third")
    child: AnyPipe = Pipe(dict, name="child")
    add_steps(child, work, first="second", second="third", third="")
    pipe: AnyPipe = Pipe(dict, name="parent")
    add_steps(pipe, work, end="")

    @pipe.sub("sub", child, to="end")
    async def sub(state: State) -> State:
        work.do("sub")
        return {"own": True}

    end, _ = await fail_and_retry(pipe, work)

    assert end.status is SUCCESS
    assert work.calls == {"third": 1, "end": 1}


@pytest.mark.parametrize("policy", ["stop", "prune"])
async def test_interrupted_steps_run_again(
    policy: Literal["stop", "prune"],
) -> None:
    """They were interrupted by ``on_failure="stop"`` or by the run's timeout."""
    work = Work("broken")
    gate = anyio.Event()
    pipe: AnyPipe = Pipe(dict, name="stopped", on_failure=policy)
    add_steps(pipe, work, begin="slow,broken", broken="", after="")

    @pipe.step("slow", to="after")
    async def slow(state: State) -> None:
        work.do("slow")
        await gate.wait()

    original = work.heal

    def heal() -> None:
        original()
        gate.set()

    work.heal = heal  # type: ignore[method-assign]
    end, _ = await fail_and_retry(
        pipe, work, timeout=HOUR, hangs=lambda: {"slow", "broken"} <= work.calls.keys()
    )

    assert end.status is SUCCESS
    assert work.calls == {"broken": 1, "slow": 1, "after": 1}


async def test_with_continue_the_successors_of_a_failed_step_run_again() -> None:
    """They ran without the changes of the failed step."""
    work = Work("broken")
    pipe: AnyPipe = Pipe(dict, name="continued", on_failure="continue")
    add_steps(pipe, work, begin="broken", broken="behind", behind="")

    end, state = await fail_and_retry(pipe, work)

    assert end.status is SUCCESS
    assert work.calls == {"broken": 1, "behind": 1}
    assert state == {"begin": 1, "broken": 1, "behind": 1}


async def test_a_failed_startup_hook_is_called_again() -> None:
    """The run begins, because no step had run."""
    work = Work("startup")
    pipe: AnyPipe = Pipe(dict, name="hooked")
    add_steps(pipe, work, begin="end", end="")
    pipe.on_startup(lambda: work.do("startup"))

    end, _ = await fail_and_retry(pipe, work)

    assert end.status is SUCCESS
    assert work.calls == {"startup": 1, "begin": 1, "end": 1}


async def test_a_retried_step_keeps_the_results_of_once() -> None:
    """``once`` does not call its function again."""
    work = Work("step")
    pipe: AnyPipe = Pipe(dict, name="kept")

    @pipe.step
    async def step(state: State) -> None:
        await once("paid", work.do, "pay")
        work.do("step")

    end, _ = await fail_and_retry(pipe, work)

    assert end.status is SUCCESS
    assert work.calls == {"step": 1}


@pytest.mark.parametrize("place", ["inside", "between"])
async def test_an_ask_that_timed_out_is_asked_again(place: str) -> None:
    """For an ask in a step the step begins again, for one between steps the asking step."""
    pipe: AnyPipe = Pipe(dict, name="asking")
    limit = timedelta(seconds=0.2)

    @pipe.step("inside")
    async def inside(state: State) -> None:
        state["answer"] = await ask(str, "Which?", key="which", timeout=limit)

    @pipe.step("between")
    async def between(state: State) -> Any:
        return Ask(str, "Which?", to=decide, timeout=limit)

    @pipe.step("decide")
    async def decide(state: State, answer: str) -> Any:
        state["answer"] = answer
        return Stop()

    journal = MemoryJournal()
    with anyio.fail_after(30):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="run", start=place)
            assert (await run.wait()).status is FAILED
            limit = timedelta(hours=1)
            again = await supervisor.retry("run", new_id="again")
            asks: list[Any] = []
            while not asks:
                await anyio.sleep(0.01)
                asks = await supervisor.asks("again")
            await supervisor.answer(asks[0].id, "this")
            assert (await again.wait()).status is SUCCESS
    assert final_state(pipe, journal, "again") == {"answer": "this"}


async def test_a_join_that_timed_out_runs_when_its_parents_ended_later() -> None:
    """Its parents do not run again."""
    work = Work()
    pipe: AnyPipe = Pipe(dict, name="late")
    add_steps(pipe, work, begin="quick,slow", quick="join")

    has_failed = anyio.Event()

    @pipe.step("slow", to="join")
    async def slow(state: State) -> None:
        work.do("slow")
        await has_failed.wait()

    @pipe.step("join", barrier_timeout=0.05)
    async def join(state: State) -> None:
        work.do("join")

    def note(event: Event) -> Event:
        if event.type is EventType.STEP_ERROR:
            has_failed.set()
        return event

    pipe.add_event_hook(note)

    end, _ = await fail_and_retry(pipe, work)

    assert end.status is SUCCESS
    assert work.calls == {"join": 1}


async def test_a_retry_that_fails_can_be_retried() -> None:
    """Each retry runs only what failed."""
    work = Work("one", "two")
    pipe: AnyPipe = Pipe(dict, name="stubborn")
    add_steps(pipe, work, begin="one,two", one="join", two="join", join="")
    journal = MemoryJournal()
    with anyio.fail_after(30):
        async with Supervisor(pipe, journal=journal) as supervisor:
            run = await supervisor.submit(pipe, {}, run_id="r0")
            end = await run.wait()
            for number, healed in enumerate(["one", "two"]):
                work.failing.discard(healed)
                run = await supervisor.retry(f"r{number}", new_id=f"r{number + 1}")
                end = await run.wait()
    assert end.status is SUCCESS
    assert work.calls == {"begin": 1, "one": 2, "two": 3, "join": 1}
