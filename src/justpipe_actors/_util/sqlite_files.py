"""SQLite files of stores and journals: private to the user, written in transactions.

Runs may hold data that other users must not read, so folders and files are created
with access for the user only, before SQLite opens them.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    import sqlite3


@contextmanager
def transaction(connection: sqlite3.Connection) -> Generator[sqlite3.Connection]:
    """Run a block inside a transaction: all of it is kept, or nothing.

    Args:
        connection: a connection in autocommit mode, used by one thread at a time.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolls back by itself on some errors, such as a full disk.
        connection.rollback()
        raise


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents with access for the user only."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def make_private_file(file: Path) -> None:
    """Create an empty file with access for the user only, unless it exists."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if file.is_symlink() and not file.exists():
            msg = f"{file} is a symlink to a file that is not there; remove it."
            raise OSError(msg) from None
