"""``package.module:pipe`` or ``path/to/file.py:pipe`` to a pipe.

A file that belongs to a package is imported under its dotted name, so its relative
imports work; any other file is a module beside its neighbours, as in ``python file.py``.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

import attrs

from ..pipe import Pipe
from .errors import WrongTarget, close_to


HERE = Path(__file__).resolve().parents[1]
"""Where this package is."""

FORM = "Write path/to/file.py:pipe or package.module:pipe."


@attrs.frozen
class Target:
    """Where a pipe is said to be."""

    text: str
    """As it was written."""
    place: str
    """The file or the module."""
    name: str | None
    """The variable, dotted for an attribute of one; None for the only pipe there."""


def parse_target(text: str) -> Target:
    """Split a target at its last colon; a drive's colon is none."""
    place, colon, name = text.rpartition(":")
    if colon and all(part.isidentifier() for part in name.split(".")):
        return Target(text, place, name)
    return Target(text, text, None)


def load_pipe(text: str) -> Pipe[object, object]:
    """Import a module and return its pipe.

    Raises:
        WrongTarget: there is no such module or file, it does not import, or it has no
            such pipe.
    """
    target = parse_target(text)
    is_file = target.place.endswith(".py") or os.sep in target.place
    module = _import_file(target) if is_file else _import_module(target)
    return _pick(target, module)


def pipes_in(module: ModuleType) -> dict[str, Pipe[object, object]]:
    """Return the pipes of a module by variable."""
    return {n: v for n, v in vars(module).items() if isinstance(v, Pipe)}


# -- importing


def _import_file(target: Target) -> ModuleType:
    path = Path(target.place).resolve()
    if path.is_dir():
        path /= "__init__.py"
    if not path.is_file():
        raise WrongTarget(target.text, f"there is no file {target.place}", FORM)
    root, dotted = _dotted(path)
    _look_in(root)
    module = _imported(target, dotted)
    if module.__file__ is None or Path(module.__file__).resolve() != path:
        problem = f"its name, {dotted}, is taken by {module.__file__ or 'a built-in'}"
        raise WrongTarget(target.text, problem, "Rename the file.")
    return module


def _dotted(path: Path) -> tuple[Path, str]:
    """Return the directory to import from, and the module's name in it."""
    parts = [] if path.stem == "__init__" else [path.stem]
    root = path.parent
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    return root, ".".join(parts)


def _import_module(target: Target) -> ModuleType:
    _look_in(Path.cwd())
    return _imported(target, target.place)


def _look_in(root: Path) -> None:
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))


def _imported(target: Target, dotted: str) -> ModuleType:
    if not all(part.isidentifier() for part in dotted.split(".")):
        raise WrongTarget(target.text, f"{dotted!r} is no module's name", FORM)
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        if error.name and (dotted == error.name or dotted.startswith(f"{error.name}.")):
            problem = f"there is no module {error.name!r} to import from here"
            raise WrongTarget(target.text, problem, FORM) from error
        raise _broken(target, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(target, error) from error


def _broken(target: Target, error: BaseException) -> WrongTarget:
    said = "".join(traceback.format_exception_only(error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "importlib" not in frame.filename][1:]
    # What this package refuses is mended where it was asked for.
    theirs = [frame for frame in own if not _is_ours(frame.filename)] or own
    place = f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
    problem = f"importing it raised {said.removesuffix('.')}{place}"
    return WrongTarget(target.text, problem, "Correct that first.")


def _is_ours(filename: str) -> bool:
    return HERE in Path(filename).resolve().parents


# -- picking


def _pick(target: Target, module: ModuleType) -> Pipe[object, object]:
    pipes = pipes_in(module)
    if target.name is None:
        return _only(target, pipes)
    found: object = module
    for part in target.name.split("."):
        if not hasattr(found, part):
            problem = f"{target.place} has no {target.name!r}"
            guess = close_to(target.name, pipes)
            raise WrongTarget(target.text, problem, _listed(pipes) + guess)
        found = getattr(found, part)
    if not isinstance(found, Pipe):
        problem = f"{target.name!r} is a {type(found).__name__} and not a Pipe"
        raise WrongTarget(target.text, problem, _listed(pipes))
    return found


def _only(
    target: Target, pipes: dict[str, Pipe[object, object]]
) -> Pipe[object, object]:
    if len(set(map(id, pipes.values()))) == 1:
        return next(iter(pipes.values()))
    if "pipe" in pipes:
        return pipes["pipe"]
    problem = "it has several pipes" if pipes else "it has no pipe"
    raise WrongTarget(target.text, problem, _listed(pipes))


def _listed(pipes: dict[str, Pipe[object, object]]) -> str:
    if not pipes:
        return "Name a module that assigns a Pipe to a variable."
    return f"Its pipes: {', '.join(sorted(pipes))}."
