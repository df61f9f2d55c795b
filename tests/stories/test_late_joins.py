"""A join whose parents come too late: what its handler may answer instead."""

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
    """Return what a run tells once the join is too late."""
    async with late(handler).run({}, start="a") as run:
        said = event_words([event async for event in run])
    return said[said.index("STEP_START c") + 1 :]


async def test_another_step_can_be_named() -> None:
    """The step that a handler names runs, the join and what follows it do not."""
    said = await words(lambda error: "instead")

    assert said == [
        "STEP_START instead",
        "STEP_END instead",
        "STEP_END c",
        "FINISH SUCCESS",
    ]


async def test_a_join_can_be_begun_without_the_missing() -> None:
    """``Retry()`` runs the join now; the late parent does not run it again."""
    said = await words(lambda error: Retry())

    assert said == [
        "STEP_START d",
        "STEP_END d",
        "STEP_START e",
        "STEP_END e",
        "STEP_END c",
        "FINISH SUCCESS",
    ]


async def test_a_map_can_stand_in_for_the_missing() -> None:
    """The workers of a handler's map have an owner of their own, and the run ends."""
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
async def test_a_join_can_be_left_out(answer: object) -> None:
    """``Skip()`` or nothing at all leaves the join and what follows it out."""
    said = await words(lambda error: answer)

    assert said == ["STEP_END c", "FINISH SUCCESS"]


@pytest.mark.parametrize("answer", [Stop, Suspend("ask")], ids=["stop", "suspend"])
async def test_the_run_can_be_ended(answer: object) -> None:
    """``Stop`` and ``Suspend`` end the run well; the parent at work may finish."""
    said = await words(lambda error: answer)

    assert said[-2:] == ["STEP_END c", "FINISH SUCCESS"]
    assert said[:-2] == (["SUSPEND d"] if isinstance(answer, Suspend) else [])


async def test_a_handler_may_fail_too() -> None:
    """What a handler raises is the failure, and the missed time its context."""

    def handler(error: Exception) -> None:
        raise LookupError("nor that") from error

    async with late(handler).run({}, start="a") as run:
        events = [event async for event in run]

    (error,) = (event for event in events if event.type is EventType.STEP_ERROR)
    assert "nor that" in error.payload
    assert event_words(events)[-1] == "FINISH FAILED"
    assert events[-1].payload.failed_step == "d"


async def test_a_handler_may_take_its_time() -> None:
    """A handler that waits is waited for, and what it returns then counts."""

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
