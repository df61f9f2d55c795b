"""Whether this process is a worker that is importing the program's main script.

A script that starts a pipeline meanwhile has no ``if __name__ == "__main__":``.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs


@attrs.define
class MainImport:
    """Whether this process is a worker that imports the program's main script."""

    on_run: Callable[[], None] | None = None
    """Called when a run begins meanwhile; it does not return."""


main_import = MainImport()
"""The instance of this process."""
