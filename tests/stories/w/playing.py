"""What the stories of the weaknesses share: how a run is played, alone and in company."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from justpipe_actors import Event, Pipe
from justpipe_actors.supervisor import Supervisor
from justpipe_actors.types import PipelineEndData, PipelineTerminalStatus

from ...samples import told as told


AnyPipe = Pipe[Any, Any]

SUCCESS = PipelineTerminalStatus.SUCCESS
FAILED = PipelineTerminalStatus.FAILED
CANCELLED = PipelineTerminalStatus.CANCELLED
TIMEOUT = PipelineTerminalStatus.TIMEOUT

company = pytest.mark.parametrize(
    "company", [0, 1, 3], ids=["alone", "hosted", "three"]
)
"""Without a supervisor, in one, and in one with two more runs of the same pipe."""


async def play(
    pipe: AnyPipe, state: Any = None, *, company: int = 0, **options: Any
) -> list[Event]:
    """Return the events of one run, of the last one when there are several."""
    played: list[list[Event]] = []

    async def one() -> None:
        fresh = {} if state is None else state
        async with pipe.run(fresh, **options) as run:
            events = [event async for event in run]
            assert run.snapshot().tokens == {}
            played.append(events)

    with anyio.fail_after(100_000):  # of virtual time; real time has its own limit
        if not company:
            await one()
        else:
            async with Supervisor(), anyio.create_task_group() as tasks:
                for _ in range(company):
                    tasks.start_soon(one)
    assert len({told(events)[-1] for events in played}) == 1
    return played[-1]


def end_of(events: list[Event]) -> PipelineEndData:
    """Return the payload of the run's own FINISH."""
    payload = events[-1].payload
    assert isinstance(payload, PipelineEndData)
    return payload


def nothing(state: Any) -> None:
    """Do nothing."""


def chain(*names: str, **options: Any) -> AnyPipe:
    """Return a pipe of steps that do nothing, one after the other."""
    pipe: AnyPipe = Pipe(dict, **options)
    for name, following in zip(names, [*names[1:], None], strict=True):
        pipe.step(name, to=following)(nothing)
    return pipe


def steps(pipe: AnyPipe, **edges: list[str]) -> None:
    """Add steps that do nothing, with their successors."""
    for name, to in edges.items():
        pipe.step(name, to=to)(nothing)


def empty() -> dict[str, Any]:
    """Return a child's state."""
    return {}
