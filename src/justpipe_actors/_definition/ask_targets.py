"""Targets of ``Ask(..., to=, on_timeout=)``, found in the source of a step.

They are edges of the graph that no decorator names: without them such a step would be a
root.  Only what the source names directly is found, as ``to=decide``, ``to="decide"`` or
``to=steps.decide``; ``routes=`` of the decorator declares the others.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any

from .._util.callables import unwrap_function
from .._util.lazy_classes import frozen
from ..signals import Ask
from ..specs import resolve_name


@frozen
class AskTargets:
    """The ``Ask`` results found in the source of a step."""

    asks: bool = False
    """True if the source constructs an ``Ask``."""
    targets: tuple[str, ...] = ()
    """The steps its answers and timeouts lead to, as far as they are named."""


NO_ASK = AskTargets()


def ask_targets_of(func: Callable[..., Any]) -> AskTargets:
    """Return the ``Ask`` results in a step's source."""
    inner = unwrap_function(func)
    code = getattr(inner, "__code__", None)
    # Most steps mention no Ask, and their source is not read.
    if type(code) is not CodeType:  # a mock passes an isinstance check
        return NO_ASK
    if not any("Ask" in name for name in (*code.co_names, *code.co_freevars)):
        return NO_ASK
    found = tuple(_calls_of(code, inner))
    targets = [
        target
        for call in found
        for keyword in call.keywords
        if keyword.arg in {"to", "on_timeout"}
        for target in _target(keyword.value, inner)
    ]
    return AskTargets(bool(found), tuple(dict.fromkeys(targets)))


def _calls_of(code: Any, func: Any) -> Iterator[ast.Call]:
    """Return the calls in a function's source that build an ``Ask``."""
    tree = _tree_of(code)
    if tree is None:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _value_of(node.func, func) is Ask:
            yield node


@lru_cache(maxsize=256)
def _tree_of(code: Any) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, SyntaxError, ValueError, TypeError):
        return None


def _target(node: ast.expr, func: Any) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
        return
    value = _value_of(node, func)
    if callable(value):
        yield resolve_name(value)
    elif isinstance(value, str):
        yield value


def _value_of(node: ast.expr, func: Any) -> object:
    """Return the value of a name or dotted name in the function's scope, else None."""
    if isinstance(node, ast.Attribute):
        return getattr(_value_of(node.value, func), node.attr, None)
    if not isinstance(node, ast.Name):
        return None
    code = func.__code__
    if node.id in code.co_freevars:
        cell = func.__closure__[code.co_freevars.index(node.id)]
        try:
            return cell.cell_contents
        except ValueError:
            return None  # defined later in the same block
    return func.__globals__.get(node.id)
