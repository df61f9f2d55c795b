"""What keeps durable runs: journals for ``Supervisor(journal=...)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import lazy_exports


if TYPE_CHECKING:
    from .memory import MemoryJournal
    from .opening import open_journal
    from .sqlite import SQLiteJournal


__all__ = ["MemoryJournal", "SQLiteJournal", "open_journal"]

_MODULE_OF = {
    "MemoryJournal": ".memory",
    "SQLiteJournal": ".sqlite",
    "open_journal": ".opening",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_exports(__name__, _MODULE_OF)
