"""Finding Python files, and reading what one of them defines and imports.

Every way a file can be bad ends in ``UnreadableError``, with words for the reader.
"""

from __future__ import annotations

import ast
import io
import os
import stat
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path


MOST_BYTES = 8_000_000
"""Files larger than this are data that happens to be Python."""

OTHER_PEOPLES = frozenset({"site-packages", "dist-packages", "node_modules"})
"""Directories that hold what was installed."""

UNREADABLE = "cannot be read"
TOO_LARGE = "too large"
NULL_BYTES = "null bytes"
UNDECODABLE = "cannot be decoded"
BROKEN = "syntax error"
TOO_DEEP = "nested too deeply"
"""What files that are left out are counted under."""

BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""The fields of a statement that hold statements; only those are walked."""

BRANCHES = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.match_case,
)
"""What counts as a branch."""

Defining = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class UnreadableError(Exception):
    """A file that cannot be surveyed; ``reason`` is what such files are counted under."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Definition:
    """A function or a class."""

    name: str
    """Its qualified name within the module."""
    is_class: bool
    """Whether it is a class."""
    is_async: bool
    """Whether it is an ``async def``."""
    is_public: bool
    """Whether others may use it: no underscore, not within a function."""
    has_docstring: bool
    """Whether it says what it is."""
    line: int
    """Where it begins."""
    lines: int
    """How long it is."""
    branches: int
    """The branches in it, those of functions within it excepted."""


@dataclass(frozen=True, slots=True)
class Import:
    """One name of an import statement, relative ones made absolute."""

    module: str
    """The module that is named."""
    name: str
    """What is taken from it, a module perhaps; empty for ``import module``."""
    at_import: bool
    """Whether it runs when the module is imported: not in a function, not for types."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read from one file."""

    path: str
    """Where it is, below the surveyed directory."""
    module: str
    """The name it is imported by."""
    lines: int
    """Its length."""
    branches: int
    """All its branches."""
    definitions: tuple[Definition, ...]
    """Its functions and classes, in no particular order."""
    imports: tuple[Import, ...]
    """Its imports."""


# -- finding files


def python_files(root: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the Python files below a directory, one by one, as they are asked for."""
    for folder, folders, files in os.walk(root, onerror=on_error):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if _is_ours(here, name))
        for name in sorted(files):
            if name.endswith(".py"):
                yield here / name


def _is_ours(folder: Path, name: str) -> bool:
    if name.startswith(".") or name == "__pycache__" or name in OTHER_PEOPLES:
        return False
    # os.path, because a directory that is closed to us shall answer no and not raise.
    return not os.path.exists(folder / name / "pyvenv.cfg")


@lru_cache(maxsize=10_000)
def _is_package(folder: Path) -> bool:
    return os.path.exists(folder / "__init__.py")


def module_name(path: Path) -> str:
    """Return the name a file is imported by: the packages around it, then its own."""
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while _is_package(folder) and folder.name:
        parts.append(folder.name)
        folder = folder.parent
    return ".".join(reversed(parts)) or path.parent.name


# -- reading one


def read(path: Path, root: Path) -> Facts:
    """Read one file.

    Raises:
        UnreadableError: it is not a Python file that this interpreter can parse.
    """
    text = _decoded(_bytes_of(path))
    findings = _Findings(module_name(path), is_package=path.stem == "__init__")
    findings.collect(_parsed(text))
    return Facts(
        path=str(path.relative_to(root)),
        module=findings.module,
        lines=text.count("\n") + (not text.endswith("\n") and bool(text)),
        branches=findings.branches,
        definitions=tuple(findings.definitions()),
        imports=tuple(findings.imports),
    )


def _bytes_of(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(UNREADABLE, "not a regular file")
        if status.st_size > MOST_BYTES:
            raise UnreadableError(TOO_LARGE, f"{status.st_size:,} bytes")
        return path.read_bytes()
    except OSError as error:
        detail = error.strerror or str(error)
        raise UnreadableError(UNREADABLE, detail) from error


def _decoded(data: bytes) -> str:
    if b"\0" in data:
        where = f"the first one is byte {data.index(0):,}"
        raise UnreadableError(NULL_BYTES, where)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        detail = f"byte {error.start:,} is not {error.encoding}"
        raise UnreadableError(UNDECODABLE, detail) from error
    except (SyntaxError, UnicodeError, LookupError) as error:
        raise UnreadableError(UNDECODABLE, str(error)) from error


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise UnreadableError(BROKEN, f"{where}{error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise UnreadableError(TOO_DEEP) from error
    except ValueError as error:
        raise UnreadableError(BROKEN, str(error)) from error


# -- walking it


@dataclass(slots=True)
class _Scope:
    """The function or class, or the module, that a statement stands in."""

    name: str = ""
    node: Defining | None = None
    is_inner: bool = False
    is_deferred: bool = False
    branches: int = 0


@dataclass(slots=True)
class _Findings:
    """What the walk has found so far."""

    module: str
    is_package: bool
    scopes: list[_Scope] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)

    def collect(self, tree: ast.Module) -> None:
        """Visit every statement; a list of what is left to do knows no depth."""
        todo: list[tuple[ast.AST, _Scope, bool]] = [(tree, self._enter(None), False)]
        while todo:
            node, scope, for_types = todo.pop()
            for block in BLOCKS:
                skipped = for_types or (block == "body" and _is_for_types(node))
                todo.extend(
                    (child, self._visit(child, scope, for_types=skipped), skipped)
                    for child in getattr(node, block, ())
                )

    def _visit(self, node: ast.AST, scope: _Scope, *, for_types: bool) -> _Scope:
        """Note what a statement says; return the scope of those within it."""
        if isinstance(node, Defining):
            return self._enter(node, scope)
        if isinstance(node, ast.Import | ast.ImportFrom):
            at_import = not (for_types or scope.is_deferred)
            self.imports.extend(self._imported(node, at_import=at_import))
        elif isinstance(node, BRANCHES):
            scope.branches += 1
        return scope

    def _enter(self, node: Defining | None, outer: _Scope | None = None) -> _Scope:
        outer = outer or _Scope()
        name = f"{outer.name}.{node.name}".lstrip(".") if node else ""
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        is_inner = outer.is_deferred
        scope = _Scope(name, node, is_inner, is_inner or is_function)
        self.scopes.append(scope)
        return scope

    def _imported(
        self, node: ast.Import | ast.ImportFrom, *, at_import: bool
    ) -> Iterator[Import]:
        for alias in node.names:
            if isinstance(node, ast.Import):
                yield Import(alias.name, "", at_import)
            else:
                yield Import(self._absolute(node), alias.name, at_import)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")
        up = node.level - self.is_package
        base = parts[: max(0, len(parts) - up)]
        return ".".join([*base, node.module] if node.module else base)

    @property
    def branches(self) -> int:
        """The branches of the whole file."""
        return sum(scope.branches for scope in self.scopes)

    def definitions(self) -> Iterator[Definition]:
        """Yield the functions and classes."""
        for scope in self.scopes:
            node = scope.node
            if node is not None:
                yield Definition(
                    name=scope.name,
                    is_class=isinstance(node, ast.ClassDef),
                    is_async=isinstance(node, ast.AsyncFunctionDef),
                    is_public=not scope.is_inner and "._" not in f".{scope.name}",
                    has_docstring=ast.get_docstring(node, clean=False) is not None,
                    line=node.lineno,
                    lines=(node.end_lineno or node.lineno) - node.lineno + 1,
                    branches=scope.branches,
                )


def _is_for_types(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"
