"""``python -m justpipe_actors`` and the console script ``justpipe-actors``."""

from __future__ import annotations

import sys


NEEDED = {"click", "rich"}
"""Packages of the extra that the command line needs."""


def main() -> None:
    """Run the command line, or name the missing packages; never returns."""
    try:
        from .cli.main import main as run_command_line  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in NEEDED:
            raise
        sys.stderr.write(
            f"justpipe-actors: the command line needs {error.name}; "
            "install it with: pip install 'justpipe_actors[cli]'\n"
        )
        sys.exit(2)
    sys.exit(run_command_line())


if __name__ == "__main__":
    main()
