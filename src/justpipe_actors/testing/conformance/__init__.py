"""What third-party parts must do, as checks that their authors run in their own tests.

``check_storage(factory)`` and ``await check_placement(factory)`` run all of them, and
``STORE_CHECKS`` and ``PLACEMENT_CHECKS`` can be parametrized over, one test for each.
Our own parts pass the same checks.
"""

from __future__ import annotations

from .placements import PLACEMENT_CHECKS, check_placement
from .stores import STORE_CHECKS, check_storage


__all__ = [
    "PLACEMENT_CHECKS",
    "STORE_CHECKS",
    "check_placement",
    "check_storage",
]
