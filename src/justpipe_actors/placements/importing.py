"""Checks whether another process can import a function, and remedies if not."""

from __future__ import annotations

import ast
import inspect
import pickle
import sys
from functools import lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any


UNGUARDED = (
    "the script starts a pipeline while a worker imports it. Put what starts it under "
    "a guard at the end of the script:\n\n"
    '    if __name__ == "__main__":\n'
    "        main()\n\n"
    "or move the step's function into a module of its own"
)
"""Remedy for a script that runs a pipeline when it is imported."""


def why_not_importable(func: Any) -> str | None:
    """Return why another process cannot import a function; None if it can."""
    inner = inspect.unwrap(getattr(func, "func", func))
    inner = getattr(inner, "__func__", inner)
    if not isinstance(inner, FunctionType):
        return _why_not_picklable(func)
    if inner.__qualname__.endswith("<lambda>"):
        return "it is a lambda; define it with def at the top level of a module"
    if "<locals>" in inner.__qualname__:
        return "it is defined inside a function; move it to the top level of a module"
    if inner.__module__ == "__main__":
        return _why_not_in_main()
    return None


def _why_not_picklable(func: Any) -> str | None:
    try:
        pickle.dumps(func)
    except Exception as error:  # noqa: BLE001 - an object may do anything
        return f"it cannot be pickled ({error}); use a function of a module"
    return None


def _why_not_in_main() -> str | None:
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if getattr(main, "__spec__", None) is None and path is None:
        return (
            "it is defined in a notebook or an interactive session, which a worker "
            "cannot import; move it into a module and import it from there"
        )
    if path is not None and Path(path).stem == "__main__":
        return (
            f"it is defined in '{path}', which a worker cannot import; move it into "
            "another module of the package"
        )
    if path is not None and not _has_guard(path):
        return f"a worker imports '{path}' to find it, and {UNGUARDED}"
    return None


@lru_cache(maxsize=4)
def _has_guard(path: str) -> bool:
    """Tell whether a script tests ``__name__``; True if it cannot be read."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True
    return any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(tree)
    )
