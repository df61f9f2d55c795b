from __future__ import annotations

from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, strategies as st

from justpipe_actors import Pipe
from justpipe_actors._plan import graph as graph


NAMES = "abcdefg"

graphs = st.dictionaries(
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(NAMES), max_size=4).map(tuple),
    min_size=1,
).map(
    lambda edges: {
        name: tuple(target for target in targets if target in edges)
        for name, targets in edges.items()
    }
)


def naive_reach(edges: graph.Edges, starts: set[str]) -> set[str]:
    """Add targets to a set until it does not grow."""
    grown = starts | {target for name in starts for target in edges[name]}
    return grown if grown == starts else naive_reach(edges, grown)


def has_cycle(edges: graph.Edges, starts: set[str]) -> bool:
    """Tell whether some reachable step can be reached from its own targets."""
    reachable = naive_reach(edges, starts)
    return any(name in naive_reach(edges, set(edges[name])) for name in reachable)


@given(graphs, st.data())
def test_reach_agrees_with_a_fixed_point(
    edges: graph.Edges, data: st.DataObject
) -> None:
    """The reachable steps are those of a set that is grown to its fixed point."""
    starts = data.draw(st.sets(st.sampled_from(sorted(edges))))

    assert graph.reach(edges, starts) == naive_reach(edges, starts)


@given(graphs, st.data())
def test_a_cycle_is_found_exactly_when_there_is_one(
    edges: graph.Edges, data: st.DataObject
) -> None:
    """The result is a closed path along edges, or None without a cycle."""
    starts = data.draw(st.sets(st.sampled_from(sorted(edges))))

    cycle = graph.find_cycle(edges, sorted(starts))

    assert (cycle is not None) == has_cycle(edges, starts)
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(b in edges[a] for a, b in pairwise(cycle))
        assert set(cycle) <= naive_reach(edges, starts)


@given(graphs)
def test_components_agree_with_mutual_reachability(edges: graph.Edges) -> None:
    """Two steps are in one component exactly when each can be reached from the other."""
    found = graph.components_of(edges)

    ahead = {name: naive_reach(edges, {name}) for name in edges}
    for one in edges:
        for other in edges:
            is_mutual = other in ahead[one] and one in ahead[other]
            assert (found[one] == found[other]) == is_mutual


def no_items() -> list[object]:
    """Return no items to map over."""
    return []


def family() -> Pipe[Any, Any]:
    """Return a pipe with joins, a dict switch, a map and an unknown target."""
    pipe = Pipe[Any, Any]()
    pipe.step("a", to=["z", "z", "nowhere"])(lambda: None)
    pipe.switch("s", to={1: "z", 2: "y"}, default="z")(lambda: 1)
    pipe.map("m", each="w", to="z")(no_items)
    for name in "zyw":
        pipe.step(name)(lambda: None)
    return pipe


def test_a_route_into_a_join_is_one_more_parent() -> None:
    """A join's parents are the steps with it in their ``to``, and those that may route to it."""
    topology = graph.topology_of(family().registry.steps)

    assert topology.parents == {
        "a": (),
        "s": (),
        "m": (),
        "z": ("a", "s", "m"),
        "y": (),
        "w": (),
    }


def test_a_step_without_static_parents_is_started_by_each_route() -> None:
    """A switch with two routes to a step counts once as its router."""
    topology = graph.topology_of(family().registry.steps)

    routers = topology.routers
    assert (routers["z"], routers["y"], routers["w"]) == ((), ("s",), ())


def test_roots_are_steps_without_predecessors() -> None:
    """A step that a route or ``routes=`` names is no root."""
    pipe = family()
    pipe.step("namer", routes=["named"])(lambda: "named")
    pipe.step("named")(lambda: None)

    assert graph.topology_of(pipe.registry.steps).roots == ("a", "s", "m", "namer")


def test_a_loop_without_predecessors_begins_at_its_first_step() -> None:
    """The step of the loop that was registered first is its root and waits for nothing."""
    pipe = Pipe[Any, Any]()
    pipe.step("think", to="act")(lambda: None)
    pipe.switch("act", to={"tool": "call", "done": "answer"})(lambda: "done")
    pipe.step("call", to="think")(lambda: None)
    pipe.step("answer")(lambda: None)

    topology = graph.topology_of(pipe.registry.steps)

    assert topology.roots == ("think",)
    assert topology.parents["think"] == ()
    assert set(topology.loops) == {"think", "act", "call"}
    assert len(set(topology.loops.values())) == 1


def test_a_join_does_not_wait_for_the_way_back_of_a_loop() -> None:
    """In the first lap nothing can have come through the edge that closes the loop."""
    pipe = Pipe[Any, Any]()
    pipe.step("begin", to="think")(lambda: None)
    pipe.step("think", to="act")(lambda: None)
    pipe.switch("act", to={"tool": "call"})(lambda: "tool")
    pipe.step("call", to="think")(lambda: None)

    assert graph.topology_of(pipe.registry.steps).parents["think"] == ("begin",)


def test_edges_are_all_known_targets() -> None:
    """Edges lead only to existing workers, routes and successors."""
    edges = graph.edges_of(family().registry.steps)

    assert (edges["a"], edges["m"], edges["s"]) == (("z",), ("z", "w"), ("z", "y"))


def test_a_very_long_chain_is_walked() -> None:
    """No traversal is recursive: fifty thousand steps in a row work."""
    size = 50_000
    edges = {str(i): (str(i + 1),) if i < size else () for i in range(size + 1)}

    assert len(graph.reach(edges, ["0"])) == size + 1
    assert graph.find_cycle(edges, ["0"]) is None
    assert len(graph.components_of(edges)) == size + 1
    closed = graph.find_cycle({**edges, str(size): ("0",)}, ["0"])
    assert closed is not None
    assert len(closed) == size + 2


@pytest.mark.parametrize("order", list(permutations("abcde")), ids="".join)
def test_a_join_inside_a_loop_of_several_entries_waits_for_all(
    order: tuple[str, ...],
) -> None:
    """This holds in whatever order steps and targets are named."""
    pipe = Pipe[Any, Any]()
    both = [name for name in order if name in "bc"]
    options: dict[str, Any] = {
        "a": {"to": both},
        "b": {"to": "d"},
        "c": {"to": "d"},
        "d": {"routes": ["e"]},
        "e": {"to": both},
    }
    for name in order:
        pipe.step(name, **options[name])(lambda: None)

    topology = graph.topology_of(pipe.registry.steps)

    found = {name: set(parents) for name, parents in topology.parents.items()}
    assert found == {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}, "e": set()}


@pytest.mark.parametrize("targets", [["b", "c"], ["c", "b"]], ids="".join)
def test_a_join_that_restarts_one_branch_waits_for_both(
    targets: list[str],
) -> None:
    """The route to the branch closes the loop; no edge into the join does."""
    pipe = Pipe[Any, Any]()
    pipe.step("a", to=targets)(lambda: None)
    pipe.step("b", to="d")(lambda: None)
    pipe.step("c", to="d")(lambda: None)
    pipe.step("d", routes=["b"])(lambda: None)

    parents = graph.topology_of(pipe.registry.steps).parents

    assert (parents["b"], parents["d"]) == (("a",), ("b", "c"))


def test_a_diamond_on_the_way_back_of_a_loop_of_several_entries_joins() -> None:
    """Joins that only later laps reach wait for all their parents."""
    pipe = Pipe[Any, Any]()
    pipe.step("a", to=["b", "c"])(lambda: None)
    pipe.step("b", to="d")(lambda: None)
    pipe.step("c", to="d")(lambda: None)
    pipe.step("d", routes=["e"])(lambda: None)
    pipe.step("e", to=["f", "g"])(lambda: None)
    pipe.step("f", to="h")(lambda: None)
    pipe.step("g", to="h")(lambda: None)
    pipe.step("h", to=["b", "c"])(lambda: None)

    parents = graph.topology_of(pipe.registry.steps).parents

    assert (parents["d"], parents["h"]) == (("b", "c"), ("f", "g"))
    assert (parents["b"], parents["c"]) == (("a",), ("a",))


@given(graphs, st.data())
def test_no_cycle_is_left_without_the_edges_that_close_loops(
    edges: graph.Edges, data: st.DataObject
) -> None:
    """This holds for every graph, with any of its edges static."""
    static = {
        name: tuple(data.draw(st.sets(st.sampled_from(targets))) if targets else ())
        for name, targets in edges.items()
    }
    roots = (data.draw(st.sampled_from(sorted(edges))),)

    back = graph._back_edges_of(edges, static, roots)

    forward = {
        name: tuple(target for target in targets if (name, target) not in back)
        for name, targets in edges.items()
    }
    assert not has_cycle(forward, set(roots))
