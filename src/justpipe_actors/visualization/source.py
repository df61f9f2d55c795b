"""Find a function in its source file, as a syntax tree and by position."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
from types import CodeType, MethodType
from typing import Any


Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
"""Whatever has answers."""


def plain_function(func: object) -> Any:
    """Return the function inside partials, decorators, methods and callable objects."""
    while isinstance(func, functools.partial):
        func = func.func
    if not (inspect.isroutine(func) or inspect.isclass(func)):
        func = getattr(type(func), "__call__", func)  # noqa: B004 - its code
    func = inspect.unwrap(func) if callable(func) else func
    return func.__func__ if isinstance(func, MethodType) else func


def find_function(func: Any) -> Function | None:
    """Return the definition of a plain function; None when there is no source."""
    code: object = getattr(func, "__code__", None)
    if not isinstance(code, CodeType):
        return None
    lines = linecache.getlines(code.co_filename, getattr(func, "__globals__", None))
    found = _functions("".join(lines)).get((code.co_name, code.co_firstlineno), [])
    around = [node for node in found if _is_around(node, code)]
    return max(around, key=_place, default=None)  # the innermost


@functools.lru_cache(maxsize=32)
def _functions(source: str) -> dict[tuple[str, int], list[Function]]:
    """Return all definitions of a file by name and first line."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    found: dict[tuple[str, int], list[Function]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Lambda():
                found.setdefault(("<lambda>", node.lineno), []).append(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                lines = [node.lineno, *(one.lineno for one in node.decorator_list)]
                found.setdefault((node.name, min(lines)), []).append(node)
            case _:
                pass
    return found


def _is_around(node: Function, code: CodeType) -> bool:
    """Tell whether all of the code stands within a definition."""
    if not isinstance(node, ast.Lambda):
        return True
    places = [
        (line, column)
        for line, _, column, stop in code.co_positions()
        if line is not None and column is not None and column != stop
    ]
    if not places:  # Python 3.12 does not say where a constant stood, if that is all
        return _is_constant(node.body, code.co_consts[-1:])
    end = (node.body.end_lineno or 0, node.body.end_col_offset or 0)
    return all((node.body.lineno, node.body.col_offset) <= at <= end for at in places)


def _is_constant(body: ast.expr, constants: tuple[object, ...]) -> bool:
    try:
        return ast.literal_eval(body) in constants
    except ValueError:
        return False


def _place(node: Function) -> tuple[int, int]:
    return node.lineno, node.col_offset
