"""The socket of this shelf: what ``Pipe.graph`` can draw with."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ..shape import StepShapes, Topology
from .builder import Hooks


@runtime_checkable
class GraphRenderer(Protocol):
    """Draws a pipeline; structural, no base class needed."""

    def render(
        self,
        steps: StepShapes,
        topology: Topology,
        *,
        startup_hooks: Hooks = None,
        shutdown_hooks: Hooks = None,
    ) -> str:
        """Return the drawing as text; hooks come as functions."""
        ...
