"""Failpoints of the engine, and what a failure at one of them leaves behind."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import pytest

from justpipe_actors import Event, EventType, Pipe, Skip, Supervisor
from justpipe_actors._util.failpoints import JOURNAL_SEAMS, Seam
from justpipe_actors.observability import Observer
from justpipe_actors.testing import Fault, at_seams


SEAMS = [seam for seam in Seam if seam not in JOURNAL_SEAMS]
"""The seams of runs that are not durable."""


class PlannedError(Exception):
    """The error that tests raise at a failpoint."""


def everything() -> Pipe[Any, Any]:  # noqa: C901 - many small steps
    """Return a pipe whose run passes every failpoint."""
    child: Pipe[Any, Any] = Pipe(dict, log_state=False)

    @child.step
    async def inner(state: dict[str, Any]) -> None: ...

    pipe: Pipe[Any, Any] = Pipe(dict, log_state=False, allow_multi_root=True)

    @pipe.on_startup
    async def up() -> None: ...

    @pipe.on_shutdown
    async def down() -> None: ...

    @pipe.step(to=["left", "right", "items"])
    async def root(state: dict[str, Any]) -> Any:
        yield 1
        await anyio.lowlevel.checkpoint()

    @pipe.step(to="join")
    async def left(state: dict[str, Any]) -> None: ...

    @pipe.step(to="join")
    async def right(state: dict[str, Any]) -> None:
        await anyio.sleep(3)

    @pipe.step(barrier_timeout=1, on_error=lambda error: Skip())
    async def join(state: dict[str, Any]) -> None: ...

    @pipe.map(each="work", to="again", max_concurrency=1)
    async def items(state: dict[str, Any]) -> Any:
        return [1, 2]

    @pipe.step
    async def work(state: dict[str, Any], item: int) -> None:
        await anyio.lowlevel.checkpoint()

    @pipe.sub(pipeline=child)
    async def again(state: dict[str, Any]) -> Any:
        return {}

    pipe.add_observer(Observer())
    return pipe


def fault(seam: Seam, at: int) -> Fault:
    """Return a function that fails at one passage of a failpoint, or counts them."""
    return Fault(seam, PlannedError(seam.value), at)


def finishes(events: list[Event]) -> list[Event]:
    """Return the run's own FINISH events."""
    return [e for e in events if (e.type, e.stage) == (EventType.FINISH, "system")]


@pytest.mark.virtual_time
@pytest.mark.parametrize("seam", SEAMS)
async def test_a_fault_at_any_failpoint_ends_the_run_once(
    seam: Seam,
) -> None:
    """Wherever the engine fails, the run has one end and leaves nothing."""
    for at in range(await crossings(seam)):
        events: list[Event] = []
        with at_seams(fault(seam, at)), anyio.fail_after(1000), suppress(PlannedError):
            async with everything().run({}) as run:
                async for event in run:
                    events.append(event)

        assert run.snapshot().tokens == {}
        assert run.snapshot().running == ()
        assert run.end is not None
        assert len(finishes(events)) <= 1
        assert finishes(events) or seam is Seam.READ  # there the consumer fails


@pytest.mark.virtual_time
@pytest.mark.parametrize("seam", SEAMS)
async def test_a_fault_in_one_run_does_not_affect_another(seam: Seam) -> None:
    """The runs share actors."""
    for at in range(await crossings(seam)):
        pipe = everything()
        async with Supervisor() as supervisor:
            bad = supervisor.run(pipe, {})
            with at_seams(fault(seam, at)), suppress(PlannedError):
                async with bad:
                    await bad.wait()
            good = await supervisor.run(pipe, {}).wait()
            assert supervisor.snapshot().runs == {}

        assert good.status.value == "success"
        assert bad.end is not None or seam is Seam.SPAWN  # then it may not even begin


async def crossings(seam: Seam) -> int:
    """Return how often a whole run passes a failpoint, which is at least once."""
    counter = fault(seam, -1)
    with at_seams(counter):
        assert (await everything().run({}).wait()).status.value == "success"
    assert counter.crossed
    return counter.crossed
