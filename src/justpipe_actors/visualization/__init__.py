"""Drawings of a pipeline, as Mermaid text or as SVG; made without running it.

``Pipe.graph`` takes any object with the method ``render`` of ``GraphRenderer``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from .ast import (
        ParallelGroup as ParallelGroup,
        VisualAST as VisualAST,
        VisualEdge as VisualEdge,
        VisualExit as VisualExit,
        VisualNode as VisualNode,
        VisualNodeKind as VisualNodeKind,
    )
    from .builder import build_ast as build_ast
    from .mermaid import (
        MermaidRenderer as MermaidRenderer,
        generate_mermaid_graph as generate_mermaid_graph,
    )
    from .renderer import (
        GraphRenderer as GraphRenderer,
        MermaidTheme as MermaidTheme,
    )
    from .svg import SvgRenderer as SvgRenderer
