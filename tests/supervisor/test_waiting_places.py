"""A durable run that only waits frees its place, and queues for one when it goes on."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import pytest

from justpipe_actors import Ask, Pipe, Supervisor, ask, sleep_until
from justpipe_actors.errors import UnknownAsk
from justpipe_actors.journals import MemoryJournal
from justpipe_actors.outcomes import PipelineTerminalStatus


SUCCESS = PipelineTerminalStatus.SUCCESS
CANCELLED = PipelineTerminalStatus.CANCELLED
AnyPipe = Pipe[Any, Any]


def asking(kind: str, at_work: list[str]) -> AnyPipe:  # noqa: C901 - one pipe a kind
    """Return a pipe that asks inside a step, between two steps, in a map or in a sub-pipeline."""
    pipe: AnyPipe = Pipe(dict, name=kind)

    async def question(state: dict[str, Any], key: str) -> None:
        state[key] = await ask(bool, "Go on?", key=key)

    @pipe.step("after")
    async def after(state: dict[str, Any], ok: bool | None = None) -> None:
        at_work.append("in")
        await anyio.sleep(0.02)
        at_work.append("out")

    if kind == "between":

        @pipe.step("first")
        async def first(state: dict[str, Any]) -> Any:
            return Ask(bool, "Go on?", to=after)

    elif kind == "map":

        @pipe.step("worker")
        async def worker(state: dict[str, Any], item: int) -> None:
            await question(state, f"item {item}")

        @pipe.map("first", each="worker", to="after")
        async def source(state: dict[str, Any]) -> list[int]:
            return [1]

    elif kind == "child":
        child: AnyPipe = Pipe(dict, name="inner")

        @child.step("inner")
        async def inner(state: dict[str, Any]) -> None:
            await question(state, "inner")

        @pipe.sub("first", child, to="after")
        async def sub(state: dict[str, Any]) -> dict[str, Any]:
            return state

    else:

        @pipe.step("first", to="after")
        async def first_(state: dict[str, Any]) -> None:
            await question(state, "first")

    return pipe


KINDS = ["inside", "between", "map", "child"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("durable", [False, True])
async def test_many_runs_wait_beside_one_place(kind: str, *, durable: bool) -> None:
    """Once they are answered they go on one after the other."""
    at_work: list[str] = []
    pipe = asking(kind, at_work)
    journal = MemoryJournal() if durable else None
    with anyio.fail_after(30):
        async with Supervisor(pipe, max_runs=1, journal=journal) as supervisor:
            runs = [await supervisor.submit(pipe, {}) for _ in range(3)]
            asks: list[Any] = []
            while len(asks) < 3:
                await anyio.sleep(0.01)
                asks = await supervisor.asks()
            for one in asks:
                await supervisor.answer(one.id, True)
            ends = [await run.wait() for run in runs]
    assert [end.status for end in ends] == [SUCCESS] * 3
    assert at_work == ["in", "out"] * 3


async def test_a_run_with_a_step_at_work_keeps_its_place() -> None:
    """An open ask in another step does not free it."""
    gate = anyio.Event()
    pipe: AnyPipe = Pipe(dict, name="busy", allow_multi_root=True)

    @pipe.step("asks")
    async def asks(state: dict[str, Any]) -> None:
        await ask(bool, "Go on?", key="go")

    @pipe.step("works")
    async def works(state: dict[str, Any]) -> None:
        await gate.wait()

    with anyio.fail_after(30):
        async with Supervisor(pipe, max_runs=1) as supervisor:
            run = await supervisor.submit(pipe, {})
            with anyio.move_on_after(0.1) as limit:
                await supervisor.submit(pipe, {})
            assert limit.cancelled_caught
            gate.set()
            other = await supervisor.submit(pipe, {})
            run.cancel("enough")
            assert (await run.wait()).status is CANCELLED
            other.cancel("enough")
            assert (await other.wait()).status is CANCELLED
            assert supervisor.snapshot().places.inside == 0


@pytest.mark.virtual_time
async def test_a_run_that_sleeps_frees_its_place() -> None:
    """It goes on when its time has come and a place is free, and not before."""
    order: list[str] = []
    gate = anyio.Event()
    pipe: AnyPipe = Pipe(dict, name="sleepy")

    @pipe.step("sleep", to="end")
    async def sleep(state: dict[str, Any]) -> None:
        if state["sleeps"]:
            await sleep_until(timedelta(seconds=0.05), key="nap")
        else:
            await gate.wait()
        order.append("sleeper" if state["sleeps"] else "other")

    @pipe.step("end")
    async def end(state: dict[str, Any]) -> None:
        pass

    with anyio.fail_after(30):
        async with Supervisor(pipe, max_runs=1) as supervisor:
            first = await supervisor.submit(pipe, {"sleeps": True})
            second = await supervisor.submit(pipe, {"sleeps": False})
            await anyio.sleep(0.15)
            assert order == []
            gate.set()
            assert (await first.wait()).status is SUCCESS
            assert (await second.wait()).status is SUCCESS
    assert order == ["other", "sleeper"]


async def test_an_answered_run_that_waits_for_a_place_can_be_cancelled() -> None:
    """It ends at once and takes no place."""
    at_work: list[str] = []
    gate = anyio.Event()
    pipe = asking("inside", at_work)
    other: AnyPipe = Pipe(dict, name="other")

    @other.step("only")
    async def only(state: dict[str, Any]) -> None:
        await gate.wait()

    with anyio.fail_after(30):
        async with Supervisor(pipe, other, max_runs=1) as supervisor:
            run = await supervisor.submit(pipe, {})
            busy = await supervisor.submit(other, {})
            (question,) = await supervisor.asks()
            await supervisor.answer(question.id, True)
            assert await supervisor.asks() == []
            await anyio.sleep(0.02)
            run.cancel("enough")
            assert (await run.wait()).status is CANCELLED
            gate.set()
            assert (await busy.wait()).status is SUCCESS
            assert supervisor.snapshot().places.inside == 0
    assert at_work == []


class Crowd:
    """Counts how many runs are at work at the same time."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = self.most = 0

    async def work(self) -> None:
        """Be at work for a short time."""
        self.now += 1
        self.most = max(self.most, self.now)
        await anyio.sleep(self.chance.random() * 0.005)
        self.now -= 1

    async def answer_all(self, supervisor: Supervisor) -> None:
        """Answer some asks, again and again."""
        while True:
            asks = await supervisor.asks()
            for one in self.chance.sample(asks, min(len(asks), 4)):
                with suppress(UnknownAsk):
                    await supervisor.answer(one.id, True)
            await anyio.sleep(0.003)


def crowded(crowd: Crowd) -> tuple[AnyPipe, AnyPipe]:
    """Return a pipe that waits in all ways between short times of work, and its child."""
    child: AnyPipe = Pipe(dict, name="inner")

    @child.step("inner")
    async def inner(state: dict[str, Any]) -> None:
        await crowd.work()
        await ask(bool, "Go on?", key="inner")
        await crowd.work()

    pipe: AnyPipe = Pipe(dict, name="outer")

    @pipe.step("worker")
    async def worker(state: dict[str, Any], item: int) -> None:
        await ask(bool, "Go on?", key="worker")

    @pipe.map("fan", each="worker", to="sub")
    async def fan(state: dict[str, Any]) -> list[int]:
        return [1, 2]

    @pipe.sub("sub", child, to="sleep")
    async def sub(state: dict[str, Any]) -> dict[str, Any]:
        return {}

    @pipe.step("sleep")
    async def sleep(state: dict[str, Any]) -> Any:
        await crowd.work()
        await sleep_until(0.01, key="nap")
        return Ask(bool, "Go on?", to=end)

    @pipe.step("end")
    async def end(state: dict[str, Any], ok: bool) -> None:
        await crowd.work()

    return pipe, child


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_no_more_runs_are_at_work_than_there_are_places(
    seed: int, *, durable: bool
) -> None:
    """This holds in whatever order runs wait, park, go on and are answered."""
    crowd = Crowd(seed)
    pipe, child = crowded(crowd)
    journal = MemoryJournal() if durable else None
    with anyio.fail_after(60):
        async with (
            Supervisor(pipe, child, journal=journal, max_runs=2) as supervisor,
            anyio.create_task_group() as tasks,
        ):
            runs = [await supervisor.submit(pipe, {}) for _ in range(8)]
            tasks.start_soon(crowd.answer_all, supervisor)
            for run in runs:
                assert (await run.wait()).status is SUCCESS
            tasks.cancel_scope.cancel()
    assert crowd.most == 2
    assert supervisor.snapshot().places.inside == 0
