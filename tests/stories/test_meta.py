"""Notes of runs, children and maps are separate."""

from __future__ import annotations

from typing import Any

import anyio
import attrs
from anyio.lowlevel import checkpoint

from justpipe_actors import EventType, Meta, Pipe

from ..helpers import (
    AnyPipe,
)


# -- notes


@attrs.define
class Noted:
    """A context with a field for notes."""

    meta: Meta | None = None


async def test_notes_of_runs_that_share_a_context() -> None:
    """A child and two runs on one context each have their own notes."""
    child: AnyPipe = Pipe(dict, Noted, metadata={"who": "child"})

    @child.step("x")
    async def x(ctx: Any) -> None:
        ctx.meta.run.set("who", ctx.meta.pipeline.get("who"))
        await checkpoint()

    pipe: AnyPipe = Pipe(dict, Noted, metadata={"who": "parent"})

    @pipe.sub("s", pipeline=child, to="after")
    def s(ctx: Any) -> dict[str, Any]:
        ctx.meta.step.set("by", "sub")
        return {}

    @pipe.step("after")
    async def after(state: Any, ctx: Any) -> None:
        await checkpoint()
        ctx.meta.run.set("who", ctx.meta.pipeline.get("who"))
        ctx.meta.run.set("number", state["number"])

    shared = Noted()
    finishes: dict[str, Any] = {}
    ends: list[Any] = []

    async def one(number: int) -> None:
        async with pipe.run({"number": number}, shared) as run:
            async for event in run:
                if event.type is EventType.FINISH:
                    finishes[f"{event.stage} {number}"] = event.meta
                elif event.type is EventType.STEP_END and event.stage == "s":
                    ends.append(event.meta and event.meta["data"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one, 1)
        tasks.start_soon(one, 2)

    assert finishes == {
        "s:system 1": {"data": {"who": "child"}},
        "s:system 2": {"data": {"who": "child"}},
        "system 1": {"data": {"who": "parent", "number": 1}},
        "system 2": {"data": {"who": "parent", "number": 2}},
    }
    assert ends == [{"by": "sub"}] * 2


async def test_notes_of_a_map_are_separate_from_its_workers() -> None:
    """Notes of the map's function are on the map's STEP_END, those of a worker on its own."""
    pipe: AnyPipe = Pipe(dict, Noted)

    @pipe.map(each="w")
    def m(ctx: Any) -> list[int]:
        ctx.meta.step.set("by", "map")
        return [1, 2]

    @pipe.step
    def w(item: int, ctx: Any) -> None:
        ctx.meta.step.set("by", item)
        ctx.meta.run.increment("items")

    async with pipe.run({}, Noted()) as run:
        events = [event async for event in run]
    ends = [e for e in events if e.type is EventType.STEP_END]

    assert [e.meta["data"]["by"] for e in ends if e.meta] == [1, 2, "map"]
    assert events[-1].meta == {"counters": {"items": 2}}


async def test_a_late_arrival_at_a_closed_join_names_the_join() -> None:
    """The join closed because that parent was absent."""
    pipe: Pipe[Any, Any] = Pipe(dict, allow_multi_root=True)

    @pipe.step(to=["way", "late"])
    async def first(state: dict[str, Any]) -> str:
        return "namer"

    @pipe.step(to="join")
    async def way(state: dict[str, Any]) -> None:
        pass

    @pipe.step(to="join")
    async def late(state: dict[str, Any]) -> None:
        pass

    @pipe.step
    async def join(state: dict[str, Any]) -> None:
        state["joined"] = True

    @pipe.step
    async def namer(state: dict[str, Any]) -> str:
        return "late"

    state: dict[str, Any] = {}
    end = await pipe.run(state, start="first").wait()

    assert state == {}
    assert [(one.step, one.kind, one.parents) for one in end.diagnostics] == [
        ("join", "unsatisfied", ("late",))
    ]
