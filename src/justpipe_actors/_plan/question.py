"""What is asked before a pipe runs, and what may be found."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .._definition.resources import ResourceDef
from .._definition.steps import StepDef
from ..errors import DefinitionError
from ..shape import HookSpec
from . import graph


@attrs.frozen(eq=False, kw_only=True)
class Question:
    """What is to be validated."""

    steps: Mapping[str, StepDef]
    """The definition."""
    state_type: object
    """The pipe's state type."""
    start: str | None
    """Where a run would begin."""
    strict: bool
    """Whether doubts are errors."""
    allow_multi_root: bool
    """Whether several roots are meant."""
    resources: Mapping[str, ResourceDef] = attrs.field(factory=dict)
    """The pipe's resources."""
    hooks: Mapping[str, HookSpec] = attrs.field(factory=dict)
    """The pipe's hooks and handler, by role."""
    readable: frozenset[str] | None = frozenset()
    """Options that its middleware reads; None when that is not known."""
    edges: graph.Edges = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: graph.edges_of(self.steps), takes_self=True),
    )
    """Targets by step."""
    roots: tuple[str, ...] = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: graph.roots_of(self.edges), takes_self=True),
    )
    """Nobody's targets."""


@attrs.frozen(eq=False)
class Doubt:
    """A problem that only a strict pipe refuses."""

    problem: DefinitionError
    """What is wrong."""


Finding = DefinitionError | Doubt
