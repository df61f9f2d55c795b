"""Search for lost updates: map workers that overwrite each other's assignments.

An update is lost when a worker reads a part of the state, waits, and then assigns that
part: another worker may have assigned it meanwhile.  ::

    async def worker(state, item):
        state.total += await price(item)       # reads before it waits, assigns after

    async def worker(state, item):
        state.prices[item] = await price(item)  # assigns a place of its own: no problem

A synchronous worker that runs inline cannot be interrupted and loses nothing; one that
runs in a thread can be interrupted between any two operations.  The worker's source is
read for this; without source there is no finding.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator

from .._util.callables import unwrap_function
from .._util.lazy_classes import frozen


@frozen
class LostUpdate:
    """One assignment that may undo another worker's."""

    part: str
    """The assigned part as written in the source: ``state.total``."""
    filename: str
    """The file of the worker."""
    lineno: int
    """The line of the assignment."""


def find_lost_update(
    func: Callable[..., object], state: str, *, in_thread: bool
) -> LostUpdate | None:
    """Return the first assignment of a worker that can undo another worker's.

    Args:
        func: a map's worker.
        state: the name of its parameter for the state.
        in_thread: whether a synchronous worker runs in a thread.
    """
    inner = unwrap_function(func)
    if not (in_thread or inspect.iscoroutinefunction(inner)):
        return None
    try:
        lines, first = inspect.getsourcelines(inner)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
            found = next(_lost_in(node, state, in_thread=in_thread), None)
            if found is None:
                return None
            part, line = found
            return LostUpdate(part, inner.__code__.co_filename, first + line - 1)
    return None


def _lost_in(
    node: ast.AST, state: str, *, in_thread: bool
) -> Iterator[tuple[str, int]]:
    """Yield the parts that are read, waited upon and then assigned, with their lines."""
    read: set[str] = set()
    stale: set[str] = set()
    for kind, part, line in _accesses(node, state):
        match kind:
            case "read":
                read.add(part)
                stale.discard(part)
                if in_thread:
                    stale.add(part)
            case "wait":
                stale |= read
            case _:
                if part in stale:
                    yield part, line
                read.discard(part)
                stale.discard(part)


def _accesses(  # noqa: C901, PLR0912 - one row a kind of node
    node: ast.AST, state: str
) -> Iterator[tuple[str, str, int]]:
    """Yield reads and assignments of parts of the state, and waits, as they happen."""
    match node:
        case ast.AugAssign(target=target, value=value):
            if part := _part_of(target, state):
                yield "read", part, node.lineno
            yield from _accesses(value, state)
            if part:
                yield "assign", part, node.lineno
        case ast.Assign(targets=targets, value=value):
            yield from _accesses(value, state)
            for assigned in targets:
                yield from _accesses(assigned, state)
        case ast.Await(value=value):
            yield from _accesses(value, state)
            yield "wait", "", node.lineno
        case ast.AsyncFor() | ast.AsyncWith():
            yield "wait", "", node.lineno
            for child in ast.iter_child_nodes(node):
                yield from _accesses(child, state)
        case ast.Attribute() | ast.Subscript() if part := _part_of(node, state):
            kind = "assign" if isinstance(node.ctx, ast.Store) else "read"
            yield kind, part, node.lineno
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _accesses(child, state)


def _part_of(node: ast.AST, state: str) -> str:
    """Return the source of a part of the state with a fixed name, else an empty text."""
    match node:
        case ast.Attribute(value=ast.Name(id=name)) if name == state:
            return ast.unparse(node)
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant()):
            return ast.unparse(node) if name == state else ""
        case _:
            return ""
