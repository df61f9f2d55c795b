"""Parse a stored traceback into frames, and mark those of user code.  Pure."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path
from typing import Any

import justpipe_actors


_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<name>.+)$')
_MARKS = re.compile(r"^\s*[~^]+\s*$")

_PACKAGE = str(Path(justpipe_actors.__file__).parent)
_LIBRARIES = (
    "site-packages",
    "dist-packages",
    "<frozen ",
    sysconfig.get_path("stdlib"),
)


def is_library(file: str) -> bool:
    """Tell whether a file belongs to a library, to Python or to this package."""
    if file.startswith(_PACKAGE) or "/justpipe_actors/" in file:
        return True
    return any(part in file for part in _LIBRARIES) or "/lib/python3" in file


def frames_of(text: str) -> dict[str, Any]:
    """Return the frames of a traceback and the text that follows the last one.

    A chain of exceptions is one list; the sentences between them are frames without a
    file, so that nothing of the text is lost.
    """
    frames: list[dict[str, Any]] = []
    tail: list[str] = []
    for line in text.splitlines():
        found = _FRAME.match(line)
        if found is not None:
            if tail and frames:
                frames.append({"note": "\n".join(tail)})
            tail = []
            frames.append(
                {
                    "file": found["file"],
                    "line": int(found["line"]),
                    "name": found["name"],
                    "source": "",
                    "is_own": not is_library(found["file"]),
                }
            )
        elif line.startswith("    ") and frames and "file" in frames[-1] and not tail:
            if not _MARKS.match(line):
                frames[-1]["source"] = line.strip()
        elif not line.startswith("Traceback (most recent call last)"):
            tail.append(line)
    return {"frames": frames, "tail": "\n".join(tail).strip()}
