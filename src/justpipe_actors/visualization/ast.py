"""The visual AST: the nodes and edges of a drawing of a pipeline.

Renderers need nothing else, and ``to_dict`` writes all of it as JSON-style data: that is
``describe()["visual_ast"]``, and what a store keeps.  A key that holds nothing is left
out where older readers do not expect it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..specs import BarrierType


class VisualNodeKind(Enum):
    """What a node looks like."""

    STEP = "step"
    STREAMING = "streaming"
    MAP = "map"
    SWITCH = "switch"
    SUB = "sub"


@dataclass
class VisualNode:
    """One step."""

    id: str
    """``n0``, ``n1``, ...: by alphabet, and the same for every drawing of a pipe."""
    name: str
    """The step's name."""
    kind: VisualNodeKind
    """Kind of the step; it decides the shape."""
    is_entry: bool = False
    """A run begins here."""
    is_terminal: bool = False
    """A run may end here."""
    is_isolated: bool = False
    """Nothing leads here or away."""
    is_map_target: bool = False
    """Runs once for every item of a map."""
    barrier_type: BarrierType = BarrierType.ALL
    """Whether it waits for all parents or for any."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """For renderers; not serialized.  ``doc`` is the first line of the docstring."""
    sub_graph: VisualAST | None = None
    """The child pipe of a sub."""
    has_unknown_routes: bool = False
    """Whether a function chooses the next step and its results are not known."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-style data."""
        data: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "kind": self.kind.value,
            "is_entry": self.is_entry,
            "is_terminal": self.is_terminal,
            "is_isolated": self.is_isolated,
            "is_map_target": self.is_map_target,
            "barrier_type": self.barrier_type.value,
        }
        if self.sub_graph is not None:
            data["sub_graph"] = self.sub_graph.to_dict()
        if self.has_unknown_routes:
            data["has_unknown_routes"] = True
        return data


@dataclass
class VisualEdge:
    """One step leads to another; both by name."""

    source: str
    """Name of the step that the edge leaves."""
    target: str
    """Name of the step that the edge points at."""
    label: str | None = None
    """The value for which a switch takes this edge, or ``dynamic``."""
    is_map_edge: bool = False
    """Whether it leads from a map to its worker."""
    is_dynamic: bool = False
    """Whether it is a possible result of a function, so it *may* be taken."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-style data."""
        data: dict[str, Any] = {
            "source": self.source,
            "target": self.target,
            "is_map_edge": self.is_map_edge,
        }
        return data | _without_none(
            label=self.label, is_dynamic=self.is_dynamic or None
        )


@dataclass
class VisualExit:
    """One step may end the run with ``Stop``."""

    source: str
    """Name of the step."""
    label: str | None = None
    """The value for which its switch stops."""
    is_dynamic: bool = False
    """Whether it is a possible result of a function."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-style data."""
        data: dict[str, Any] = {"source": self.source}
        return data | _without_none(
            label=self.label, is_dynamic=self.is_dynamic or None
        )


@dataclass
class ParallelGroup:
    """Steps that start together."""

    id: str
    """``parallel_`` and the id of the step they follow."""
    source_id: str
    """Name of the step that they follow; the key is the reference's."""
    node_ids: list[str]
    """Names of the steps."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-style data."""
        return {
            "id": self.id,
            "source_id": self.source_id,
            "node_ids": list(self.node_ids),
        }


@dataclass
class VisualAST:
    """One pipeline."""

    nodes: dict[str, VisualNode]
    """The steps by name, in alphabetical order."""
    edges: list[VisualEdge]
    """Static ones, then maps, switches, dynamic ones; each in order of registration."""
    parallel_groups: list[ParallelGroup]
    """One group for every step with several successors."""
    startup_hooks: list[str] = field(default_factory=list)
    """Names of the hooks, in order."""
    shutdown_hooks: list[str] = field(default_factory=list)
    """Names of the hooks, in order."""
    exits: list[VisualExit] = field(default_factory=list)
    """Steps that end the run with ``Stop``."""

    @property
    def connected(self) -> list[VisualNode]:
        """The nodes that something leads to or from."""
        return [node for node in self.nodes.values() if not node.is_isolated]

    @property
    def has_end(self) -> bool:
        """Whether a run can be seen to end."""
        return bool(self.exits) or any(node.is_terminal for node in self.connected)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-style data."""
        data: dict[str, Any] = {
            "nodes": {name: node.to_dict() for name, node in self.nodes.items()},
            "edges": [edge.to_dict() for edge in self.edges],
            "parallel_groups": [group.to_dict() for group in self.parallel_groups],
            "startup_hooks": list(self.startup_hooks),
            "shutdown_hooks": list(self.shutdown_hooks),
        }
        return data | _without_none(
            exits=[exit_.to_dict() for exit_ in self.exits] or None
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> VisualAST:
        """Read the output of ``to_dict``, also where newer keys are missing.

        Args:
            data: the drawing as data.

        Returns:
            The drawing.
        """
        return cls(
            nodes={name: _node_from_dict(item) for name, item in data["nodes"].items()},
            edges=[VisualEdge(**item) for item in data["edges"]],
            parallel_groups=[ParallelGroup(**item) for item in data["parallel_groups"]],
            startup_hooks=list(data.get("startup_hooks", ())),
            shutdown_hooks=list(data.get("shutdown_hooks", ())),
            exits=[VisualExit(**item) for item in data.get("exits", ())],
        )


_READERS: dict[str, Callable[[Any], Any]] = {
    "kind": VisualNodeKind,
    "barrier_type": BarrierType,
    "sub_graph": VisualAST.from_dict,
}


def _node_from_dict(data: dict[str, Any]) -> VisualNode:
    values = {k: _READERS[k](v) if k in _READERS else v for k, v in data.items()}
    return VisualNode(**values)


def _without_none(**values: object) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
