from __future__ import annotations

import threading
from contextvars import ContextVar

import anyio
import pytest
from anyio import CapacityLimiter

from justpipe_actors import Pipe
from justpipe_actors.abc import Placement
from justpipe_actors.placements import HerePlacement, ThreadPlacement


RUN = ContextVar("RUN", default="nobody's")

PLACEMENTS = [HerePlacement, ThreadPlacement]


@pytest.mark.parametrize("kind", PLACEMENTS)
async def test_a_result_comes_back(kind: type[Placement]) -> None:
    """A placement returns what the call returns."""
    placement = kind()

    assert isinstance(placement, Placement)
    assert await placement.run_sync(lambda: 42) == 42


@pytest.mark.parametrize("kind", PLACEMENTS)
async def test_an_exception_comes_back(kind: type[Placement]) -> None:
    """A placement raises what the call raises."""

    def fail() -> None:
        raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        await kind().run_sync(fail)


@pytest.mark.parametrize("kind", PLACEMENTS)
async def test_context_variables_go_along(kind: type[Placement]) -> None:
    """The call sees the context variables of whoever asked for it."""
    RUN.set("mine")

    assert await kind().run_sync(RUN.get) == "mine"


async def test_here_is_the_loops_own_thread() -> None:
    """HerePlacement moves nothing, ThreadPlacement does."""
    here = threading.get_ident()

    assert await HerePlacement().run_sync(threading.get_ident) == here
    assert await ThreadPlacement().run_sync(threading.get_ident) != here


async def test_a_limiter_bounds_the_threads() -> None:
    """With a limiter of one, the second call begins when the first has ended."""
    placement = ThreadPlacement(CapacityLimiter(1))
    inside = 0
    most = 0
    lock = threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(placement.run_sync, enter)

    assert (inside, most) == (0, 1)


async def test_a_cancelled_step_waits_for_its_thread() -> None:
    """Nothing of a call happens after the one who waits for it has gone on."""
    begun, go = threading.Event(), threading.Event()
    log: list[str] = []

    def work() -> None:
        begun.set()
        go.wait()
        log.append("thread done")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ThreadPlacement().run_sync, work)
        await anyio.to_thread.run_sync(begun.wait)
        tasks.cancel_scope.cancel()
        go.set()
    log.append("left")

    assert log == ["thread done", "left"]


async def test_a_placed_step_runs_off_the_loop() -> None:
    """``placement="thread"`` moves a step's function, and its state is the run's."""
    pipe = Pipe[dict[str, int], None](dict)

    @pipe.step(placement="thread")
    def work(state: dict[str, int]) -> None:
        state["thread"] = threading.get_ident()

    state: dict[str, int] = {}
    async with pipe.run(state) as run:
        await run.wait()

    assert state["thread"] != threading.get_ident()
