"""Open the journal for a path, an address or an object."""

from __future__ import annotations

from pathlib import Path

from ..abc import Journal
from .sqlite import SQLiteJournal


def open_journal(where: str | Path | Journal | object) -> Journal:
    """Return the journal that ``Supervisor(journal=...)`` was given.

    A path, with ``~`` for the home directory, means a ``SQLiteJournal``.

    Raises:
        ValueError: it is an address of a kind that no journal of this version takes.
        TypeError: it is neither a path nor a journal.
    """
    if isinstance(where, str | Path):
        scheme, separator, _rest = str(where).partition("://")
        if separator:
            msg = f"No journal takes addresses of the kind {scheme}://; give a path."
            raise ValueError(msg)
        return SQLiteJournal(where)
    if not isinstance(where, Journal):
        msg = f"journal= takes a path or a Journal, not a {type(where).__name__}."
        raise TypeError(msg)
    return where
