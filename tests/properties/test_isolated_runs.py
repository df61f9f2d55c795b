"""Isolated runs against a model, on random graphs, changes and schedules.

The model is told in which order invocations end, what each one found and what it left
behind.  It folds their changes into one state with the documented rules of the merge, and
says for each whether there is a conflict.  The run must agree at every moment: an
invocation begins with what the model has, conflicts are those of the model, and at the
end both states are equal.
"""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import given, settings, strategies as st
from tests.properties.test_state_merge import model

from justpipe_actors import Event, EventType, Pipe, Skip
from justpipe_actors.errors import StateConflict
from justpipe_actors.testing import Schedule, at_seams
from justpipe_actors.testing.hypothesis import schedules
from justpipe_actors.testing.schedules import USER_CODE_SEAMS


State = dict[str, Any]


def start() -> State:
    """Return the state that every run begins with."""
    return {
        "log": ["start"],
        "seen": {"start"},
        "pages": {"a": 1, "b": {"x": []}},
        "n": 0,
    }


def change(state: State, draw: Random) -> None:
    """Change a part of a state, as ``draw`` says."""
    match draw.randrange(9):
        case 0 | 1:
            state["log"].append(draw.choice("xyz"))
        case 2:
            state["seen"].add(draw.choice("xyz"))
            state["seen"].discard(draw.choice("xyz"))
        case 3:
            state["pages"][draw.choice("abc")] = draw.choice([1, "1", None])
        case 4:
            state["pages"].pop(draw.choice("abcd"), None)
        case 5:
            state["n"] += draw.choice([0, 1])
        case 6:
            inner = state["pages"].get("b")
            if isinstance(inner, dict):
                inner.setdefault("x", []).append(draw.randrange(3))
        case 7:
            state[draw.choice("pq")] = draw.choice(["u", None, ["u"]])
        case _:
            state["log"] = (
                [*state["log"][1:]] if draw.randrange(4) == 0 else state["log"]
            )


@attrs.define
class Graph:
    """A random graph: for each step its successors, its waits and how it ends."""

    edges: list[list[int]]
    waits: list[int]
    ends: list[str]
    workers: int
    seed: int


@st.composite
def graphs(draw: Any) -> Graph:
    """Draw a graph of up to six steps."""
    size = draw(st.integers(2, 6))
    edges = [
        sorted(draw(st.sets(st.integers(one + 1, size - 1), max_size=3)))
        if one < size - 1
        else []
        for one in range(size)
    ]
    endings = st.sampled_from(["", "", "", "raise", "skip", "mend"])
    return Graph(
        edges,
        [draw(st.integers(0, 3)) for _ in range(size)],
        [draw(endings) for _ in range(size)],
        draw(st.integers(0, 4)),
        draw(st.integers(0, 1000)),
    )


@attrs.define
class Oracle:
    """The model's knowledge about a run."""

    state: State = attrs.field(factory=start)
    """What is committed."""
    found: dict[str, State] = attrs.field(factory=dict)
    """What each invocation began with."""
    left: dict[str, State] = attrs.field(factory=dict)
    """What it left behind."""
    wrong: list[str] = attrs.field(factory=list)
    """What the run and the model do not agree about."""

    def enter(self, name: str, state: State) -> None:
        """Note that a step has begun with a state."""
        if state != self.state:
            self.wrong.append(f"{name} began with {state}, not {self.state}")
        self.found[name] = copy.deepcopy(state)

    def note(self, name: str, state: State) -> None:
        """Note the state that a step has left."""
        self.left[name] = copy.deepcopy(state)

    def hear(self, event: Event) -> Event:
        """Commit the state that a step has left, when its last event is published."""
        if event.type not in (EventType.STEP_END, EventType.STEP_ERROR):
            return event
        name = event.stage
        base, mine = self.found.pop(name, None), self.left.pop(name, None)
        if base is None or mine is None or event.payload == "planned":
            return event
        try:
            merged = model(base, mine, copy.deepcopy(self.state))
        except ValueError:
            if event.type is not EventType.STEP_ERROR or "both" not in str(
                event.payload
            ):
                self.wrong.append(f"{name} should have been a conflict")
            return event
        if event.type is EventType.STEP_END:
            self.state = merged
        else:
            self.wrong.append(f"{name} failed with {event.payload}")
        return event


def build(graph: Graph, oracle: Oracle) -> Pipe[State, Any]:
    """Return the pipe of a graph that reports to the oracle."""
    pipe: Pipe[State, Any] = Pipe(
        dict,
        state_mode="isolated",
        allow_multi_root=True,
        on_failure="continue",
        log_state=False,
    )
    pipe.add_event_hook(oracle.hear)

    def add(number: int) -> None:
        name, end = f"s{number}", graph.ends[number]
        draw = Random(graph.seed + number)

        def mend(state: State, error: Exception) -> None:
            if isinstance(error, StateConflict):
                oracle.enter(name, state)
            state["log"].append("mended")
            oracle.note(name, state)

        @pipe.step(
            name,
            to=[f"s{other}" for other in graph.edges[number]],
            on_error=mend if end == "mend" else None,
        )
        async def step(state: State) -> Any:
            oracle.enter(name, state)
            change(state, draw)
            for _ in range(graph.waits[number]):
                await anyio.sleep(draw.randrange(3))
                change(state, draw)
            oracle.note(name, state)
            if end in {"raise", "mend"}:
                raise ValueError("planned")
            return Skip() if end == "skip" else None

    for number in range(len(graph.edges)):
        add(number)
    if graph.workers:
        add_map(pipe, graph, oracle)
    return pipe


def add_map(pipe: Pipe[State, Any], graph: Graph, oracle: Oracle) -> None:
    """Add a map beside the graph that only appends, because its workers share one name."""

    @pipe.map("map", each="worker")
    async def each(state: State) -> range:
        oracle.enter("map", state)
        state["mapped"] = "yes"
        await anyio.sleep(1)
        return range(graph.workers)

    @pipe.step("worker")
    async def worker(state: State, item: int) -> None:
        assert state["mapped"] == "yes"
        state.setdefault("items", []).append(item)
        await anyio.sleep(item % 2)


@pytest.mark.virtual_time
@settings(max_examples=60)
@given(graph=graphs(), choices=schedules())
async def test_an_isolated_run_agrees_with_the_model(
    graph: Graph, choices: list[int]
) -> None:
    """No change is lost or seen too early, and conflicts follow the rules."""
    oracle = Oracle()
    pipe = build(attrs.evolve(graph, workers=0), oracle)
    state = start()
    with at_seams(Schedule(choices, USER_CODE_SEAMS)):
        await pipe.run(state).wait()

    assert oracle.wrong == []
    assert state == oracle.state


@pytest.mark.virtual_time
@settings(max_examples=30)
@given(graph=graphs())
async def test_map_workers_beside_a_random_graph_lose_nothing(graph: Graph) -> None:
    """Every worker's item is there, whatever the other steps do."""
    oracle = Oracle()
    graph = attrs.evolve(graph, workers=graph.workers + 1)
    pipe = build(graph, oracle)
    state = start()
    await pipe.run(state).wait()

    assert sorted(state["items"]) == list(range(graph.workers))
