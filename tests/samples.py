"""Pipes that several tests run, and their events in words."""

from __future__ import annotations

from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from justpipe_actors import Event, EventType, Pipe


def sleeper() -> Pipe[Any, Any]:
    """Return a pipe that sleeps, and then cleans up for ``state["cleanup"]`` seconds."""
    pipe: Pipe[Any, Any] = Pipe(dict, name="sleeper")

    @pipe.step
    async def sleep(state: dict[str, Any]) -> None:
        try:
            await anyio.sleep(state["seconds"])
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(state.get("cleanup", 0))
            state["cleaned"] = anyio.current_time()

    return pipe


def talker(queue_size: int) -> Pipe[Any, Any]:
    """Return a pipe that streams 180 tokens, one in each turn of the loop."""
    pipe: Pipe[Any, Any] = Pipe(dict, queue_size=queue_size)

    @pipe.step
    async def talk(state: dict[str, Any]) -> Any:
        for item in range(180):
            yield item
            await checkpoint()

    return pipe


def told(events: list[Event]) -> list[str]:
    """Return events as short words, the run's own FINISH by its status."""
    return [
        f"FINISH {event.payload.status.name}"
        if event.type is EventType.FINISH and event.stage == "system"
        else f"{event.type.name} {event.stage}"
        for event in events
    ]
