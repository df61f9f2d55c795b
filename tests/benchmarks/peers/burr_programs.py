"""The measured programs as burr users write them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from burr.core import Action, ApplicationBuilder, State, action
from burr.core.action import streaming_action
from burr.core.graph import GraphBuilder
from burr.core.parallelism import MapActions, MapStates


Once = Callable[[], Awaitable[int]]


@action(reads=[], writes=["value"])
async def step(state: State) -> State:
    """Do nothing, as the steps of the other programs."""
    return state.update(value=1)


@streaming_action(reads=[], writes=["value"])
async def speak(state: State) -> AsyncGenerator[tuple[dict[str, int], Any], None]:
    """Say 20,000 tokens."""
    for number in range(20_000):
        yield {"value": number}, None
    yield {"value": 0}, state.update(value=0)


class Plain(Action):
    """The same step as a class, which can be given a name."""

    reads: tuple[str, ...] = ()
    writes = ("value",)

    async def run(self, state: State, **_: Any) -> dict[str, int]:
        return {"value": 1}

    def update(self, result: dict[str, int], state: State) -> State:
        return state.update(**result)


class _Parallel:
    """What the parallel actions have in common."""

    reads: tuple[str, ...] = ()
    writes = ("value",)

    def is_async(self) -> bool:
        return True

    async def reduce(self, state: State, states: AsyncGenerator[State, None]) -> State:
        async for _ in states:
            pass
        return state.update(value=1)


class Branches(_Parallel, MapActions):
    """Run the step several times beside each other."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    async def actions(
        self, state: State, context: Any, inputs: Any
    ) -> AsyncGenerator[Any, None]:
        for number in range(self._count):
            yield Plain().with_name(f"b{number}")

    def state(self, state: State, inputs: Any) -> State:
        return state


class Items(_Parallel, MapStates):
    """Run the step for 900 states."""

    def action(self, state: State, inputs: Any) -> Any:
        return step

    async def states(
        self, state: State, context: Any, inputs: Any
    ) -> AsyncGenerator[State, None]:
        for number in range(900):
            yield state.update(value=number)


def in_a_row(*actions: Any) -> Once:
    """Return a function that runs actions one after the other."""
    names = [f"a{number}" for number in range(len(actions))]
    graph = (
        GraphBuilder()
        .with_actions(**dict(zip(names, actions, strict=True)))
        .with_transitions(*itertools.pairwise(names))
        .build()
    )

    async def once() -> int:
        app = (
            ApplicationBuilder()
            .with_graph(graph)
            .with_entrypoint(names[0])
            .with_state(value=0)
            .build()
        )
        count = 0
        async for _ in app.aiterate(halt_after=[names[-1]]):
            count += 1
        return count

    return once


def tokens() -> Once:
    """Return a function that reads one action's stream."""

    async def once() -> int:
        app = (
            ApplicationBuilder()
            .with_actions(speak=speak)
            .with_entrypoint("speak")
            .with_state(value=0)
            .build()
        )
        _, stream = await app.astream_result(halt_after=["speak"])
        count = 0
        async for _ in stream:
            count += 1
        return count

    return once


PROGRAMS: dict[str, Callable[[], Once]] = {
    "chain": lambda: in_a_row(*[step] * 200),
    "fan": lambda: in_a_row(step, Branches(100), step),
    "diamonds": lambda: in_a_row(*[step, Branches(2), step] * 40),
    "map": lambda: in_a_row(step, Items()),
    "tokens": tokens,
    "small": lambda: in_a_row(*[step] * 3),
}
"""By name: make the function that runs the program once."""
