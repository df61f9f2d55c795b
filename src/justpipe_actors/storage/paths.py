"""Paths of stores: one root, one folder per pipeline hash, private to the user."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from platformdirs import user_data_path

from .._util.environment import expand_home, read_variable
from .._util.sqlite_files import make_private_file


ROOT_VARIABLE = "JUSTPIPE_ACTORS_STORAGE_PATH"
"""The environment variable that moves the storage root."""

DATABASE = "runs.db"
"""The file with a pipeline's runs."""

DESCRIPTION = "pipeline.json"
"""The file that says which pipeline a folder belongs to."""


_root: ContextVar[Path | None] = ContextVar(
    "justpipe_actors_storage_root", default=None
)


@contextmanager
def storage_root_at(root: str | Path | None) -> Generator[None]:
    """Make pipes that run in this context store below a root; None changes nothing."""
    token = _root.set(_root.get() if root is None else expand_home(root))
    try:
        yield
    finally:
        _root.reset(token)


def storage_root() -> Path:
    """Return the storage root: the context's, the variable's, else the user's data directory.

    The root is looked up at each call; ``~`` is expanded, and a relative path is
    relative to the working directory.  Nothing is created.
    """
    root = _root.get()
    if root is not None:
        return root
    configured = read_variable(ROOT_VARIABLE)
    if configured:
        return expand_home(configured)
    return user_data_path("justpipe_actors", appauthor=False)


def replace_text(file: Path, text: str) -> None:
    """Replace a file's content atomically: readers see the old or the new content."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.unlink(missing_ok=True)
    make_private_file(temporary)
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
