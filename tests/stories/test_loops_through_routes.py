"""A cycle that passes through a switch or a returned name is a loop."""

from __future__ import annotations

from typing import Any

import anyio

from justpipe_actors import Pipe, Skip


AnyPipe = Pipe[Any, Any]


def agent(*, laps: int) -> AnyPipe:
    """Return the standard graph of an agent: think, switch, call a tool, think."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to="act")
    async def think(state: dict[str, Any]) -> None:
        state["thoughts"] = state.get("thoughts", 0) + 1

    @pipe.switch(to={"tool": "call_tool", "done": "answer"})
    async def act(state: dict[str, Any]) -> str:
        return "tool" if state["thoughts"] <= laps else "done"

    @pipe.step(to="think")
    async def call_tool(state: dict[str, Any]) -> None:
        state["calls"] = state.get("calls", 0) + 1

    @pipe.step
    async def answer(state: dict[str, Any]) -> None:
        state["answers"] = state.get("answers", 0) + 1

    return pipe


async def test_an_agent_loop_runs_without_start() -> None:
    """The loop begins at its first step and ends through the switch."""
    state: dict[str, Any] = {}
    end = await agent(laps=5).run(state).wait()

    assert end.status.value == "success"
    assert state == {"thoughts": 6, "calls": 5, "answers": 1}


async def test_a_step_may_lead_into_a_loop() -> None:
    """The first step of the loop waits for that step and not for the way back."""
    pipe = agent(laps=3)
    pipe.step("begin", to="think")(lambda state: state.update(begun=True))

    state: dict[str, Any] = {}
    await pipe.run(state).wait()

    assert state == {"begun": True, "thoughts": 4, "calls": 3, "answers": 1}


async def test_a_thousand_laps_keep_few_waves() -> None:
    """The waves of ended laps are dropped."""
    state: dict[str, Any] = {}
    async with agent(laps=1000).run(state) as run:
        end = await run.wait()

    assert end.status.value == "success"
    assert state["calls"] == 1000


def review(decide: Any) -> AnyPipe:
    """Return a loop of draft and judge beside another branch, with a join at the end."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to=["draft", "beside"])
    async def begin(state: dict[str, Any]) -> None:
        pass

    @pipe.step(to="judge")
    async def draft(state: dict[str, Any]) -> None:
        state["drafts"] = state.get("drafts", 0) + 1

    @pipe.switch(to={"again": "draft", "ok": "publish"})
    async def judge(state: dict[str, Any]) -> Any:
        return decide(state)

    @pipe.step(to="publish")
    async def beside(state: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()

    @pipe.step
    async def publish(state: dict[str, Any]) -> None:
        state.setdefault("published", []).append(state["drafts"])

    return pipe


async def test_a_join_after_a_loop_waits_for_the_last_lap() -> None:
    """It runs once, after the loop and the other branch."""
    state: dict[str, Any] = {}
    end = await (
        review(lambda state: "ok" if state["drafts"] == 4 else "again")
        .run(state)
        .wait()
    )

    assert state == {"drafts": 4, "published": [4]}
    assert end.diagnostics == []


async def test_a_join_after_a_loop_that_failed_does_not_run() -> None:
    """A failure in a later lap prunes it."""

    def decide(state: dict[str, Any]) -> str:
        if state["drafts"] == 3:
            msg = "no ink"
            raise ValueError(msg)
        return "again"

    state: dict[str, Any] = {}
    end = await review(decide).run(state).wait()

    assert end.status.value == "failed"
    assert state == {"drafts": 3}


async def test_a_skip_on_the_way_back_prunes_what_follows_the_loop() -> None:
    """The loop ended inside of a lap, so nothing after it runs."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to=["think", "beside"])
    async def begin(state: dict[str, Any]) -> None:
        pass

    @pipe.step(to="act")
    async def think(state: dict[str, Any]) -> None:
        state["thoughts"] = state.get("thoughts", 0) + 1

    @pipe.switch(to={"tool": "call_tool", "done": "join"})
    async def act(state: dict[str, Any]) -> str:
        return "tool"

    @pipe.step(to="think")
    async def call_tool(state: dict[str, Any]) -> Any:
        return Skip() if state["thoughts"] == 2 else None

    @pipe.step(to="join")
    async def beside(state: dict[str, Any]) -> None:
        pass

    @pipe.step
    async def join(state: dict[str, Any]) -> None:
        state["joined"] = True

    state: dict[str, Any] = {}
    await pipe.run(state).wait()

    assert state == {"thoughts": 2}


async def test_an_exit_beside_the_switch_leaves_all_laps() -> None:
    """An edge out of the loop from another step reports to the wave around the loop."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to=["think", "beside"])
    async def begin(state: dict[str, Any]) -> None:
        pass

    @pipe.step(to="act")
    async def think(state: dict[str, Any]) -> None:
        state["thoughts"] = state.get("thoughts", 0) + 1

    @pipe.switch(to={"tool": "call_tool"})
    async def act(state: dict[str, Any]) -> str:
        return "tool"

    @pipe.switch(to={"again": "think", "enough": "join"})
    async def call_tool(state: dict[str, Any]) -> str:
        return "again" if state["thoughts"] < 3 else "enough"

    @pipe.step(to="join")
    async def beside(state: dict[str, Any]) -> None:
        pass

    @pipe.step
    async def join(state: dict[str, Any]) -> None:
        state["joined"] = state.get("joined", 0) + 1

    state: dict[str, Any] = {}
    end = await pipe.run(state).wait()

    assert state == {"thoughts": 3, "joined": 1}
    assert end.diagnostics == []


async def test_a_diamond_inside_a_loop_joins_once_a_lap() -> None:
    """The join waits for both of its parents in every lap."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to=["left", "right"])
    async def think(state: dict[str, Any]) -> None:
        pass

    @pipe.step(to="act")
    async def left(state: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()

    @pipe.step(to="act")
    async def right(state: dict[str, Any]) -> None:
        pass

    @pipe.switch(to={"again": "think", "done": "answer"})
    async def act(state: dict[str, Any]) -> str:
        state["acts"] = state.get("acts", 0) + 1
        return "again" if state["acts"] < 4 else "done"

    @pipe.step
    async def answer(state: dict[str, Any]) -> None:
        state["answers"] = state.get("answers", 0) + 1

    state: dict[str, Any] = {}
    await pipe.run(state).wait()

    assert state == {"acts": 4, "answers": 1}


async def test_a_loop_by_a_returned_name_with_a_static_way_back() -> None:
    """A step that returns the name of a tool, which leads back to it, is a loop too."""
    pipe: AnyPipe = Pipe(dict)

    @pipe.step(to="answer", routes=["call_tool"])
    async def think(state: dict[str, Any]) -> str | None:
        state["thoughts"] = state.get("thoughts", 0) + 1
        return "call_tool" if state["thoughts"] < 3 else None

    @pipe.step(to="think")
    async def call_tool(state: dict[str, Any]) -> None:
        pass

    @pipe.step
    async def answer(state: dict[str, Any]) -> None:
        state["answers"] = state.get("answers", 0) + 1

    state: dict[str, Any] = {}
    await pipe.run(state).wait()

    assert state == {"thoughts": 3, "answers": 1}
