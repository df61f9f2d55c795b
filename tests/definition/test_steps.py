from __future__ import annotations

from typing import Any

from justpipe_actors import Stop
from justpipe_actors._definition.steps import StepDef, StepSettings
from justpipe_actors.events import NodeKind


def step(kind: NodeKind = NodeKind.STEP, **parts: Any) -> StepDef:
    """Build a definition of a step called ``it``."""
    return StepDef(
        name="it",
        kind=kind,
        func=lambda: None,
        injection={},
        options=StepSettings(),
        **parts,
    )


def test_a_switch_leads_to_its_routes_and_then_its_default() -> None:
    """Each target of a route is listed once, the default last; ``Stop`` is not a step."""
    routes = {1: "b", 2: Stop, 3: "a", 4: "b"}

    switch = step(NodeKind.SWITCH, routes=routes, default="c")

    assert switch.route_targets == ("b", "a", "c")


def test_a_switch_with_a_function_leads_only_to_its_default() -> None:
    """The results of the function are not known before a run."""
    switch = step(NodeKind.SWITCH, routes=lambda value: value, default="c")

    assert switch.targets == ("c",)


def test_the_targets_of_a_definition() -> None:
    """Static successors come first, then a map's worker, and none twice."""
    assert step(NodeKind.MAP, to=("b", "b"), each="w").targets == ("b", "w")


def test_only_a_switch_has_routes() -> None:
    """A plain step has no route targets."""
    assert step(to=("b",)).route_targets == ()
