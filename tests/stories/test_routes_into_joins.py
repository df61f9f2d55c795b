"""A route into a join counts as one more parent: the join runs once."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import Pipe
from justpipe_actors.types import BarrierType


AnyPipe = Pipe[Any, Any]


def log_of(pipe: AnyPipe, name: str, *, waits: int = 0, **options: Any) -> None:
    """Register a step that notes its name after so many checkpoints."""

    @pipe.step(name, **options)
    async def step(state: list[str]) -> None:
        for _ in range(waits):
            await anyio.lowlevel.checkpoint()
        state.append(name)


async def run_and_get_notes(pipe: AnyPipe, **options: Any) -> list[str]:
    """Run a pipe and return the names that its steps noted."""
    state: list[str] = []
    end = await pipe.run(state, **options).wait()
    assert end.status.value == "success"
    assert end.diagnostics == []
    return state


def pipe_with_router(waits_of_a: int, waits_of_router: int, kind: str) -> AnyPipe:
    """Return a pipe whose join has a parent and a route."""
    pipe: AnyPipe = Pipe(list)
    log_of(pipe, "begin", to=["a", "b", "router"])
    log_of(pipe, "a", to="join", waits=waits_of_a)
    log_of(pipe, "b", to="join")

    async def router(state: list[str]) -> str:
        for _ in range(waits_of_router):
            await anyio.lowlevel.checkpoint()
        return "join" if kind in ("returned", "hinted") else "go"

    match kind:
        case "target":
            pipe.switch("router", to={"go": "join", "stay": "other"})(router)
        case "default":
            pipe.switch("router", to={"stay": "other"}, default="join")(router)
        case "callable":
            pipe.switch("router", to=lambda value: "join", routes=["join"])(router)
        case _:
            pipe.step("router", routes=["join"])(router)
    if kind in ("target", "default"):
        log_of(pipe, "other")
    log_of(pipe, "join")
    return pipe


@pytest.mark.parametrize("kind", ["target", "default", "callable", "hinted"])
@pytest.mark.parametrize(("of_a", "of_router"), [(0, 9), (9, 0), (3, 3)])
async def test_a_join_with_a_route_runs_once_after_the_others(
    kind: str, of_a: int, of_router: int
) -> None:
    """It runs after all its parents, whichever is last."""
    noted = await run_and_get_notes(pipe_with_router(of_a, of_router, kind))

    assert noted.count("join") == 1
    assert noted[-1] == "join"
    assert {"a", "b"} <= set(noted)


async def test_a_returned_name_without_hint_is_one_more_parent() -> None:
    """A step that returns the name of a waiting join does not start it early."""
    pipe: AnyPipe = Pipe(list, allow_multi_root=True)
    log_of(pipe, "begin", to=["a", "b", "namer"])
    log_of(pipe, "a", to="join", waits=9)
    log_of(pipe, "b", to="join")
    pipe.step("namer")(lambda state: "join")
    log_of(pipe, "join")

    noted = await run_and_get_notes(pipe, start="begin")

    assert noted[-1] == "join"
    assert noted.count("join") == 1


async def test_a_returned_name_opens_a_join_that_its_parents_leave() -> None:
    """Both parents go elsewhere later; the step that returned the name is enough."""
    pipe: AnyPipe = Pipe(list, allow_multi_root=True)
    log_of(pipe, "begin", to=["a", "b", "namer"])
    pipe.step("namer")(lambda state: "join")
    log_of(pipe, "other")
    log_of(pipe, "join")

    async def leave(state: list[str]) -> str:
        for _ in range(9):
            await anyio.lowlevel.checkpoint()
        return "other"

    pipe.step("a", to="join", routes=["other"])(leave)
    pipe.step("b", to="join", routes=["other"])(leave)

    noted = await run_and_get_notes(pipe, start="begin")

    assert noted.count("join") == 1


async def test_a_switch_with_another_route_does_not_delay_the_join() -> None:
    """The join opens with its other parents."""
    pipe: AnyPipe = Pipe(list)
    log_of(pipe, "begin", to=["a", "router"])
    log_of(pipe, "a", to="join")
    pipe.switch("router", to={"go": "join", "stay": "other"})(lambda state: "stay")
    log_of(pipe, "other")
    log_of(pipe, "join")

    noted = await run_and_get_notes(pipe)

    assert sorted(noted) == ["a", "begin", "join", "other"]


async def test_a_step_that_returns_another_name_does_not_delay_a_join() -> None:
    """Its static successor does not run, and the join after that opens at once."""
    pipe: AnyPipe = Pipe(list)
    log_of(pipe, "begin", to=["a", "chooser"])
    log_of(pipe, "a", to="join")
    pipe.step("chooser", to="b", routes=["slow"])(lambda state: "slow")
    log_of(pipe, "b", to="join")
    log_of(pipe, "slow", waits=9)
    log_of(pipe, "join")

    assert await run_and_get_notes(pipe) == ["begin", "a", "join", "slow"]


async def test_any_join_opens_at_its_route_and_ignores_the_rest() -> None:
    """It does not run again for its other parents."""
    pipe: AnyPipe = Pipe(list)
    log_of(pipe, "begin", to=["a", "router"])
    log_of(pipe, "a", to="join", waits=9)
    pipe.switch("router", to={"go": "join"})(lambda state: "go")
    log_of(pipe, "join", barrier_type=BarrierType.ANY)

    noted = await run_and_get_notes(pipe)

    assert noted == ["begin", "join", "a"]


async def test_a_step_may_return_the_name_of_its_own_successor() -> None:
    """It reports to that join, and its other successors do not run."""
    pipe: AnyPipe = Pipe(list)
    log_of(pipe, "begin", to=["a", "b"])
    pipe.step("a", to=["join", "other"])(lambda state: "join")
    log_of(pipe, "b", to="join", waits=5)
    log_of(pipe, "other")
    log_of(pipe, "join")

    assert await run_and_get_notes(pipe) == ["begin", "b", "join"]


async def test_a_run_that_starts_after_the_switch_does_not_wait_for_it() -> None:
    """A switch that the run cannot reach is no parent."""
    pipe: AnyPipe = Pipe(list)
    pipe.switch("router", to={"go": "join", "stay": "a"})(lambda state: "stay")
    log_of(pipe, "a", to="join")
    log_of(pipe, "join")

    assert await run_and_get_notes(pipe, start="a") == ["a", "join"]
