"""Conformance checks for third-party stores, journals and placements.

``check_storage(factory)``, ``check_journal(factory)`` and ``await
check_placement(factory)`` run all checks.  To get one test per check, parametrize a
test with ``STORE_CHECKS``, ``JOURNAL_CHECKS`` or ``PLACEMENT_CHECKS``.
``LOCAL_PLACEMENT_CHECKS`` are for placements that share memory with the loop.
The built-in implementations pass the same checks.
"""

from __future__ import annotations

from collections.abc import Callable

from ...abc import StorageBackend
from .journals import JOURNAL_CHECKS, check_journal
from .placements import (
    LOCAL_PLACEMENT_CHECKS,
    PLACEMENT_CHECKS,
    check_placement,
    checks_for,
)
from .run_lifecycle import RUN_LIFECYCLE_CHECKS
from .samples import Check
from .store_logs import LOG_CHECKS
from .store_reads import READ_CHECKS
from .store_writes import CHUNK_CHECKS, WRITE_CHECKS


STORE_CHECKS: tuple[Check, ...] = (
    *WRITE_CHECKS,
    *READ_CHECKS,
    *RUN_LIFECYCLE_CHECKS,
    *CHUNK_CHECKS,
    *LOG_CHECKS,
)


def check_storage(factory: Callable[[], StorageBackend]) -> None:
    """Run every check against a new store.

    Args:
        factory: returns a new, empty store at each call.

    Raises:
        AssertionError: the store fails a check; the note names the check.
    """
    for check in STORE_CHECKS:
        try:
            check(factory())
        except Exception as error:
            error.add_note(f"{check.__name__}: {check.__doc__}")
            raise


__all__ = [
    "JOURNAL_CHECKS",
    "LOCAL_PLACEMENT_CHECKS",
    "PLACEMENT_CHECKS",
    "STORE_CHECKS",
    "check_journal",
    "check_placement",
    "check_storage",
    "checks_for",
]
