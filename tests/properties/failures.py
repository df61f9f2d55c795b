"""Random pipelines with failures: every result, every handler, timeouts in virtual time."""

from __future__ import annotations

from typing import Any

import anyio
import attrs
from hypothesis import strategies as st

from justpipe_actors import Pipe, Raise, Retry, Skip, Stop, Suspend
from justpipe_actors.types import BarrierType


ACTS = (
    *("pass",) * 12,
    *("sleep", "late", "stream", "raise", "retry", "retry for ever", "stop", "suspend"),
    *("fail", "fail", "fail", "skip", "skip"),
    *("again", "back", "on", "nowhere"),
    *("map", "bad map", "switch", "ask", "sub", "bad sub"),
)
"""What a step does."""

HANDLERS = (
    *(None,) * 12,
    *("pass", "skip", "stop", "suspend", "retry", "raise", "on"),
)
"""What a step's handler answers; None is no handler."""

TIMEOUT = 3.0
"""Seconds a step may take; a late one takes longer."""


@attrs.frozen
class Part:
    """One step of a sketch."""

    to: tuple[int, ...]
    """Its successors, all with higher numbers."""
    act: str
    """What it does."""
    handler: str | None
    """What its handler answers."""
    is_any: bool
    """Whether it waits for ANY parent instead of ALL."""
    patience: float | None
    """Its barrier timeout, in seconds."""


@attrs.frozen
class Failure:
    """A pipeline as plain data."""

    parts: tuple[Part, ...]
    """Its steps, the first one the root."""
    on_failure: str
    """What an unhandled failure does."""
    queue_size: int
    """Events that may wait."""
    seconds: float | None
    """The run's timeout."""


@st.composite
def failures(draw: st.DrawFn) -> Failure:
    """Draw a graph with one root, forward edges, and a behaviour with failures for every step."""
    size = draw(st.integers(1, 9))
    edges: list[set[int]] = [set() for _ in range(size)]
    for step in range(1, size):
        fewest = draw(st.integers(1, min(step, 2)))
        parents = st.sets(st.integers(0, step - 1), min_size=fewest, max_size=3)
        for parent in draw(parents):
            edges[parent].add(step)
    parts = tuple(
        Part(
            to=tuple(sorted(targets)),
            act=draw(st.sampled_from(ACTS)),
            handler=draw(st.sampled_from(HANDLERS)),
            is_any=draw(st.sampled_from([False, False, False, True])),
            patience=draw(st.sampled_from([None, None, 2.0, 100.0])),
        )
        for targets in edges
    )
    return Failure(
        parts=parts,
        on_failure=draw(st.sampled_from(["prune", "continue", "stop"])),
        queue_size=draw(st.sampled_from([0, 1, 1000])),
        seconds=draw(st.sampled_from([None, None, None, 4.0])),
    )


@attrs.define
class Story:
    """Log of the steps of one run."""

    laps: dict[str, int] = attrs.field(factory=dict)
    """Calls by step."""
    arrived: set[str] = attrs.field(factory=set)
    """Steps that ended with nothing to say."""
    named: set[str] = attrs.field(factory=set)
    """Steps that somebody named."""
    halted: bool = False
    """Whether somebody answered Stop or Suspend."""

    def answer(self, name: str, target: str) -> str:
        """Return the name of a step."""
        self.named.add(target)
        return target

    def halt(self, answer: Any) -> Any:
        """Stop the run."""
        self.halted = True
        return answer


def build(trouble: Failure) -> Pipe[Any, Any]:
    """Return the pipe of a sketch, whose state is a ``Story``."""
    pipe: Pipe[Any, Any] = Pipe(
        Story,
        on_failure=trouble.on_failure,  # type: ignore[arg-type]
        queue_size=trouble.queue_size,
        max_retries=3,
        log_state=False,
    )
    for number in range(len(trouble.parts)):
        _add(pipe, trouble, number)
    return pipe


def _add(pipe: Pipe[Any, Any], trouble: Failure, number: int) -> None:
    part, name = trouble.parts[number], f"s{number}"
    to = [f"s{target}" for target in part.to]
    options: dict[str, Any] = {
        "barrier_timeout": part.patience,
        "barrier_type": BarrierType.ANY if part.is_any else BarrierType.ALL,
        "on_error": _handler(part, name, to),
    }
    match part.act if _is_known(trouble, number) else "switch":
        case "map" | "bad map":
            _add_map(pipe, name, to, options, is_bad=part.act == "bad map")
        case "sub" | "bad sub":
            child = _child(is_bad=part.act == "bad sub")
            pipe.sub(name, pipeline=child, to=to, **options)(lambda: {"of": name})
        case "switch" if to:
            routes: dict[Any, Any] = dict(enumerate(to))
            pipe.switch(name, to=routes, **options)(lambda: len(to) // 2)
        case "ask" if to:
            pipe.switch(name, to=to.__getitem__, **options)(lambda: len(to) // 2)
        case "stream":
            pipe.step(name, to=to, **options)(_stream)
        case _:
            step = _step(part.act, name, to, number)
            pipe.step(name, to=to, timeout=TIMEOUT, **options)(step)


def _is_known(trouble: Failure, number: int) -> bool:
    """Tell whether the targets of this step are declared, here or by another step."""
    part = trouble.parts[number]
    others = {n for p in trouble.parts if p.act != "ask" for n in p.to}
    return part.act != "ask" or others.issuperset(part.to)


async def _stream(state: Story) -> Any:
    for item in range(3):
        yield item
        await anyio.sleep(0.5)


def _step(act: str, name: str, to: list[str], number: int) -> Any:
    async def step(state: Story) -> Any:
        lap = state.laps[name] = state.laps.get(name, 0) + 1
        if act in ("sleep", "late"):
            await anyio.sleep(TIMEOUT * (2 if act == "late" else 0.5))
        answer = _answer(act, state, name, to, number, lap)
        if answer is None:
            state.arrived.add(name)
        return answer

    return step


def _answer(  # noqa: C901, PLR0912 - one row an act
    act: str, state: Story, name: str, to: list[str], number: int, lap: int
) -> Any:
    match act:
        case "fail":
            raise ValueError(name)
        case "raise":
            return Raise(ValueError(name))
        case "retry" if lap == 1:
            return Retry()
        case "retry for ever":
            return Retry()
        case "skip":
            return Skip()
        case "stop":
            return state.halt(Stop)
        case "suspend":
            return state.halt(Suspend(name))
        case "again" if lap <= 2:
            return state.answer(name, name)
        case "back" if lap <= 2:
            return state.answer(name, f"s{number // 2}")
        case "on" if to:
            return state.answer(name, to[-1])
        case "nowhere":
            return "nowhere"
        case _:
            return None


def _handler(part: Part, name: str, to: list[str]) -> Any:
    if part.handler is None:
        return None

    def handle(state: Story, error: Exception) -> Any:
        match part.handler:
            case "skip":
                return Skip()
            case "stop":
                return state.halt(Stop)
            case "suspend":
                return state.halt(Suspend(name))
            case "retry":
                return Retry()
            case "raise":
                return Raise(LookupError(name))
            case "on" if to:
                return state.answer(name, to[0])
            case _:
                return None

    return handle


def _add_map(
    pipe: Pipe[Any, Any],
    name: str,
    to: list[str],
    options: dict[str, Any],
    *,
    is_bad: bool,
) -> None:
    worker = f"{name}_worker"
    pipe.map(name, each=worker, to=to, max_concurrency=2, **options)(lambda: range(4))

    @pipe.step(worker)
    async def work(item: int) -> Any:
        await anyio.sleep(item * 0.3)
        if is_bad and item == 2:
            raise ValueError(item)
        return Skip() if item == 1 else None


def _child(*, is_bad: bool) -> Pipe[Any, Any]:
    child: Pipe[Any, Any] = Pipe(dict, log_state=False)

    @child.step("x", to="y")
    async def x() -> None:
        await anyio.sleep(0.5)
        if is_bad:
            raise ValueError("child")

    child.step("y")(lambda: None)
    return child
