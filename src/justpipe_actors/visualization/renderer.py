"""The renderer protocol of ``Pipe.graph``, themes, and the renderers' base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..specs import StepShapes, Topology
from .ast import VisualAST
from .builder import Hooks, build_ast


GROUPS = ("step", "streaming", "map", "switch", "sub", "isolated", "startEnd")
"""What is coloured, in the order in which Mermaid styles are written."""

_FIELDS = {"startEnd": "start_end"}
_WIDTHS = {"startEnd": "3px"}
_DASHES = {"isolated": "5 5"}


@dataclass(frozen=True)
class Paint:
    """The colours of one group."""

    fill: str
    """Inside."""
    stroke: str
    """Outline."""
    color: str
    """Text."""


@dataclass
class MermaidTheme:
    """Colours and direction of a drawing; the SVG renderer takes it, too."""

    direction: str = "TD"
    """``TD`` from top to bottom, ``LR`` from left to right."""
    step_fill: str = "#e3f2fd"
    step_stroke: str = "#1976d2"
    step_color: str = "#0d47a1"
    streaming_fill: str = "#fff3e0"
    streaming_stroke: str = "#f57c00"
    streaming_color: str = "#e65100"
    map_fill: str = "#e8f5e9"
    map_stroke: str = "#388e3c"
    map_color: str = "#1b5e20"
    switch_fill: str = "#f3e5f5"
    switch_stroke: str = "#7b1fa2"
    switch_color: str = "#4a148c"
    sub_fill: str = "#f1f8e9"
    sub_stroke: str = "#558b2f"
    sub_color: str = "#33691e"
    isolated_fill: str = "#fce4ec"
    isolated_stroke: str = "#c2185b"
    isolated_color: str = "#880e4f"
    start_end_fill: str = "#e8f5e9"
    start_end_stroke: str = "#388e3c"
    start_end_color: str = "#1b5e20"

    def paint(self, group: str) -> Paint:
        """Return the colours of one of ``GROUPS``.

        Args:
            group: the group's name.
        """
        prefix = _FIELDS.get(group, group)
        fill, stroke, color = (
            str(getattr(self, f"{prefix}_{part}"))
            for part in ("fill", "stroke", "color")
        )
        return Paint(fill, stroke, color)

    def render_header(self) -> str:
        """Return the first line of a Mermaid drawing."""
        return f"graph {self.direction}"

    def render_styles(self, used: Collection[str] = GROUPS) -> list[str]:
        """Return the Mermaid styles of the groups that a drawing uses.

        Args:
            used: names of the groups.
        """
        lines = [
            "%% Styling",
            "classDef default fill:#f8f9fa,stroke:#dee2e6,stroke-width:1px;",
        ]
        return lines + [self._style(group) for group in GROUPS if group in used]

    def _style(self, group: str) -> str:
        paint = self.paint(group)
        dash = f",stroke-dasharray: {_DASHES[group]}" if group in _DASHES else ""
        return (
            f"classDef {group} fill:{paint.fill},stroke:{paint.stroke},"
            f"stroke-width:{_WIDTHS.get(group, '2px')}{dash},color:{paint.color};"
        )


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
        """Return the drawing as text; hooks come as functions.

        Args:
            steps: the steps by name.
            topology: static successors by step.
            startup_hooks: functions called before the first step.
            shutdown_hooks: functions called when a run ends.
        """
        ...


class ThemedRenderer(ABC):
    """Base class of the built-in renderers: a theme, and building the visual AST.

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
        """Return an existing visual AST as text."""
