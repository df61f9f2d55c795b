"""The stored history of runs with isolated state."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import anyio

from justpipe_actors import EventType, Pipe
from justpipe_actors.storage import InMemoryBackend


@dataclass
class Report:
    log: list[str] = field(default_factory=list)


async def test_stored_history_shows_committed_states() -> None:
    """Each stored STEP_END has the state that its step committed, not a later one."""
    storage = InMemoryBackend()
    pipe = Pipe(Report, state_mode="isolated", storage=storage)

    @pipe.step("a", to=["b", "fails"])
    async def a(state: Report) -> None:
        state.log.append("a")

    @pipe.step("b", to="c")
    async def b(state: Report) -> None:
        await anyio.sleep(0.01)
        state.log.append("b")

    @pipe.step("fails")
    async def fails(state: Report) -> None:
        state.log.append("never")
        raise ValueError

    @pipe.step("c")
    async def c(state: Report) -> None:
        state.log.append("c")

    async with pipe.run(Report(), start="a") as run:
        await run.wait()

    ends = [
        json.loads(event.data)["payload"]["log"]
        for event in storage.get_events(run.run_id)
        if event.event_type is EventType.STEP_END
    ]
    assert ends == [["a"], ["a", "b"], ["a", "b", "c"]]
