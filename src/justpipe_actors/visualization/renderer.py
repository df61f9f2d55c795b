"""What ``Pipe.graph`` can draw with: the socket of this shelf, and what ours share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from ..shape import StepShapes, Topology
from .ast import VisualAST
from .builder import Hooks, build_ast
from .theme import MermaidTheme


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


class ThemedRenderer(ABC):
    """What our own renderers share: a theme, and the way from steps to a drawing.

    Args:
        theme: colours and direction.
        direction: used when there is no theme; ``TD`` or ``LR``.
    """

    def __init__(
        self, theme: MermaidTheme | None = None, direction: str = "TD"
    ) -> None:
        self._theme = theme or MermaidTheme(direction=direction)

    def render(
        self,
        steps: StepShapes,
        topology: Topology,
        startup_hooks: Hooks = None,
        shutdown_hooks: Hooks = None,
    ) -> str:
        """Return the drawing as text."""
        return self.render_ast(
            build_ast(steps, topology, startup_hooks, shutdown_hooks)
        )

    @abstractmethod
    def render_ast(self, ast: VisualAST) -> str:
        """Return a drawing that exists already, as text."""
