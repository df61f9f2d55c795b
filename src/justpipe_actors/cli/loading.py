"""Load a pipe from ``package.module:pipe`` or ``path/to/file.py:pipe``.

A file in a package is imported under its dotted name, so its relative imports work.
Any other file is imported as a top-level module from its folder, as in
``python file.py``.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import attrs

from ..pipe import Pipe
from .errors import InvalidTarget, suggestion


PACKAGE_ROOT = Path(__file__).resolve().parents[1]
"""The folder of this package."""

TARGET_SYNTAX = "Write path/to/file.py:pipe or package.module:pipe."


@attrs.frozen
class Target:
    """The parsed location of a pipe."""

    text: str
    """As it was written."""
    location: str
    """The file or the module."""
    name: str | None
    """The variable, dotted for an attribute of one; None for the only pipe there."""


def parse_target(text: str) -> Target:
    """Split a target at its last colon, except the colon of a drive letter."""
    location, colon, name = text.rpartition(":")
    if colon and all(part.isidentifier() for part in name.split(".")):
        return Target(text, location, name)
    return Target(text, text, None)


def load_pipe(text: str) -> Pipe[object, object]:
    """Import a module and return its pipe.

    Raises:
        InvalidTarget: there is no such module or file, it does not import, or it has no
            such pipe.
    """
    target = parse_target(text)
    is_file = target.location.endswith(".py") or os.sep in target.location
    module = _import_file(target) if is_file else _import_module(target)
    return _select_pipe(target, module)


def pipes_in(module: ModuleType) -> dict[str, Pipe[object, object]]:
    """Return the pipes of a module by variable."""
    return {n: v for n, v in vars(module).items() if isinstance(v, Pipe)}


# -- importing


def _import_file(target: Target) -> ModuleType:
    path = Path(target.location).resolve()
    if path.is_dir():
        path /= "__init__.py"
    if not path.is_file():
        raise InvalidTarget(
            target.text, f"there is no file {target.location}", TARGET_SYNTAX
        )
    root, module_name = _module_name(path)
    _add_to_sys_path(root)
    module = _import(target, module_name)
    if module.__file__ is None or Path(module.__file__).resolve() != path:
        problem = (
            f"its name, {module_name}, is taken by {module.__file__ or 'a built-in'}"
        )
        raise InvalidTarget(target.text, problem, "Rename the file.")
    return module


def _module_name(path: Path) -> tuple[Path, str]:
    """Return the directory to import from, and the module's name in it."""
    parts = [] if path.stem == "__init__" else [path.stem]
    root = path.parent
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    return root, ".".join(parts)


def _import_module(target: Target) -> ModuleType:
    _add_to_sys_path(Path.cwd())
    return _import(target, target.location)


def _add_to_sys_path(root: Path) -> None:
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))


def _import(target: Target, module_name: str) -> ModuleType:
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise InvalidTarget(
            target.text, f"{module_name!r} is no module's name", TARGET_SYNTAX
        )
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (
            module_name == error.name or module_name.startswith(f"{error.name}.")
        ):
            problem = f"there is no module {error.name!r} to import from here"
            raise InvalidTarget(target.text, problem, TARGET_SYNTAX) from error
        raise _import_failed(target, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(target, error) from error


def _import_failed(target: Target, error: BaseException) -> InvalidTarget:
    message = _exception_text(error)
    frames = traceback.extract_tb(error.__traceback__)
    frames_after_import = [
        frame for frame in frames if "importlib" not in frame.filename
    ][1:]
    # An error that this package raises is corrected at the line that called it.
    user_frames = [
        frame for frame in frames_after_import if not _is_in_package(frame.filename)
    ] or frames_after_import
    location = (
        f" ({user_frames[-1].filename}:{user_frames[-1].lineno})" if user_frames else ""
    )
    problem = f"importing it raised {message}{location}"
    return InvalidTarget(target.text, problem, "Correct that first.")


def _is_in_package(filename: str) -> bool:
    return PACKAGE_ROOT in Path(filename).resolve().parents


# -- picking


def _select_pipe(target: Target, module: ModuleType) -> Pipe[object, object]:
    pipes = pipes_in(module)
    if target.name is None:
        return _only_pipe(target, pipes)
    found: object = module
    for part in target.name.split("."):
        if not hasattr(found, part):
            problem = f"{target.location} has no {target.name!r}"
            guess = suggestion(target.name, pipes)
            raise InvalidTarget(target.text, problem, _pipes_text(pipes) + guess)
        found = getattr(found, part)
    if callable(found) and not isinstance(found, Pipe):
        found = _call_factory(target, found)
    if not isinstance(found, Pipe):
        problem = f"{target.name!r} is a {type(found).__name__} and not a Pipe"
        raise InvalidTarget(target.text, problem, _pipes_text(pipes))
    return found


def _call_factory(target: Target, factory: Callable[[], object]) -> object:
    """Call a factory function without arguments and return its pipe.

    Raises:
        InvalidTarget: it needs arguments, it raised, or it made no pipe.
    """
    try:
        inspect.signature(factory).bind()
    except (TypeError, ValueError) as error:
        problem = (
            f"{target.name!r} is a {type(factory).__name__} and not a Pipe: {error}"
        )
        remedy = "Name a pipe, or a function without parameters that returns one."
        raise InvalidTarget(target.text, problem, remedy) from error
    try:
        made = factory()
    except (Exception, SystemExit) as error:
        problem = f"{target.name}() raised {_exception_text(error)}"
        raise InvalidTarget(target.text, problem, "Correct that first.") from error
    if inspect.iscoroutine(made):
        made.close()
    if not isinstance(made, Pipe):
        problem = f"{target.name}() returned a {type(made).__name__} and not a Pipe"
        remedy = "Name a pipe, or a function without parameters that returns one."
        raise InvalidTarget(target.text, problem, remedy)
    return made


def _exception_text(error: BaseException) -> str:
    text = "".join(traceback.format_exception_only(error)).strip()
    return text.removesuffix(".")


def _only_pipe(
    target: Target, pipes: dict[str, Pipe[object, object]]
) -> Pipe[object, object]:
    if len(set(map(id, pipes.values()))) == 1:
        return next(iter(pipes.values()))
    if "pipe" in pipes:
        return pipes["pipe"]
    if not pipes:
        raise InvalidTarget(target.text, "it has no pipe", _pipes_text(pipes))
    first = min(pipes)
    remedy = f"{_pipes_text(pipes)} Name one, as in {target.location}:{first}."
    raise InvalidTarget(target.text, "it has several pipes", remedy)


def _pipes_text(pipes: dict[str, Pipe[object, object]]) -> str:
    if not pipes:
        return "Name a module that assigns a Pipe to a variable."
    return f"Its pipes: {', '.join(sorted(pipes))}."
