from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any

import anyio
import pytest
from anyio import CapacityLimiter

from justpipe_actors import Pipe
from justpipe_actors.abc import Placement
from justpipe_actors.placements import HerePlacement, ThreadPlacement
from justpipe_actors.testing.conformance import PLACEMENT_CHECKS, check_placement
from justpipe_actors.testing.conformance.placements import Check


PLACEMENTS = [HerePlacement, ThreadPlacement]


@pytest.mark.parametrize("kind", PLACEMENTS)
@pytest.mark.parametrize("check", PLACEMENT_CHECKS, ids=lambda check: check.__name__)
async def test_placements_keep_the_contract(
    check: Check, kind: type[Placement]
) -> None:
    """Each check of the conformance suite holds for each placement."""
    await check(kind())


async def test_the_checks_find_a_broken_placement() -> None:
    """A placement that loses context variables fails, and the note names the check."""

    class Forgetful(HerePlacement):
        async def run_sync(self, call: Callable[[], Any], /) -> Any:
            return Context().run(call)

    with pytest.raises(AssertionError) as caught:
        await check_placement(Forgetful)

    assert "context_variables_go_along" in "".join(caught.value.__notes__)
    await check_placement(HerePlacement)


async def test_here_is_the_loops_own_thread() -> None:
    """HerePlacement calls in the same thread, ThreadPlacement in another one."""
    here = threading.get_ident()

    assert await HerePlacement().run_sync(threading.get_ident) == here
    assert await ThreadPlacement().run_sync(threading.get_ident) != here


async def test_a_limiter_limits_the_threads() -> None:
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
    """The caller goes on only after the call in the thread has ended."""
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
    """``placement="thread"`` moves the function of a step; its state is the run's own."""
    pipe = Pipe[dict[str, int], None](dict)

    @pipe.step(placement="thread")
    def work(state: dict[str, int]) -> None:
        state["thread"] = threading.get_ident()

    state: dict[str, int] = {}
    async with pipe.run(state) as run:
        await run.wait()

    assert state["thread"] != threading.get_ident()


@pytest.mark.slow
async def test_a_thread_that_takes_too_long_is_a_timeout() -> None:
    """It cannot be interrupted, so the step fails with the timeout when it returns."""
    log: list[str] = []
    pipe: Pipe[Any, Any] = Pipe(dict)

    # A step whose timeout passes before its thread begins does not run.
    @pipe.step(placement="thread", timeout=0.3, to="b")
    def slow() -> None:
        time.sleep(0.4)
        log.append("returned")

    pipe.step("b")(lambda: log.append("b"))
    async with pipe.run({}) as run:
        end = await run.wait()

    assert (end.failed_step, end.error) == ("slow", "Step 'slow' timed out after 0.3s")
    assert log == ["returned"]
