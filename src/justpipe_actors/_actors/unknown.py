"""The step somebody named that is not there: it starts, and fails saying so."""

from __future__ import annotations

from .._plan.nodes import Plan, StepNode
from ..errors import did_you_mean
from ..events import NodeKind


def unknown_step(name: str, plan: Plan) -> StepNode:
    """Return a node that fails with the names that would have been right."""

    def missing() -> None:
        msg = f"Step '{name}' does not exist.{did_you_mean(name, plan.nodes)}"
        raise LookupError(msg)

    return StepNode(
        name=name, kind=NodeKind.STEP, func=missing, bind=lambda _run, _call: {}
    )
