"""Find the possible next steps of a function by static analysis of its source.

A step returns the name of the next step, so the names are in its ``return`` statements:
as constants, in conditional expressions, in f-strings, in dicts.  The analysis finds
the function in its file by position, which also distinguishes lambdas, and collects the
possible strings of each returned value.  Other values are ``UNKNOWN``: for a step an
``UNKNOWN`` is an ordinary return value; for the function of a switch it is an unknown
route, which the drawing must show.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import re
from collections.abc import Collection, Iterator
from enum import Enum, EnumType
from types import CodeType, ModuleType
from typing import Any

import attrs

from .._util.callables import unwrap_function
from ..signals import Raise, Retry, Skip, Stop, Suspend
from ..specs import resolve_name


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
"""A function or lambda."""


def find_definition(func: Any) -> Definition | None:
    """Return the definition of a plain function; None when there is no source."""
    code: object = getattr(func, "__code__", None)
    if not isinstance(code, CodeType):
        return None
    lines = linecache.getlines(code.co_filename, getattr(func, "__globals__", None))
    found = _definitions("".join(lines)).get((code.co_name, code.co_firstlineno), [])
    containing = [node for node in found if _contains_code(node, code)]
    return max(containing, key=_position, default=None)  # the innermost


@functools.lru_cache(maxsize=32)
def _definitions(source: str) -> dict[tuple[str, int], list[Definition]]:
    """Return all definitions of a file by name and first line."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return {}
    found: dict[tuple[str, int], list[Definition]] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Lambda():
                found.setdefault(("<lambda>", node.lineno), []).append(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                lines = [
                    node.lineno,
                    *(decorator.lineno for decorator in node.decorator_list),
                ]
                found.setdefault((node.name, min(lines)), []).append(node)
            case _:
                pass
    return found


def _contains_code(node: Definition, code: CodeType) -> bool:
    """Tell whether all of the code is inside a definition."""
    if not isinstance(node, ast.Lambda):
        return True
    positions = [
        (line, column)
        for line, _, column, stop in code.co_positions()
        if line is not None and column is not None and column != stop
    ]
    if not positions:  # Python 3.12 has no position for a lone constant
        return _is_constant(node.body, code.co_consts[-1:])
    end = (node.body.end_lineno or 0, node.body.end_col_offset or 0)
    return all(
        (node.body.lineno, node.body.col_offset) <= at <= end for at in positions
    )


def _is_constant(body: ast.expr, constants: tuple[object, ...]) -> bool:
    try:
        return ast.literal_eval(body) in constants
    except ValueError:
        return False


def _position(node: Definition) -> tuple[int, int]:
    return node.lineno, node.col_offset


RouteTarget = str | re.Pattern[str] | type[Stop] | None
"""One thing an expression may be: a name, a pattern of names, the end, anything."""

UNKNOWN = None
"""The value cannot be determined."""

_SIGNALS = (Retry, Skip, Raise, Suspend)
_MISSING = object()


@attrs.frozen
class PossibleRoutes:
    """The possible results of a function that its source shows."""

    names: tuple[str, ...] = ()
    """Possible next steps, in source order."""
    stops: bool = False
    """Whether it may return ``Stop``."""
    is_complete: bool = False
    """Whether these are all possible results."""


def analyze_routes(func: object, steps: Collection[str]) -> PossibleRoutes:
    """Return which of the steps a function may return."""
    plain = unwrap_function(func)
    found = find_definition(plain)
    if found is None:
        return PossibleRoutes()
    targets = list(_RouteReader(plain, found).targets())
    return PossibleRoutes(
        names=tuple(
            dict.fromkeys(name for a in targets for name in _matching_steps(a, steps))
        ),
        stops=any(target is Stop for target in targets),
        is_complete=UNKNOWN not in targets,
    )


def _matching_steps(target: RouteTarget, steps: Collection[str]) -> Iterator[str]:
    if isinstance(target, str) and target in steps:
        yield target
    elif isinstance(target, re.Pattern):
        yield from (name for name in sorted(steps) if target.fullmatch(name))


class _RouteReader:
    """Collects the possible results of one function."""

    def __init__(self, func: Any, node: Definition) -> None:
        self._node = node
        self._outer_names = _global_and_closure_names(func)
        self._assigned = _assignments(node)
        self._visiting: set[str] = set()

    def targets(self) -> Iterator[RouteTarget]:
        """Yield all possible results of the function."""
        if isinstance(self._node, ast.Lambda):
            yield from self._expression(self._node.body)
            return
        declared_names = list(_literals(self._node.returns))
        if declared_names:
            yield from declared_names
            return
        for node in ast.walk(self._node):
            if isinstance(node, ast.Return) and node.value is not None:
                yield from self._expression(node.value)

    def _expression(  # noqa: C901, PLR0912 - one row a form
        self, node: ast.expr
    ) -> Iterator[RouteTarget]:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.Constant(value=None):
                pass
            case ast.IfExp(body=if_true, orelse=if_false):
                yield from self._expressions([if_true, if_false])
            case ast.BoolOp(values=values):
                yield from self._expressions(values)
            case ast.NamedExpr(value=value):
                yield from self._expression(value)
            case ast.JoinedStr(values=parts):
                yield self._pattern(parts)
            case ast.Name(id=name) if name in self._assigned:
                yield from self._variable(name)
            case ast.Name() | ast.Attribute():
                yield from _targets_of_value(self._value(node))
            case ast.Subscript(value=table):
                yield from self._entries(table)
            case ast.Call():
                yield from self._call(node)
            case _:
                yield UNKNOWN

    def _expressions(self, nodes: list[ast.expr]) -> Iterator[RouteTarget]:
        for node in nodes:
            yield from self._expression(node)

    def _variable(self, name: str) -> Iterator[RouteTarget]:
        if name in self._visiting:
            return
        self._visiting.add(name)
        for value in self._assigned[name]:
            if value is None:
                yield UNKNOWN
            else:
                yield from self._expression(value)
        self._visiting.discard(name)

    def _pattern(self, parts: list[ast.expr]) -> RouteTarget:
        """Return an f-string as a pattern; without a fixed part it is ``UNKNOWN``."""
        constant_text = "".join(
            str(p.value) for p in parts if isinstance(p, ast.Constant)
        )
        pieces = [
            re.escape(str(part.value))
            if isinstance(part, ast.Constant)
            else self._alternatives(part)
            for part in parts
        ]
        return re.compile("".join(pieces), re.DOTALL) if constant_text else UNKNOWN

    def _alternatives(self, part: ast.expr) -> str:
        if isinstance(part, ast.FormattedValue) and part.format_spec is None:
            targets = list(self._expression(part.value))
            texts = [re.escape(target) for target in targets if isinstance(target, str)]
            if texts and len(texts) == len(targets):
                return f"(?:{'|'.join(texts)})"
        return ".*"

    def _call(self, node: ast.Call) -> Iterator[RouteTarget]:
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop"):
            yield from self._entries(node.func.value)
            yield from self._expressions(node.args[1:])
            return
        callee = self._value(node.func)
        if callee is Stop:
            yield Stop
        elif not any(callee is signal for signal in _SIGNALS):
            yield UNKNOWN

    def _entries(self, table: ast.expr) -> Iterator[RouteTarget]:
        """Yield the values of a dict that is written out or found by its name."""
        if isinstance(table, ast.Dict):
            yield from self._expressions(table.values)
            return
        found = self._value(table)
        if not isinstance(found, dict):  # other types might run code
            yield UNKNOWN
            return
        for value in found.values():
            yield from _targets_of_value(value)

    def _value(self, node: ast.expr) -> object:
        """Look a dotted name up without executing code."""
        match node:
            case ast.Name(id=name):
                return self._outer_names.get(name, _MISSING)
            case ast.Attribute(value=owner, attr=name):
                return _static_member(self._value(owner), name)
            case _:
                return _MISSING


def _static_member(owner: object, name: str) -> object:
    match owner:
        case EnumType():
            return owner.__members__.get(name, _MISSING)
        case Enum() if name == "value":
            return owner.value
        case type() | ModuleType():
            return inspect.getattr_static(owner, name, _MISSING)
        case _:
            return _MISSING


def _targets_of_value(value: object) -> Iterator[RouteTarget]:
    if isinstance(value, str):
        yield str.__str__(value)
    elif value is Stop or isinstance(value, Stop):
        yield Stop
    elif inspect.isroutine(value):
        yield resolve_name(value)
    elif value is not None and not isinstance(value, _SIGNALS):
        yield UNKNOWN


def _global_and_closure_names(func: Any) -> dict[str, object]:
    names: dict[str, object] = dict(getattr(func, "__globals__", {}))
    cells = getattr(func, "__closure__", None) or ()
    for name, cell in zip(func.__code__.co_freevars, cells, strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            names.pop(name, None)
    return names


def _assignments(node: Definition) -> dict[str, list[ast.expr | None]]:
    """Return local names with their assigned expressions; None is an unreadable one."""
    found: dict[str, list[ast.expr | None]] = {
        child.arg: [None] for child in ast.walk(node.args) if isinstance(child, ast.arg)
    }
    values: dict[int, ast.expr | None] = {}
    for child in ast.walk(node):
        if isinstance(child, ast.Assign):
            values.update({id(target): child.value for target in child.targets})
        elif isinstance(child, (ast.AnnAssign, ast.NamedExpr)):
            values[id(child.target)] = child.value
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            found.setdefault(child.id, []).append(values.get(id(child)))
    return found


def _literals(annotation: ast.expr | None) -> Iterator[str]:
    """Yield the values that a return annotation declares with ``Literal``."""
    for node in ast.walk(annotation) if annotation is not None else ():
        match node:
            case (
                ast.Subscript(value=ast.Name(id="Literal"))
                | ast.Subscript(value=ast.Attribute(attr="Literal"))
            ):
                for literal in ast.walk(node.slice):
                    if isinstance(literal, ast.Constant) and isinstance(
                        literal.value, str
                    ):
                        yield literal.value
            case _:
                pass
