"""Where a function's answers may send a run, read off its source and never by running it.

A step answers with the name of the step to go to, so the names stand in its ``return``
statements: as constants, in conditional expressions, in f-strings, in tables.  The
function is found in its file by position, which also tells lambdas apart; of each value
it returns we keep the strings it can be.  What cannot be read is called ``UNKNOWN``: for
a step that is an ordinary value, for a function that a switch asks it is a way that the
drawing must not conceal.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import re
from collections.abc import Collection, Iterator
from enum import Enum, EnumType
from types import CodeType, MethodType, ModuleType
from typing import Any

import attrs

from ..signals import Raise, Retry, Skip, Stop, Suspend
from ..specs import resolve_name


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


Atom = str | re.Pattern[str] | type[Stop] | None
"""One thing an expression may be: a name, a pattern of names, the end, anything."""

UNKNOWN = None
"""It may be anything."""

_SIGNALS = (Retry, Skip, Raise, Suspend)
_MISSING = object()


@attrs.frozen
class Answers:
    """What a function may answer, as far as its source tells."""

    names: tuple[str, ...] = ()
    """Steps it may name, in the order they are written."""
    stops: bool = False
    """It may answer ``Stop``."""
    is_complete: bool = False
    """There is nothing else that it may answer."""


def answers_of(func: object, steps: Collection[str]) -> Answers:
    """Return which of the steps a function may answer with."""
    plain = plain_function(func)
    found = find_function(plain)
    if found is None:
        return Answers()
    atoms = list(_Reader(plain, found).atoms())
    return Answers(
        names=tuple(dict.fromkeys(name for a in atoms for name in _named(a, steps))),
        stops=any(atom is Stop for atom in atoms),
        is_complete=UNKNOWN not in atoms,
    )


def _named(atom: Atom, steps: Collection[str]) -> Iterator[str]:
    if isinstance(atom, str) and atom in steps:
        yield atom
    elif isinstance(atom, re.Pattern):
        yield from (name for name in sorted(steps) if atom.fullmatch(name))


class _Reader:
    """Reads the answers off one function."""

    def __init__(self, func: Any, node: Function) -> None:
        self._node = node
        self._outer = _outer_names(func)
        self._local = _assignments(node)
        self._reading: set[str] = set()

    def atoms(self) -> Iterator[Atom]:
        """Yield everything the function may answer."""
        if isinstance(self._node, ast.Lambda):
            yield from self._expression(self._node.body)
            return
        declared = list(_literals(self._node.returns))
        if declared:
            yield from declared
            return
        for node in ast.walk(self._node):
            if isinstance(node, ast.Return) and node.value is not None:
                yield from self._expression(node.value)

    def _expression(  # noqa: C901, PLR0912 - one row a form
        self, node: ast.expr
    ) -> Iterator[Atom]:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.Constant(value=None):
                pass
            case ast.IfExp(body=yes, orelse=no):
                yield from self._each([yes, no])
            case ast.BoolOp(values=values):
                yield from self._each(values)
            case ast.NamedExpr(value=value):
                yield from self._expression(value)
            case ast.JoinedStr(values=parts):
                yield self._pattern(parts)
            case ast.Name(id=name) if name in self._local:
                yield from self._variable(name)
            case ast.Name() | ast.Attribute():
                yield from _atoms_of(self._value(node))
            case ast.Subscript(value=table):
                yield from self._entries(table)
            case ast.Call():
                yield from self._call(node)
            case _:
                yield UNKNOWN

    def _each(self, nodes: list[ast.expr]) -> Iterator[Atom]:
        for node in nodes:
            yield from self._expression(node)

    def _variable(self, name: str) -> Iterator[Atom]:
        if name in self._reading:
            return
        self._reading.add(name)
        for value in self._local[name]:
            if value is None:
                yield UNKNOWN
            else:
                yield from self._expression(value)
        self._reading.discard(name)

    def _pattern(self, parts: list[ast.expr]) -> Atom:
        """Return an f-string as a pattern; one without a fixed part says nothing."""
        fixed = "".join(str(p.value) for p in parts if isinstance(p, ast.Constant))
        pieces = [
            re.escape(str(part.value))
            if isinstance(part, ast.Constant)
            else self._alternatives(part)
            for part in parts
        ]
        return re.compile("".join(pieces), re.DOTALL) if fixed else UNKNOWN

    def _alternatives(self, part: ast.expr) -> str:
        if isinstance(part, ast.FormattedValue) and part.format_spec is None:
            atoms = list(self._expression(part.value))
            texts = [re.escape(atom) for atom in atoms if isinstance(atom, str)]
            if texts and len(texts) == len(atoms):
                return f"(?:{'|'.join(texts)})"
        return ".*"

    def _call(self, node: ast.Call) -> Iterator[Atom]:
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop"):
            yield from self._entries(node.func.value)
            yield from self._each(node.args[1:])
            return
        called = self._value(node.func)
        if called is Stop:
            yield Stop
        elif not any(called is signal for signal in _SIGNALS):
            yield UNKNOWN

    def _entries(self, table: ast.expr) -> Iterator[Atom]:
        """Yield what a dict holds, written out or found by its name."""
        if isinstance(table, ast.Dict):
            yield from self._each(table.values)
            return
        found = self._value(table)
        if not isinstance(found, dict):  # others might run code
            yield UNKNOWN
            return
        for value in found.values():
            yield from _atoms_of(value)

    def _value(self, node: ast.expr) -> object:
        """Look a dotted name up, without running anything."""
        match node:
            case ast.Name(id=name):
                return self._outer.get(name, _MISSING)
            case ast.Attribute(value=owner, attr=name):
                return _member(self._value(owner), name)
            case _:
                return _MISSING


def _member(owner: object, name: str) -> object:
    match owner:
        case EnumType():
            return owner.__members__.get(name, _MISSING)
        case Enum() if name == "value":
            return owner.value
        case type() | ModuleType():
            return inspect.getattr_static(owner, name, _MISSING)
        case _:
            return _MISSING


def _atoms_of(value: object) -> Iterator[Atom]:
    if isinstance(value, str):
        yield str.__str__(value)
    elif value is Stop or isinstance(value, Stop):
        yield Stop
    elif inspect.isroutine(value):
        yield resolve_name(value)
    elif value is not None and not isinstance(value, _SIGNALS):
        yield UNKNOWN


def _outer_names(func: Any) -> dict[str, object]:
    names: dict[str, object] = dict(getattr(func, "__globals__", {}))
    cells = getattr(func, "__closure__", None) or ()
    for name, cell in zip(func.__code__.co_freevars, cells, strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            names.pop(name, None)
    return names


def _assignments(node: Function) -> dict[str, list[ast.expr | None]]:
    """Return local names with all that is assigned to them; None cannot be read."""
    found: dict[str, list[ast.expr | None]] = {
        one.arg: [None] for one in ast.walk(node.args) if isinstance(one, ast.arg)
    }
    values: dict[int, ast.expr | None] = {}
    for one in ast.walk(node):
        if isinstance(one, ast.Assign):
            values.update({id(target): one.value for target in one.targets})
        elif isinstance(one, (ast.AnnAssign, ast.NamedExpr)):
            values[id(one.target)] = one.value
    for one in ast.walk(node):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
            found.setdefault(one.id, []).append(values.get(id(one)))
    return found


def _literals(annotation: ast.expr | None) -> Iterator[str]:
    """Yield what a return annotation declares with ``Literal``."""
    for node in ast.walk(annotation) if annotation is not None else ():
        match node:
            case (
                ast.Subscript(value=ast.Name(id="Literal"))
                | ast.Subscript(value=ast.Attribute(attr="Literal"))
            ):
                for one in ast.walk(node.slice):
                    if isinstance(one, ast.Constant) and isinstance(one.value, str):
                        yield one.value
            case _:
                pass
