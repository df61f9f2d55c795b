"""The durable programs as LangGraph users write them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langgraph.types import Send


class ChainState(TypedDict):
    """1 kB of text and a number."""

    docs: list[str]
    n: int


class MapState(TypedDict):
    """What a map takes and makes."""

    items: list[int]
    out: Annotated[list[Any], operator.add]


def state_of(program: str) -> dict[str, Any]:
    """Return a new state."""
    if program == "chain":
        return {"docs": [f"{number:02d}" * 45 for number in range(10)], "n": 0}
    return {"items": list(range(200)), "out": []}


def chain(graph: Any) -> Any:
    """Build 100 steps in a row that change one number."""
    builder = graph.StateGraph(ChainState)
    for number in range(100):
        builder.add_node(f"s{number}", lambda state, number=number: {"n": number})
        before = f"s{number - 1}" if number else graph.START
        builder.add_edge(before, f"s{number}")
    builder.add_edge("s99", graph.END)
    return builder


def map_items(graph: Any) -> Any:
    """Build a map of 200 items."""
    builder = graph.StateGraph(MapState)
    builder.add_node("fan", lambda state: {})
    builder.add_node(
        "work", lambda state: {"out": [{"i": state["i"], "text": "y" * 100}]}
    )
    builder.add_edge(graph.START, "fan")

    def send(state: MapState) -> list[Send]:
        return [Send("work", {"i": item}) for item in state["items"]]

    builder.add_conditional_edges("fan", send, ["work"])
    builder.add_edge("work", graph.END)
    return builder


PROGRAMS: dict[str, Callable[[Any], Any]] = {"chain": chain, "map": map_items}
"""By name: build the graph."""
