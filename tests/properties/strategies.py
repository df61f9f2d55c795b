"""Random pipelines: what hypothesis draws before a run, and the pipe built from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import attrs
from hypothesis import strategies as st

from justpipe_actors import Pipe, Retry, Skip, Stop, Suspend
from justpipe_actors.types import BarrierType


BEHAVIOURS = (
    "none",
    "none",
    "none",
    "stream",
    "fail",
    "skip",
    "retry",
    "jump",
    "stop",
    "suspend",
    "handled",
    "map",
    "sub",
    "switch",
)


@attrs.frozen
class Sketch:
    """A pipeline as plain data."""

    edges: tuple[tuple[int, ...], ...]
    """Successors of each step, all with higher numbers."""
    behaviours: tuple[str, ...]
    """What each step does."""
    joins: tuple[bool, ...]
    """Whether a step waits for ANY instead of ALL."""
    on_failure: str
    """What an unhandled failure does."""
    queue_size: int
    """Events that may wait."""
    timeouts: tuple[bool, ...]
    """Whether a join has a barrier timeout."""


@st.composite
def sketches(draw: st.DrawFn) -> Sketch:
    """Draw a graph with one root, forward edges and a behaviour for every step."""
    size = draw(st.integers(1, 7))
    edges: list[set[int]] = [set() for _ in range(size)]
    for step in range(1, size):
        for parent in draw(st.sets(st.integers(0, step - 1), min_size=1, max_size=3)):
            edges[parent].add(step)
    return Sketch(
        edges=tuple(tuple(sorted(targets)) for targets in edges),
        behaviours=tuple(draw(st.sampled_from(BEHAVIOURS)) for _ in range(size)),
        joins=tuple(draw(st.booleans()) for _ in range(size)),
        on_failure=draw(st.sampled_from(["prune", "continue", "stop"])),
        queue_size=draw(st.sampled_from([0, 1, 2, 1000])),
        timeouts=tuple(draw(st.booleans()) for _ in range(size)),
    )


tapes = st.lists(st.integers(0, 3), max_size=60)
"""Extra checkpoints, in order of asking; an exhausted tape means none."""


def build(sketch: Sketch, tape: Iterator[int], **options: Any) -> Pipe[Any, Any]:
    """Return the pipe that a sketch describes, with steps delayed by the tape."""
    pipe: Pipe[Any, Any] = Pipe(
        dict,
        on_failure=sketch.on_failure,  # type: ignore[arg-type]
        queue_size=sketch.queue_size,
        max_retries=3,
        log_state=False,
        **options,
    )
    for number in range(len(sketch.edges)):
        _add(pipe, sketch, number, tape)
    return pipe


async def _delay(tape: Iterator[int]) -> None:
    for _ in range(next(tape, 0)):
        await anyio.lowlevel.checkpoint()


def _add(
    pipe: Pipe[Any, Any], sketch: Sketch, number: int, tape: Iterator[int]
) -> None:
    name = f"s{number}"
    to = [f"s{target}" for target in sketch.edges[number]]
    behaviour = sketch.behaviours[number]
    join: dict[str, Any] = {}
    if sketch.joins[number]:
        join["barrier_type"] = BarrierType.ANY
    if sketch.timeouts[number]:
        join["barrier_timeout"] = 1000
    match behaviour:
        case "map":
            _add_map(pipe, name, to, join, tape)
        case "sub":
            pipe.sub(name, pipeline=_child(tape), to=to, **join)(lambda state: {})
        case "switch" if to:
            routes: dict[Any, Any] = dict(enumerate(to))
            pipe.switch(name, to=routes, **join)(lambda state: len(to) - 1)
        case "stream":
            pipe.step(name, to=to, **join)(_stream(tape))
        case _:
            handler = (lambda error: None) if behaviour == "handled" else None
            step = _plain(behaviour, name, to, tape)
            pipe.step(name, to=to, on_error=handler, **join)(step)


def _stream(tape: Iterator[int]) -> Any:
    async def stream(state: dict[str, Any]) -> Any:
        for item in range(3):
            await _delay(tape)
            yield item

    return stream


def _plain(behaviour: str, name: str, to: list[str], tape: Iterator[int]) -> Any:
    async def step(state: dict[str, Any]) -> Any:
        await _delay(tape)
        visits = state[name] = state.get(name, 0) + 1
        match behaviour:
            case "fail" | "handled":
                raise ValueError(name)
            case "skip":
                return Skip()
            case "retry" if visits == 1:
                return Retry()
            case "jump" if visits <= 2:
                return to[0] if to else name
            case "stop":
                return Stop
            case "suspend":
                return Suspend("later")
            case _:
                return None

    return step


def _add_map(
    pipe: Pipe[Any, Any],
    name: str,
    to: list[str],
    join: dict[str, Any],
    tape: Iterator[int],
) -> None:
    worker = f"{name}_worker"
    pipe.map(name, each=worker, to=to, max_concurrency=2, **join)(
        lambda state: range(4)
    )

    @pipe.step(worker)
    async def work(state: dict[str, Any], item: int) -> Any:
        await _delay(tape)
        if item == 2 and next(tape, 0) == 3:
            raise ValueError(item)
        return Skip() if item == 1 else None


def _child(tape: Iterator[int]) -> Pipe[Any, Any]:
    child: Pipe[Any, Any] = Pipe(dict, log_state=False)

    @child.step("x", to="y")
    async def x(state: dict[str, Any]) -> Any:
        await _delay(tape)
        if next(tape, 0) == 3:
            raise ValueError(0)

    @child.step("y")
    async def y(state: dict[str, Any]) -> Any:
        yield 1
        await _delay(tape)

    return child
