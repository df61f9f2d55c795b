"""A pipe that has not begun, as rows: what is to come, parents before children.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .progress import Progress, Row


def outline(description: Mapping[str, Any]) -> Progress:
    """Return the rows of a pipe that has not begun, parents before children.

    Args:
        description: what ``Pipe.describe()`` says.
    """
    nodes: Mapping[str, Any] = description["nodes"]
    topology: Mapping[str, list[str]] = description["topology"]
    workers = {
        name: [t for t in node["targets"] if t not in topology.get(name, ())]
        for name, node in nodes.items()
        if node["kind"] == "map"
    }
    below = {worker for some in workers.values() for worker in some}
    successors = {
        name: [
            t
            for t in dict.fromkeys([*topology.get(name, ()), *node["targets"]])
            if t in nodes
        ]
        for name, node in nodes.items()
    }
    rows: dict[str, Row] = {}
    for name in _in_order(successors):
        if name not in below:
            rows[name] = Row(name)
            for worker in workers.get(name, ()):
                rows[worker] = Row(worker, 1, is_worker=True)
                rows[name].worker = worker
    for worker in sorted(below - rows.keys()):
        rows[worker] = Row(worker, is_worker=True)
    return Progress(rows)


def _in_order(successors: dict[str, list[str]]) -> Iterator[str]:
    """Yield every step once, before its successors wherever there is no circle."""
    aimed_at = {target for targets in successors.values() for target in targets}
    order: list[str] = []
    seen: set[str] = set()
    roots = [name for name in successors if name not in aimed_at]
    # Backwards, since all of it is reversed: who is left last comes out first.
    for root in [*reversed(roots), *successors]:
        path = [] if root in seen else [(root, iter(reversed(successors[root])))]
        seen.add(root)
        while path:
            rest = path[-1][1]
            fresh = next((t for t in rest if t not in seen), None)
            if fresh is None:
                order.append(path.pop()[0])
            else:
                seen.add(fresh)
                path.append((fresh, iter(reversed(successors[fresh]))))
    yield from reversed(order)
