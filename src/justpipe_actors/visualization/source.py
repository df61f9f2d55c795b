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
    tree = _parsed("".join(lines))
    if tree is None:
        return None
    if code.co_name == "<lambda>":
        return _find_lambda(tree, code)
    return _find_def(tree, code)


@functools.lru_cache(maxsize=32)
def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return None


def _find_def(tree: ast.Module, code: CodeType) -> Function | None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            here = (node.name, _first_line(node))
            if here == (code.co_name, code.co_firstlineno):
                return node
    return None


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([node.lineno, *(one.lineno for one in node.decorator_list)])


def _find_lambda(tree: ast.Module, code: CodeType) -> ast.Lambda | None:
    """Return the innermost lambda that has all of the code within it."""
    spots = [
        (line, column)
        for line, _, column, end in code.co_positions()
        if line is not None and column is not None and column != end
    ]
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda)
        and node.lineno == code.co_firstlineno
        and all(_start(node.body) <= spot <= _end(node.body) for spot in spots)
    ]
    return max(around, key=_start, default=None)


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
