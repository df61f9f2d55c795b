"""Checks for placements: coroutine functions that receive a placement.

``PLACEMENT_CHECKS`` hold for all placements: values, errors, context variables and
cancellation.  ``LOCAL_PLACEMENT_CHECKS`` hold for those that share memory with the
loop: results are the same objects, not copies.

The functions that run in the placement are defined at the top level of this module,
because another process has to find them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

from ..._definition.steps import StepDef, StepSettings
from ..._engine.remote_calls import RemoteFunction
from ...abc import AnyPlacement, LocalPlacement, Placement, PlacementOwner, is_remote
from ...events import NodeKind
from ...pipe import Pipe
from ...supervisor import Supervisor


Check = Callable[[Any], Awaitable[None]]
"""A claim about placements, given a new one."""

STUCK_AFTER = 60.0
"""Seconds after which a placement counts as stuck; a cluster has to start."""

REMOTE_WORK = 0.5
"""Seconds that a cancelled function would have worked on."""

_CONTEXT_VALUE = ContextVar("conformance_run", default="default")


async def check_placement(factory: Callable[[], AnyPlacement]) -> None:
    """Run every check that applies to a placement, in the current event loop.

    Args:
        factory: returns a new placement at each call.

    Raises:
        AssertionError: the placement fails a check; the note names the check.
        TimeoutError: a call did not end.
    """
    for check in checks_for(factory()):
        try:
            with anyio.fail_after(STUCK_AFTER):
                await check(factory())
        except Exception as error:
            error.add_note(f"{getattr(check, '__name__', check)}: {check.__doc__}")
            raise


def checks_for(placement: AnyPlacement) -> tuple[Check, ...]:
    """Return the checks that apply to a placement."""
    if is_remote(placement):
        return PLACEMENT_CHECKS
    return PLACEMENT_CHECKS + LOCAL_PLACEMENT_CHECKS


CallThere = Callable[..., Awaitable[Any]]
"""Calls a function with keyword arguments in a placement."""


@asynccontextmanager
async def opened(placement: AnyPlacement) -> AsyncGenerator[CallThere]:
    """Open a placement and return what calls functions in it."""
    if isinstance(placement, Placement) and is_remote(placement):
        async with placement.open(PlacementOwner(name="check")) as there:

            async def call(func: Callable[..., Any], **arguments: Any) -> Any:
                step = StepDef(
                    name="check",
                    kind=NodeKind.STEP,
                    func=func,
                    injection={},
                    options=StepSettings(),
                )
                return await RemoteFunction(step, placement).call_in(there, arguments)

            yield call
    else:
        assert isinstance(placement, LocalPlacement)

        async def call_here(func: Callable[..., Any], **arguments: Any) -> Any:
            return await placement.run_sync(partial(func, **arguments))

        yield call_here


async def _start_work(call: CallThere, folder: str) -> None:
    await call(_work_on, folder=folder)


async def _is_on_the_loop(call: CallThere) -> bool:
    return bool(await call(threading.get_ident) == threading.get_ident())


# -- functions that run there


def _echo(value: Any) -> Any:
    return value


def _fail() -> None:
    message = "lost"
    raise LookupError(message)


def _read_variable() -> str:
    return _CONTEXT_VALUE.get()


def _square(number: int) -> int:
    return number * number


def _work_on(folder: str) -> None:
    Path(folder, "begun").touch()
    end = time.monotonic() + REMOTE_WORK
    while time.monotonic() < end:
        continue
    Path(folder, "finished").touch()


def _has(folder: str, name: str) -> bool:
    return Path(folder, name).exists()


def _count(state: dict[str, int]) -> None:
    state["done"] = state.get("done", 0) + 1


# -- for all


async def it_is_a_placement(placement: AnyPlacement) -> None:
    """It has a name and can run a call."""
    assert isinstance(placement, Placement | LocalPlacement)
    assert placement.name


async def a_value_comes_back(placement: AnyPlacement) -> None:
    """What the function returns is returned."""
    async with opened(placement) as call:
        for value in (42, None, "text", [1, {"a": 2.5}]):
            assert await call(_echo, value=value) == value


async def an_error_comes_back(placement: AnyPlacement) -> None:
    """An error of the function is raised, and the next call still works."""
    raised: BaseException | None = None
    async with opened(placement) as call:
        try:
            await call(_fail)
        except LookupError as caught:
            raised = caught
        assert type(raised) is LookupError
        assert raised.args == ("lost",)
        assert await call(_echo, value="next") == "next"


async def context_variables_go_along(placement: AnyPlacement) -> None:
    """The function sees the context variables of the calling task."""
    reset = _CONTEXT_VALUE.set("mine")
    try:
        async with opened(placement) as call:
            assert await call(_read_variable) == "mine"
    finally:
        _CONTEXT_VALUE.reset(reset)


async def calls_do_not_mix(placement: AnyPlacement) -> None:
    """Many calls at once each get their own result."""
    results: dict[int, int] = {}

    async with opened(placement) as there:

        async def call(number: int) -> None:
            results[number] = await there(_square, number=number)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(call, number)
    assert results == {number: number * number for number in range(20)}


async def a_cancelled_call_is_over(placement: AnyPlacement) -> None:
    """After a cancelled call has returned, its function is not running any more."""
    with TemporaryDirectory() as folder:
        async with opened(placement) as call:
            if not is_remote(placement) and await _is_on_the_loop(call):
                return  # nothing can cancel what holds the loop
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_start_work, call, folder)
                while not _has(folder, "begun"):  # noqa: ASYNC110 - elsewhere
                    await anyio.sleep(0.005)
                tasks.cancel_scope.cancel()
            was_finished = _has(folder, "finished")
            await anyio.sleep(REMOTE_WORK)
            assert _has(folder, "finished") == was_finished
            assert await call(_echo, value="next") == "next"


async def a_step_can_be_placed_there(placement: AnyPlacement) -> None:
    """A step's function runs there, and what it changes is in the run's state."""
    pipe: Pipe[dict[str, int], None] = Pipe(dict)
    pipe.step("work", placement=placement)(_count)
    state: dict[str, int] = {}
    async with Supervisor():
        end = await pipe.run(state).wait()
    assert end.status.value == "success", end.error
    assert state == {"done": 1}


# -- for those that share memory with the loop


async def results_are_the_same_objects(placement: LocalPlacement) -> None:
    """What the call returns is returned, not a copy."""
    value = object()
    assert await placement.run_sync(lambda: value) is value


async def errors_are_the_same_objects(placement: LocalPlacement) -> None:
    """What the call raises is raised, not a copy."""
    error = LookupError("lost")

    def fail() -> None:
        raise error

    raised: BaseException | None = None
    try:
        await placement.run_sync(fail)
    except LookupError as caught:
        raised = caught
    assert raised is error


async def nothing_is_seen_after_a_cancellation(placement: LocalPlacement) -> None:
    """After a cancelled call has returned, its function has ended with its effects."""
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
    log.append("the waiting task")
    assert log in (["the call", "the waiting task"], ["the waiting task"])
    before = list(log)
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
    assert log == before


PLACEMENT_CHECKS: tuple[Check, ...] = (
    it_is_a_placement,
    a_value_comes_back,
    an_error_comes_back,
    context_variables_go_along,
    calls_do_not_mix,
    a_cancelled_call_is_over,
    a_step_can_be_placed_there,
)
"""Claims about all placements."""

LOCAL_PLACEMENT_CHECKS: tuple[Check, ...] = (
    results_are_the_same_objects,
    errors_are_the_same_objects,
    nothing_is_seen_after_a_cancellation,
)
"""Claims about placements that share memory with the loop."""
