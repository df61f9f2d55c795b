"""What every placement must do: coroutine functions, each a claim, each given one.

They use nothing but ``Placement``.  The checks hold wherever a call can run that shares
memory with the loop: on it or in a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from ...abc import Placement
from ...pipe import Pipe


Check = Callable[[Placement], Awaitable[None]]
"""A claim about placements, given a new one."""

STUCK_AFTER = 10.0
"""Seconds after which a placement counts as stuck."""

_CONTEXT_VALUE = ContextVar("justpipe_actors_conformance", default="nobody's")


async def check_placement(factory: Callable[[], Placement]) -> None:
    """Run every check against a placement of its own, in the current event loop.

    Args:
        factory: returns a new placement at each call.

    Raises:
        AssertionError: the placement does not do what a check claims; the note says
            which.
        TimeoutError: a call did not come to an end.
    """
    for check in PLACEMENT_CHECKS:
        try:
            with anyio.fail_after(STUCK_AFTER):
                await check(factory())
        except Exception as error:
            error.add_note(f"{getattr(check, '__name__', check)}: {check.__doc__}")
            raise


async def it_is_a_placement(placement: Placement) -> None:
    """It has a name and can run a call."""
    assert isinstance(placement, Placement)
    assert placement.name


async def a_result_comes_back(placement: Placement) -> None:
    """What the call returns is returned, whatever it is."""
    for result in (42, None, object()):

        def call(result: object = result) -> object:
            return result

        assert await placement.run_sync(call) is result


async def an_exception_comes_back(placement: Placement) -> None:
    """What the call raises is raised, and the next call runs as ever."""
    error = LookupError("lost")

    def fail() -> None:
        raise error

    raised: BaseException | None = None
    try:
        await placement.run_sync(fail)
    except LookupError as caught:
        raised = caught
    assert raised is error
    assert await placement.run_sync(lambda: "next") == "next"


async def context_variables_go_along(placement: Placement) -> None:
    """The call sees the context variables of whoever asked for it."""
    reset = _CONTEXT_VALUE.set("mine")
    try:
        assert await placement.run_sync(_CONTEXT_VALUE.get) == "mine"
    finally:
        _CONTEXT_VALUE.reset(reset)


async def calls_do_not_mix(placement: Placement) -> None:
    """Many calls at once each get their own result."""
    results: dict[int, int] = {}

    async def call(number: int) -> None:
        results[number] = await placement.run_sync(lambda: number * number)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(call, number)
    assert results == {number: number * number for number in range(20)}


async def nothing_is_seen_after_a_cancellation(placement: Placement) -> None:
    """When the waiting task has gone on, its call has ended and left its marks."""
    if await placement.run_sync(threading.get_ident) == threading.get_ident():
        return  # nothing can cancel what holds the loop
    started, may_finish = threading.Event(), threading.Event()
    log: list[str] = []

    def work() -> None:
        started.set()
        may_finish.wait(STUCK_AFTER)
        log.append("the call")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(placement.run_sync, work)
        await anyio.to_thread.run_sync(started.wait, STUCK_AFTER)
        tasks.cancel_scope.cancel()
        may_finish.set()
    log.append("whoever waited")
    assert log in (["the call", "whoever waited"], ["whoever waited"])
    before = list(log)
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
    assert log == before


async def a_step_can_be_placed_there(placement: Placement) -> None:
    """A step's function runs there, on the run's own state."""
    pipe: Pipe[dict[str, int], None] = Pipe(dict)

    def work(state: dict[str, int]) -> None:
        state["done"] = state.get("done", 0) + 1

    pipe.step("work", placement=placement)(work)
    state: dict[str, int] = {}
    end = await pipe.run(state).wait()
    assert end.status.value == "success", end.error
    assert state == {"done": 1}


PLACEMENT_CHECKS: tuple[Check, ...] = (
    it_is_a_placement,
    a_result_comes_back,
    an_exception_comes_back,
    context_variables_go_along,
    calls_do_not_mix,
    nothing_is_seen_after_a_cancellation,
    a_step_can_be_placed_there,
)
