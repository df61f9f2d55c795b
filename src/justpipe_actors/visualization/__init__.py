"""Drawings of a pipeline, as Mermaid text or as SVG; made without running it.

Anything with a ``render`` like :class:`GraphRenderer`'s can be given to ``Pipe.graph``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import lazy_exports


if TYPE_CHECKING:
    from .ast import (
        ParallelGroup,
        VisualAST,
        VisualEdge,
        VisualExit,
        VisualNode,
        VisualNodeKind,
    )
    from .builder import build_ast
    from .mermaid import MermaidRenderer, generate_mermaid_graph
    from .renderer import GraphRenderer, MermaidTheme
    from .svg import SvgRenderer


__all__ = [
    "GraphRenderer",
    "MermaidRenderer",
    "MermaidTheme",
    "ParallelGroup",
    "SvgRenderer",
    "VisualAST",
    "VisualEdge",
    "VisualExit",
    "VisualNode",
    "VisualNodeKind",
    "build_ast",
    "generate_mermaid_graph",
]

_MODULE_OF = {
    "GraphRenderer": ".renderer",
    "MermaidRenderer": ".mermaid",
    "MermaidTheme": ".renderer",
    "ParallelGroup": ".ast",
    "SvgRenderer": ".svg",
    "VisualAST": ".ast",
    "VisualEdge": ".ast",
    "VisualExit": ".ast",
    "VisualNode": ".ast",
    "VisualNodeKind": ".ast",
    "build_ast": ".builder",
    "generate_mermaid_graph": ".mermaid",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF)
