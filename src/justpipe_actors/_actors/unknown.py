"""The step somebody named that is not there: it starts, and fails saying so."""

from __future__ import annotations

from .._plan.nodes import Plan, StepNode
from ..errors import UnknownStepError
from ..events import NodeKind


def unknown_step(name: str, plan: Plan) -> StepNode:
    """Return a node that fails with the names that would have been right."""

    def missing() -> None:
        raise UnknownStepError(name, list(plan.nodes))

    return StepNode(
        name=name, kind=NodeKind.STEP, func=missing, bind=lambda _run, _call: {}
    )
