"""The measured programs as pydantic-graph users write them.

It has no streaming steps, so there is no program for tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic_graph import GraphBuilder, StepContext, reduce_null


Once = Callable[[], Awaitable[int]]


@dataclass
class Counter:
    """The state, which no step changes."""

    value: int = 0


async def step(ctx: StepContext[Counter, None, Any]) -> int:
    """Do nothing, as the steps of the other programs."""
    return 1


async def items(ctx: StepContext[Counter, None, Any]) -> list[int]:
    """Return the items of a map."""
    return list(range(900))


def program(build: Callable[[Any], None]) -> Once:
    """Return a function that runs a graph once."""
    builder: Any = GraphBuilder(state_type=Counter, output_type=int)
    build(builder)
    graph = builder.build()

    async def once() -> int:
        count = 0
        async with graph.iter(state=Counter()) as run:
            async for _ in run:
                count += 1
        return count

    return once


def row(builder: Any, length: int) -> None:
    """Build steps in a row."""
    steps = [builder.step(step, node_id=f"s{number}") for number in range(length)]
    ways = [builder.start_node, *steps, builder.end_node]
    for before, after in itertools.pairwise(ways):
        builder.add(builder.edge_from(before).to(after))


def joined(builder: Any, name: str, count: int, before: Any, after: Any) -> None:
    """Build steps beside each other, between two steps."""
    branches = [
        builder.step(step, node_id=f"{name}b{number}") for number in range(count)
    ]
    join = builder.join(reduce_null, initial=None, node_id=f"{name}j")
    builder.add(
        builder.edge_from(before).to(*branches),
        builder.edge_from(*branches).to(join),
        builder.edge_from(join).to(after),
    )


def fan(builder: Any) -> None:
    """Build one step, many beside each other, and a join."""
    first, last = (builder.step(step, node_id=name) for name in ("first", "last"))
    builder.add(builder.edge_from(builder.start_node).to(first))
    joined(builder, "", 100, first, last)
    builder.add(builder.edge_from(last).to(builder.end_node))


def diamonds(builder: Any) -> None:
    """Build diamonds in a row."""
    before = builder.start_node
    for number in range(40):
        top = builder.step(step, node_id=f"a{number}")
        bottom = builder.step(step, node_id=f"d{number}")
        builder.add(builder.edge_from(before).to(top))
        joined(builder, f"{number}", 2, top, bottom)
        before = bottom
    builder.add(builder.edge_from(before).to(builder.end_node))


def map_items(builder: Any) -> None:
    """Build a map."""
    source = builder.step(items, node_id="source")
    worker = builder.step(step, node_id="worker")
    join = builder.join(reduce_null, initial=None)
    builder.add(
        builder.edge_from(builder.start_node).to(source),
        builder.edge_from(source).map().to(worker),
        builder.edge_from(worker).to(join),
        builder.edge_from(join).to(builder.end_node),
    )


PROGRAMS: dict[str, Callable[[], Once]] = {
    "chain": lambda: program(lambda builder: row(builder, 200)),
    "fan": lambda: program(fan),
    "diamonds": lambda: program(diamonds),
    "map": lambda: program(map_items),
    "small": lambda: program(lambda builder: row(builder, 3)),
}
"""By name: make the function that runs the program once."""
