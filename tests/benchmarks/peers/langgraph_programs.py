"""The measured programs as LangGraph users write them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send, StreamWriter


Once = Callable[[], Awaitable[int]]


def keep(old: int, new: int) -> int:
    """Let steps that run at the same time write the same value."""
    return new


class State(TypedDict):
    """What the graphs carry."""

    value: Annotated[int, keep]


async def step(state: State) -> dict[str, int]:
    """Do nothing, as the steps of the other programs."""
    return {"value": 1}


def program(build: Callable[[Any], str]) -> Once:
    """Return a function that runs a graph once."""
    builder = StateGraph(State)
    mode = build(builder)
    graph = builder.compile()

    async def once() -> int:
        count = 0
        config: Any = {"recursion_limit": 100_000}
        async for _ in graph.astream({"value": 0}, config, stream_mode=mode):
            count += 1
        return count

    return once


def chain(builder: Any, length: int = 200) -> str:
    """Build steps in a row; return the stream mode that shows each of them."""
    for number in range(length):
        builder.add_node(f"s{number}", step)
        builder.add_edge(f"s{number - 1}" if number else START, f"s{number}")
    builder.add_edge(f"s{length - 1}", END)
    return "updates"


def fan(builder: Any, width: int = 100) -> str:
    """Build one step, many beside each other, and a join."""
    for name in ("first", "last", *(f"b{number}" for number in range(width))):
        builder.add_node(name, step)
    builder.add_edge(START, "first")
    for number in range(width):
        builder.add_edge("first", f"b{number}")
    builder.add_edge([f"b{number}" for number in range(width)], "last")
    builder.add_edge("last", END)
    return "updates"


def diamonds(builder: Any, count: int = 40) -> str:
    """Build diamonds in a row."""
    for number in range(count):
        for name in "abcd":
            builder.add_node(f"{name}{number}", step)
        builder.add_edge(f"d{number - 1}" if number else START, f"a{number}")
        builder.add_edge(f"a{number}", f"b{number}")
        builder.add_edge(f"a{number}", f"c{number}")
        builder.add_edge([f"b{number}", f"c{number}"], f"d{number}")
    builder.add_edge(f"d{count - 1}", END)
    return "updates"


def map_items(builder: Any, items: int = 900) -> str:
    """Build a map."""
    builder.add_node("source", step)
    builder.add_node("worker", step)
    builder.add_edge(START, "source")

    def send(state: State) -> list[Send]:
        return [Send("worker", {"value": number}) for number in range(items)]

    builder.add_conditional_edges("source", send, ["worker"])
    builder.add_edge("worker", END)
    return "updates"


def tokens(builder: Any, count: int = 20_000) -> str:
    """Build a step that streams."""

    async def speak(state: State, writer: StreamWriter) -> dict[str, int]:
        for number in range(count):
            writer(number)
        return {"value": 1}

    builder.add_node("speak", speak)
    builder.add_edge(START, "speak")
    builder.add_edge("speak", END)
    return "custom"


def small(builder: Any) -> str:
    """Build three steps in a row."""
    return chain(builder, 3)


PROGRAMS: dict[str, Callable[[], Once]] = {
    "chain": lambda: program(chain),
    "fan": lambda: program(fan),
    "diamonds": lambda: program(diamonds),
    "map": lambda: program(map_items),
    "tokens": lambda: program(tokens),
    "small": lambda: program(small),
}
"""By name: make the function that runs the program once."""
