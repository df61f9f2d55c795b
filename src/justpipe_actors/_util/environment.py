"""What this process was started with: variables, home directories, the main script.

A worker process imports the program's main script.  A script that starts a pipeline
during this import lacks ``if __name__ == "__main__":``; ``main_import`` detects that.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "JUSTPIPE_ACTORS_"
"""Begins every variable that this package reads."""

JUSTPIPE_PREFIX = "JUSTPIPE_"
"""Begins the variables of justpipe."""

_warned: set[str] = set()


def read_variable(name: str) -> str:
    """Return the value of a variable, empty when it is not set.

    When only the variable of justpipe is set, one warning at the user's line names the
    variable to set.
    """
    value = os.environ.get(name, "")
    other = JUSTPIPE_PREFIX + name.removeprefix(PREFIX)
    if not value and os.environ.get(other) and other not in _warned:
        from .await_chain import user_stacklevel  # noqa: PLC0415 - for the warning only

        _warned.add(other)
        msg = f"{other} is set, but justpipe_actors does not read it; set {name}."
        warnings.warn(msg, stacklevel=user_stacklevel())
    return value


def expand_home(path: str | Path) -> Path:
    """Return a path with ``~`` expanded.

    Raises:
        OSError: it begins with the home of a user that does not exist.
    """
    from pathlib import Path  # noqa: PLC0415 - few programs name a file

    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        msg = f"{path}: there is no such user; write the path of the directory."
        raise OSError(msg) from error


class MainImport:
    """Whether this process is a worker that imports the program's main script."""

    on_run: Callable[[], None] | None = None
    """Called when a run begins meanwhile; it does not return."""


main_import = MainImport()
"""The instance of this process."""
