from __future__ import annotations

from itertools import pairwise
from typing import Any

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
    """Grow a set by its targets until it grows no more."""
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
    """The reachable steps are those a set grown to its fixed point holds."""
    starts = data.draw(st.sets(st.sampled_from(sorted(edges))))

    assert graph.reach(edges, starts) == naive_reach(edges, starts)


@given(graphs, st.data())
def test_a_cycle_is_found_exactly_when_there_is_one(
    edges: graph.Edges, data: st.DataObject
) -> None:
    """What is found is a closed path along edges, and None means that there is none."""
    starts = data.draw(st.sets(st.sampled_from(sorted(edges))))

    cycle = graph.find_cycle(edges, sorted(starts))

    assert (cycle is not None) == has_cycle(edges, starts)
    if cycle is not None:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(b in edges[a] for a, b in pairwise(cycle))
        assert set(cycle) <= naive_reach(edges, starts)


@given(graphs)
def test_roots_are_nobodys_targets(edges: graph.Edges) -> None:
    """A root is a step that no edge leads to, in the order of the definition."""
    expected = [n for n in edges if not any(n in targets for targets in edges.values())]

    assert list(graph.roots_of(edges)) == expected


def nothing() -> list[object]:
    """Return no items to map over."""
    return []


def family() -> Pipe[Any, Any]:
    """Return a pipe with joins, a dict switch, a map and an unknown target."""
    pipe = Pipe[Any, Any]()
    pipe.step("a", to=["z", "z", "nowhere"])(lambda: None)
    pipe.switch("s", to={1: "z", 2: "y"}, default="z")(lambda: 1)
    pipe.map("m", each="w", to="z")(nothing)
    for name in "zyw":
        pipe.step(name)(lambda: None)
    return pipe


def test_parents_are_static_and_counted_once() -> None:
    """A join's parents are those with it in their ``to``, in order of registration."""
    parents = graph.parents_of(family().registry.steps)

    assert parents == {"a": (), "s": (), "m": (), "z": ("a", "m"), "y": (), "w": ()}


def test_routers_are_the_dict_switches_that_lead_here() -> None:
    """A switch that names a step twice is one router of it."""
    routers = graph.routers_of(family().registry.steps)

    assert (routers["z"], routers["y"], routers["w"]) == (("s",), ("s",), ())


def test_edges_are_all_known_targets() -> None:
    """Edges lead to workers, routes and successors that exist, and nowhere else."""
    edges = graph.edges_of(family().registry.steps)

    assert (edges["a"], edges["m"], edges["s"]) == (("z",), ("z", "w"), ("z", "y"))


def test_a_very_long_chain_is_walked() -> None:
    """W34: no traversal recurses, so fifty thousand steps in a row are fine."""
    size = 50_000
    edges = {str(i): (str(i + 1),) if i < size else () for i in range(size + 1)}

    assert len(graph.reach(edges, ["0"])) == size + 1
    assert graph.find_cycle(edges, ["0"]) is None
    closed = graph.find_cycle({**edges, str(size): ("0",)}, ["0"])
    assert closed is not None
    assert len(closed) == size + 2
