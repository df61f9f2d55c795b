"""Pipes that several tests use, functions that run them, and short texts of events."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from justpipe_actors import Event, EventType, Pipe
from justpipe_actors.observability import Observer
from justpipe_actors.supervisor import Supervisor
from justpipe_actors.types import PipelineEndData, PipelineTerminalStatus


AnyPipe = Pipe[Any, Any]

SUCCESS = PipelineTerminalStatus.SUCCESS
FAILED = PipelineTerminalStatus.FAILED
CANCELLED = PipelineTerminalStatus.CANCELLED
TIMEOUT = PipelineTerminalStatus.TIMEOUT

hosted_runs = pytest.mark.parametrize(
    "hosted_runs", [0, 1, 3], ids=["alone", "hosted", "three"]
)
"""Without a supervisor, in one, and in one with two more runs of the same pipe."""


async def run_pipe(
    pipe: AnyPipe, state: Any = None, *, hosted_runs: int = 0, **options: Any
) -> list[Event]:
    """Run a pipe to its end, check that nothing of it is left, and return its events.

    Of several runs at the same time, the last one's.
    """
    streams: list[list[Event]] = []

    async def run_once() -> None:
        initial_state = {} if state is None else state
        async with pipe.run(initial_state, **options) as run:
            events = [event async for event in run]
            snapshot = run.snapshot()
        assert snapshot.tokens == {}
        assert snapshot.running == ()
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        streams.append(events)

    with anyio.fail_after(100_000):  # of virtual time; real time has its own limit
        if not hosted_runs:
            await run_once()
        else:
            async with Supervisor(), anyio.create_task_group() as tasks:
                for _ in range(hosted_runs):
                    tasks.start_soon(run_once)
    assert len({event_words(events)[-1] for events in streams}) == 1
    return streams[-1]


def end_of(events: list[Event]) -> PipelineEndData:
    """Return the payload of the run's own FINISH."""
    last = events[-1]
    assert last.type is EventType.FINISH
    assert last.stage == "system"
    payload = last.payload
    assert isinstance(payload, PipelineEndData)
    return payload


class HookRecorder(Observer):
    """An observer that records the types of events, and the hook that ends it."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def on_event(self, *args: Any) -> None:
        await checkpoint()
        self.heard.append(args[-1].type.value)

    async def on_pipeline_end(self, *args: Any) -> None:
        await checkpoint()
        self.heard.append("on_pipeline_end")

    async def on_pipeline_error(self, *args: Any) -> None:
        await checkpoint()
        self.heard.append(f"on_pipeline_error {args[-1]!r}")


def do_nothing(state: Any) -> None:
    """Do nothing."""


def idle_chain(*names: str, **options: Any) -> AnyPipe:
    """Return a pipe of steps that do nothing, one after the other."""
    pipe: AnyPipe = Pipe(dict, **options)
    for name, following in zip(names, [*names[1:], None], strict=True):
        pipe.step(name, to=following)(do_nothing)
    return pipe


def add_idle_steps(pipe: AnyPipe, **edges: list[str]) -> None:
    """Add steps that do nothing, with their successors."""
    for name, to in edges.items():
        pipe.step(name, to=to)(do_nothing)


def empty_state() -> dict[str, Any]:
    """Return a child's state."""
    return {}


def sleeping_pipe() -> Pipe[Any, Any]:
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


def talking_pipe(queue_size: int) -> Pipe[Any, Any]:
    """Return a pipe that streams 180 tokens, one in each turn of the loop."""
    pipe: Pipe[Any, Any] = Pipe(dict, queue_size=queue_size)

    @pipe.step
    async def talk(state: dict[str, Any]) -> Any:
        for item in range(180):
            yield item
            await checkpoint()

    return pipe


def event_words(events: list[Event]) -> list[str]:
    """Return events as short texts, the run's own FINISH with its status."""
    return [
        f"FINISH {event.payload.status.name}"
        if event.type is EventType.FINISH and event.stage == "system"
        else f"{event.type.name} {event.stage}"
        for event in events
    ]


def count_events(events: list[Event], text: str) -> int:
    """Count the events that have a text of ``event_words``, such as ``STEP_END a``."""
    return event_words(events).count(text)


async def error_of(pipe: AnyPipe, state: Any) -> BaseException:
    """Run a pipe, and return the exception with which a step fails."""
    caught: list[BaseException] = []
    pipe.on_error(lambda error: caught.append(error))
    await pipe.run(state).wait()
    return caught[0]


class Unprintable:
    """A value that can be compared and not be shown: its ``repr`` raises."""

    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return self is other


class UnprintableError(Exception):
    """An exception of which ``str`` raises."""

    def __str__(self) -> str:
        raise ZeroDivisionError
