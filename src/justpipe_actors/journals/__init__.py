"""Journals, which store durable runs: ``Supervisor(journal=...)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from .memory import MemoryJournal as MemoryJournal
    from .sqlite import (
        SQLiteJournal as SQLiteJournal,
        open_journal as open_journal,
    )
