"""A drawing as Mermaid text.

Blocks, in order: startup hooks, start, parallel groups, other nodes, end, shutdown hooks,
edges, utilities, class lines, sub-pipelines, styles.  Lists are sorted, so the text is
the same in every process.  Every node is in one group only: Mermaid would draw a node
of two groups in the first one and add a second box for the other one.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..specs import BarrierType, StepShapes, Topology
from .ast import VisualAST, VisualEdge, VisualNode, VisualNodeKind
from .builder import Hooks
from .labels import arrow, display_name, escape_mermaid, flag_shape
from .renderer import MermaidTheme, ThemedRenderer


_SHAPES = {
    VisualNodeKind.STEP: '["{}"]',
    VisualNodeKind.STREAMING: '(["{} ⚡"])',
    VisualNodeKind.MAP: '[["{}"]]',
    VisualNodeKind.SWITCH: '{{"{}"}}',
    VisualNodeKind.SUB: '[/"{}" /]',
}


class MermaidRenderer(ThemedRenderer):
    """Draws a pipeline as Mermaid text.

    Args:
        theme: colours and direction; None is ``MermaidTheme(direction=direction)``.
        direction: used when there is no theme: ``TD`` from top to bottom, or ``LR``
            from left to right.
    """

    def render_ast(self, ast: VisualAST) -> str:
        """Return an existing visual AST as text.

        Args:
            ast: the drawing as data.
        """
        lines_of_pipe = _MermaidLines(ast)
        body = (
            list(lines_of_pipe.lines()) if ast.nodes else ["Empty[No steps registered]"]
        )
        styles = self._theme.render_styles(lines_of_pipe.used_groups)
        lines = _indented([*body, "", *styles])
        return "\n".join([self._theme.render_header(), *lines])


def generate_mermaid_graph(
    steps: StepShapes,
    topology: Topology,
    startup_hooks: Hooks = None,
    shutdown_hooks: Hooks = None,
    *,
    theme: MermaidTheme | None = None,
    direction: str = "TD",
) -> str:
    """Return a pipeline as Mermaid text; a theme's own direction wins.

    Args:
        steps: the steps by name.
        topology: static successors by step.
        startup_hooks: functions called before the first step.
        shutdown_hooks: functions called when a run ends.
    """
    renderer = MermaidRenderer(theme, direction)
    return renderer.render(steps, topology, startup_hooks, shutdown_hooks)


class _MermaidLines:
    """One pipeline's lines; a sub-pipeline's ids carry its node's id in front."""

    def __init__(self, ast: VisualAST, prefix: str = "") -> None:
        self.ast = ast
        self.prefix = prefix
        self.subs = [
            (node, _MermaidLines(node.sub_graph, f"{prefix}{node.id}_"))
            for node in self._by_name()
            if node.sub_graph is not None
        ]
        self.start, self.end = f"{prefix}Start", f"{prefix}End"
        self.has_start = bool(ast.connected)
        self.has_end = ast.has_end
        self.classes = self._classes()

    @property
    def used_groups(self) -> set[str]:
        """The groups that need a style."""
        own = {group for group, _ in self.classes}
        ends = {"startEnd"} if self.has_start or self.has_end else set[str]()
        return own.union(ends, *(sub_lines.used_groups for _, sub_lines in self.subs))

    def lines(self) -> Iterator[str]:
        """Yield all lines, without the indentation of the first level."""
        yield from self._startup()
        yield from self._start()
        yield from self._parallel_groups()
        yield from self._other_nodes()
        yield from self._end()
        yield from self._shutdown()
        yield from self._edges()
        yield from self._utilities()
        yield from self._class_lines()
        yield from self._sub_pipelines()

    def _by_name(self) -> list[VisualNode]:
        return sorted(self.ast.nodes.values(), key=lambda node: node.name)

    def _id(self, name: str) -> str:
        return self.prefix + self.ast.nodes[name].id

    # -- nodes

    def _startup(self) -> Iterator[str]:
        if self.ast.startup_hooks:
            yield from _hooks("startup", "Startup Hooks", self.ast.startup_hooks)
            if self.has_start:
                yield f"startup --> {self.start}"

    def _start(self) -> Iterator[str]:
        if self.has_start:
            yield f'{self.start}(["▶ Start"])'
            yield ""

    def _parallel_groups(self) -> Iterator[str]:
        for source, names in self._groups():
            yield f"subgraph {self.prefix}parallel_{source.id}[Parallel]"
            yield "    direction LR"
            yield from (f"    {self._node(self.ast.nodes[name])}" for name in names)
            yield "end"
            yield ""

    def _groups(self) -> Iterator[tuple[VisualNode, list[str]]]:
        """Yield groups of two at least; each node belongs to the first that has it."""
        grouped: set[str] = set()
        nodes = self.ast.nodes
        for group in sorted(
            self.ast.parallel_groups, key=lambda group: group.source_id
        ):
            names = sorted(
                {*group.node_ids} - grouped, key=lambda name: nodes[name].name
            )
            if len(names) > 1:
                grouped.update(names)
                yield nodes[group.source_id], names

    def _other_nodes(self) -> Iterator[str]:
        grouped = {name for _, names in self._groups() for name in names}
        for node in self._by_name():
            if not node.is_isolated and node.name not in grouped:
                yield self._node(node)
            if node.has_unknown_routes:
                yield f'{self._id(node.name)}_any(["?"])'

    def _node(self, node: VisualNode) -> str:
        label = escape_mermaid(display_name(node.name))
        label += " (Any)" if node.barrier_type is BarrierType.ANY else ""
        node_id = self.prefix + node.id
        if node.is_map_target:
            return f'{node_id}@{{ shape: procs, label: "{label}" }}'
        return node_id + _SHAPES[node.kind].format(label)

    def _end(self) -> Iterator[str]:
        if self.has_end:
            yield f'{self.end}(["■ End"])'
        for node in self._by_name():
            if node.is_terminal and not node.is_isolated:
                yield f"{self.prefix}{node.id} --> {self.end}"

    def _shutdown(self) -> Iterator[str]:
        if self.ast.shutdown_hooks:
            yield from _hooks("shutdown", "Shutdown Hooks", self.ast.shutdown_hooks)
            if self.has_end:
                yield f"{self.end} --> shutdown"

    def _utilities(self) -> Iterator[str]:
        isolated = [node for node in self._by_name() if node.is_isolated]
        if isolated:
            yield ""
            yield f"subgraph {self.prefix}utilities[Utilities]"
            yield "    direction TB"
            yield from (f"    {self._node(node)}:::isolated" for node in isolated)
            yield "end"

    # -- edges

    def _edges(self) -> Iterator[str]:
        if self.has_start:
            yield ""
        for node in self._by_name():
            if node.is_entry:
                yield f"{self.start} --> {self.prefix}{node.id}"
        order = sorted(self.ast.edges, key=lambda edge: (edge.source, edge.target))
        for edge in order:
            yield self._edge(edge)
        for exit_ in sorted(self.ast.exits, key=lambda exit_: exit_.source):
            link = arrow(exit_.label, is_dashed=exit_.is_dynamic)
            indent = " " if exit_.label is not None else ""
            yield f"{indent}{self._id(exit_.source)}{link}{self.end}"
        for node in self._by_name():
            if node.has_unknown_routes:
                yield f"{self.prefix}{node.id} -.-> {self.prefix}{node.id}_any"

    def _edge(self, edge: VisualEdge) -> str:
        link = arrow(edge.label, is_dashed=edge.is_dynamic)
        if edge.is_map_edge:
            link = " -. map .-> "
        indent = " " if edge.label is not None else ""
        return f"{indent}{self._id(edge.source)}{link}{self._id(edge.target)}"

    # -- classes

    def _classes(self) -> list[tuple[str, list[str]]]:
        ids_by_group: dict[str, list[str]] = {}
        for node in self.ast.nodes.values():
            group = "isolated" if node.is_isolated else node.kind.value
            ids_by_group.setdefault(group, []).append(self.prefix + node.id)
        return [(group, sorted(ids_by_group[group])) for group in sorted(ids_by_group)]

    def _class_lines(self) -> Iterator[str]:
        for group, ids in self.classes:
            yield f"class {','.join(ids)} {group};"
        ends = [self.start] * self.has_start + [self.end] * self.has_end
        if ends:
            yield f"class {','.join(ends)} startEnd;"

    def _sub_pipelines(self) -> Iterator[str]:
        for node, sub_lines in self.subs:
            node_id = self.prefix + node.id
            yield ""
            yield f'subgraph cluster_{node_id} ["{escape_mermaid(display_name(node.name))} (Impl)"]'
            yield "    direction TB"
            yield from _indented(sub_lines.lines())
            yield "end"
            yield f"{node_id} -.- {sub_lines.start}"


def _hooks(node_id: str, heading: str, names: list[str]) -> Iterator[str]:
    yield f"subgraph {node_id}[{heading}]"
    yield "    direction TB"
    for index, name in enumerate(names):
        yield f"    {node_id}_{index}{flag_shape(display_name(name))}"
    for index in range(1, len(names)):
        yield f"    {node_id}_{index - 1} --> {node_id}_{index}"
    yield "end"


def _indented(lines: Iterator[str] | list[str]) -> Iterator[str]:
    for line in lines:
        yield f"    {line}" if line else ""
