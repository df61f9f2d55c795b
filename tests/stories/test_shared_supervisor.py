"""Runs in one supervisor share actors and nothing else."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import EventType, Pipe, Supervisor
from justpipe_actors.types import PipelineEndData

from ..helpers import talking_pipe


def counting() -> Pipe[Any, Any]:
    """Return root -> [left, right] -> end, where left may fail or wait for ever."""
    pipe: Pipe[Any, Any] = Pipe(dict)
    pipe.step("root", to=["left", "right"])(lambda state: None)

    @pipe.step(to="end")
    async def left(state: dict[str, Any]) -> None:
        await checkpoint()
        if state.get("fail"):
            raise ValueError("boom")
        if state.get("wait"):
            await anyio.sleep_forever()

    pipe.step("right", to="end")(lambda state: None)
    pipe.step("end")(lambda state: state.update(ended=True))
    return pipe


async def test_a_plain_run_is_hosted_by_the_open_supervisor() -> None:
    """In an open supervisor a plain run uses its actors."""
    pipe = counting()
    async with Supervisor() as supervisor:
        async for _ in pipe.run({}):
            pass
        async with pipe.run({}) as run:
            await run.wait()
        actors = supervisor.snapshot().actors

    assert sorted(actor.step for actor in actors) == ["end", "left", "right", "root"]
    assert {(actor.depth, actor.busy) for actor in actors} == {(0, 0)}


async def test_failures_stay_in_their_run() -> None:
    """Of fifty runs one fails and one is cancelled; the other 48 have unchanged events."""
    pipe = counting()
    ends: dict[int, PipelineEndData] = {}

    async def play(number: int, state: dict[str, Any], reason: str | None) -> None:
        async with supervisor.run(pipe, state) as run:
            if reason is not None:
                await anyio.wait_all_tasks_blocked()
                run.cancel(reason)
            ends[number] = await run.wait()

    async with Supervisor() as supervisor, anyio.create_task_group() as tasks:
        tasks.start_soon(play, 0, {"fail": True}, None)
        tasks.start_soon(play, 1, {"wait": True}, "enough")
        for number in range(2, 50):
            tasks.start_soon(play, number, {}, None)

    assert (ends[0].status.value, ends[0].failed_step) == ("failed", "left")
    assert (ends[1].status.value, ends[1].error) == ("cancelled", "enough")
    others = [ends[number] for number in range(2, 50)]
    assert {end.status.value for end in others} == {"success"}
    assert {str(end.metrics and end.metrics.events) for end in others} == {
        str(others[0].metrics and others[0].metrics.events)
    }


async def test_a_stalled_consumer_stalls_only_its_run() -> None:
    """Another run has all of its events."""
    pipe = talking_pipe(4)

    async with Supervisor(grace=0) as supervisor:
        stalled = supervisor.run(pipe, {})
        await anext(stalled)
        tokens = [
            event.payload
            async for event in supervisor.run(pipe, {})
            if event.type is EventType.TOKEN
        ]
        await stalled.aclose()

    assert tokens == list(range(180))


@pytest.mark.virtual_time
async def test_leaving_waits_and_then_cancels() -> None:
    """Runs may finish within the grace; then they end as CANCELLED, with a reason."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step
    async def s(state: dict[str, Any]) -> None:
        await anyio.sleep(state["seconds"])

    async with Supervisor(grace=10) as supervisor:
        runs = [supervisor.run(pipe, {"seconds": seconds}) for seconds in (5, 3600)]
        for run in runs:
            await anext(run)

    ends = [await run.wait() for run in runs]
    assert [end.status.value for end in ends] == ["success", "cancelled"]
    assert ends[1].error == "The supervisor was closed"


async def test_a_body_that_fails_cancels_the_runs() -> None:
    """Its error is raised without a group, after the cleanup of the runs."""
    cleaned: list[str] = []
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step
    async def s(state: dict[str, Any]) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append("yes")

    with pytest.raises(KeyError):
        async with Supervisor() as supervisor:
            run = supervisor.run(pipe, {})
            await anext(run)
            await anext(run)
            raise KeyError("mine")

    assert cleaned == ["yes"]
    await run.aclose()


async def test_children_share_the_supervisor() -> None:
    """A sub-pipeline runs in its parent's supervisor, for every item of a map."""
    child: Pipe[Any, Any] = Pipe(dict, name="child")
    child.step("x")(lambda state: state["seen"].append(state["item"]))
    pipe: Pipe[Any, Any] = Pipe(dict, name="parent")
    pipe.map("m", each="w")(lambda state: range(30))
    pipe.sub("w", pipeline=child)(
        lambda state, item: {"seen": state["seen"], "item": item}
    )
    state: dict[str, Any] = {"seen": []}

    async with Supervisor() as supervisor:
        async with pipe.run(state) as run:
            end = await run.wait()
        steps = sorted(actor.step for actor in supervisor.snapshot().actors)

    assert end.status.value == "success"
    assert sorted(state["seen"]) == list(range(30))
    assert steps == ["m", "w", "x"]
