"""The lines of a picture: what an edge means, and how much it pulls."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from itertools import pairwise

import attrs

from .ast import VisualAST, VisualEdge, VisualExit
from .layout import Link
from .wording import SMALL, shortened, text_width


class Way(Enum):
    """What a line means."""

    FLOW = "flow"
    EDGE = "edge"
    EACH = "each"
    MAYBE = "maybe"


@attrs.frozen(eq=False)
class Tie:
    """One line."""

    link: Link
    """Between which figures."""
    way: Way
    """What it means."""
    text: str = ""
    """What is written on it."""


def ties_of(ast: VisualAST) -> Iterator[Tie]:
    """Yield the lines of a drawing, each between two figures."""
    ids = {name: node.id for name, node in ast.nodes.items()}
    yield from _hook_ties("startup", len(ast.startup_hooks))
    shown = ast.connected
    if ast.startup_hooks and shown:
        last = f"startup {len(ast.startup_hooks) - 1}"
        yield Tie(Link(last, "start"), Way.EDGE)
    for node in shown:
        if node.is_entry:
            yield Tie(Link("start", node.id), Way.EDGE)
    yield from _edge_ties(ast, ids)
    for node in shown:
        if node.has_unknown_routes:
            yield Tie(Link(node.id, f"any {node.id}", weight=1), Way.MAYBE)
        if node.is_terminal:
            yield Tie(Link(node.id, "end", weight=0), Way.EDGE)
    if ast.shutdown_hooks and ast.has_end:
        yield Tie(Link("end", "shutdown 0"), Way.EDGE)
    yield from _hook_ties("shutdown", len(ast.shutdown_hooks))


def _hook_ties(role: str, count: int) -> Iterator[Tie]:
    for one, next_ in pairwise(range(count)):
        yield Tie(Link(f"{role} {one}", f"{role} {next_}"), Way.EDGE)


def _edge_ties(ast: VisualAST, ids: dict[str, str]) -> Iterator[Tie]:
    """Yield one line for all edges of one kind between the same steps."""
    labels: dict[tuple[str, str, Way], list[str]] = {}
    maps = {edge.source for edge in ast.edges if edge.is_map_edge}
    for edge in ast.edges:
        way = Way.EACH if edge.is_map_edge else _way(edge)
        texts = labels.setdefault((ids[edge.source], ids[edge.target], way), [])
        texts += [edge.label] if edge.label and not edge.is_dynamic else []
    for one in ast.exits:
        key = (ids[one.source], "end", _way(one))
        labels.setdefault(key, []).extend([one.label] if one.label else [])
    after_workers = {ids[name] for name in maps}
    for (source, target, way), texts in labels.items():
        is_after = way is Way.FLOW and source in after_workers
        yield _tie(source, target, way, shortened(", ".join(texts)), is_after=is_after)


def _way(edge: VisualEdge | VisualExit) -> Way:
    return Way.MAYBE if edge.is_dynamic else Way.FLOW


def _tie(source: str, target: str, way: Way, text: str, *, is_after: bool) -> Tie:
    """Return a line; what follows a map stands below the map's worker."""
    link = Link(
        source,
        target,
        label=(text_width(text, SMALL) + 12, SMALL + 7) if text else None,
        weight=0 if target == "end" else 1 if way is Way.MAYBE else 2,
        ranks=2 if is_after else 1,
        may_turn=way is Way.MAYBE,
    )
    return Tie(link, way, text)
