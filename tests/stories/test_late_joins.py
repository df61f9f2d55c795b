"""Joins whose parents come too late, and what a handler may return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from justpipe_actors import EventType, Pipe, Retry, Skip, Stop, Suspend
from justpipe_actors.types import _Map

from ..helpers import event_words


pytestmark = pytest.mark.virtual_time


def late(handler: Callable[..., Any]) -> Pipe[Any, Any]:
    """Return a pipe whose join ``d`` waits 1 s for ``c``, which takes 5 s."""
    pipe: Pipe[Any, Any] = Pipe(dict)

    @pipe.step(to=["b", "c"])
    def a() -> None: ...

    @pipe.step(to="d")
    def b() -> None: ...

    @pipe.step(to="d")
    async def c() -> None:
        await anyio.sleep(5)

    @pipe.step(to="e", barrier_timeout=1, on_error=handler)
    def d() -> None: ...

    @pipe.step
    def e() -> None: ...

    @pipe.step
    def instead() -> None: ...

    return pipe


async def words(handler: Callable[..., Any]) -> list[str]:
    """Return the events of a run after the join has timed out."""
    async with late(handler).run({}, start="a") as run:
        said = event_words([event async for event in run])
    return said[said.index("STEP_START c") + 1 :]


async def test_a_handler_may_name_another_step() -> None:
    """It runs; the join and its successors do not."""
    said = await words(lambda error: "instead")

    assert said == [
        "STEP_START instead",
        "STEP_END instead",
        "STEP_END c",
        "FINISH SUCCESS",
    ]


async def test_a_handler_may_start_the_join_without_the_missing_parent() -> None:
    """``Retry()`` runs the join now, and the late parent does not run it again."""
    said = await words(lambda error: Retry())

    assert said == [
        "STEP_START d",
        "STEP_END d",
        "STEP_START e",
        "STEP_END e",
        "STEP_END c",
        "FINISH SUCCESS",
    ]


async def test_a_handler_may_return_a_map() -> None:
    """The workers of the map have an owner of their own, and the run ends."""
    async with late(lambda error: _Map("xy", "instead")).run({}, start="a") as run:
        events = [event async for event in run]

    said = event_words(events)
    assert said[said.index("MAP_START d") :] == [
        "MAP_START d",
        "MAP_WORKER instead[0]",
        "MAP_WORKER instead[1]",
        "STEP_START instead",
        "STEP_END instead",
        "STEP_START instead",
        "STEP_END instead",
        "MAP_COMPLETE d",
        "STEP_END c",
        "FINISH SUCCESS",
    ]
    ids = {one.stage: one for one in events if one.type is EventType.STEP_START}
    mapped = next(one for one in events if one.type is EventType.MAP_START)
    assert mapped.invocation_id not in {one.invocation_id for one in ids.values()}
    assert ids["instead"].owner_invocation_id == mapped.invocation_id


@pytest.mark.parametrize("answer", [Skip(), None], ids=["skip", "none"])
async def test_a_handler_may_leave_the_join_out(answer: object) -> None:
    """``Skip()`` or None leaves out the join and its successors."""
    said = await words(lambda error: answer)

    assert said == ["STEP_END c", "FINISH SUCCESS"]


@pytest.mark.parametrize("answer", [Stop, Suspend("ask")], ids=["stop", "suspend"])
async def test_a_handler_may_end_the_run(answer: object) -> None:
    """``Stop`` and ``Suspend`` end the run with success; a running parent may finish."""
    said = await words(lambda error: answer)

    assert said[-2:] == ["STEP_END c", "FINISH SUCCESS"]
    assert said[:-2] == (["SUSPEND d"] if isinstance(answer, Suspend) else [])


async def test_a_handler_may_fail_too() -> None:
    """Its error is the failure, and the timeout is the context of the error."""

    def handler(error: Exception) -> None:
        raise LookupError("nor that") from error

    async with late(handler).run({}, start="a") as run:
        events = [event async for event in run]

    (error,) = (event for event in events if event.type is EventType.STEP_ERROR)
    assert "nor that" in error.payload
    assert event_words(events)[-1] == "FINISH FAILED"
    assert events[-1].payload.failed_step == "d"


async def test_a_handler_may_wait() -> None:
    """The run waits for a slow handler and uses its result."""

    async def handler(error: Exception) -> Any:
        await anyio.sleep(10)
        return "instead"

    said = await words(handler)

    assert said == [
        "STEP_END c",
        "STEP_START instead",
        "STEP_END instead",
        "FINISH SUCCESS",
    ]
