"""Files that commands write: atomically, and under safe names."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path


PRIVATE_MODE = 0o600
"""Permissions of a file that may hold states."""


def safe_name(text: str, limit: int = 8) -> str:
    """Return the beginning of a text as a part of a file name, whatever it holds.

    >>> safe_name("../../evil"), safe_name("01ab-7")
    ('______ev', '01ab-7')
    """
    return re.sub(r"[^A-Za-z0-9_-]", "_", text[:limit])


def write_whole(path: Path, text: str, *, is_private: bool) -> None:
    """Replace a file's content atomically; write to devices and pipes directly.

    Raises:
        OSError: it cannot be written; what was there stays. A symlink that leads nowhere
            is not followed.
    """
    data = text.encode("utf-8", "backslashreplace")
    if path.is_symlink() and not path.exists():
        raise OSError(errno.ENOENT, "it is a symlink to a file that is not there")
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    temporary = path.with_name(f".justpipe-actors-{os.getpid()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        with open(
            os.open(temporary, flags, PRIVATE_MODE if is_private else 0o666), "wb"
        ) as file:
            file.write(data)
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink()
