"""Events that climb through many nested runs."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from justpipe_actors import Event, EventType, Pipe
from justpipe_actors.outcomes import PipelineEndData


AnyPipe = Pipe[Any, Any]


def nested(depth: int) -> AnyPipe:
    """Return a pipe around so many others."""
    pipe: AnyPipe = Pipe(dict, name="0")
    pipe.step("s")(lambda state: None)
    for number in range(1, depth):
        outer: AnyPipe = Pipe(dict, name=str(number))
        outer.sub("s", pipeline=pipe)(lambda state: state)
        pipe = outer
    return pipe


async def calls_of(pipe: AnyPipe) -> int:
    """Return how many functions, those of Python's own included, a second run calls."""
    calls = 0

    def count_call(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    await pipe.run({}).wait()  # compiles the pipes
    sys.setprofile(count_call)
    try:
        await pipe.run({}).wait()
    finally:
        sys.setprofile(None)
    return calls


async def test_the_work_of_nested_runs_does_not_grow_with_the_third_power() -> None:
    """Each event passes each run around it once, which is the second power of the depth.

    A run once asked each event for its stage and duration by all the runs below: of 40
    and 120 nested runs, the second took 18 times the calls of the first.
    """
    less, more = await calls_of(nested(40)), await calls_of(nested(120))

    assert more < 3**2 * less


async def test_the_times_of_nested_steps_are_reported_by_each_run() -> None:
    """A step is named with the steps around it, also where a hook has seen its events."""
    middle = nested(2)
    middle.add_event_hook(lambda event: event)
    outer: AnyPipe = Pipe(dict, name="outer")
    outer.sub("o", pipeline=middle)(lambda state: state)
    ends: list[PipelineEndData] = []

    def keep_ends(event: Event) -> Event:
        if event.type is EventType.FINISH:
            ends.append(event.payload)
        return event

    outer.add_event_hook(keep_ends)
    await outer.run({}).wait()

    times = [end.metrics.step_latency for end in ends if end.metrics is not None]
    assert [set(table) for table in times] == [
        {"s"},
        {"s", "s:s"},
        {"o", "o:s", "o:s:s"},
    ]
