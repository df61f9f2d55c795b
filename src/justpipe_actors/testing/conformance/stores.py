"""What every store must do: plain functions, each a claim, each given a fresh store.

They use nothing but ``StorageBackend``, and ``ChunkStore`` where the store is one.
"""

from __future__ import annotations

from collections.abc import Callable

from ...abc import StorageBackend
from .chunks import CHUNKS
from .living import LIVING
from .reading import READING
from .samples import Check
from .writing import WRITING


STORE_CHECKS: tuple[Check, ...] = (*WRITING, *READING, *LIVING, *CHUNKS)


def check_storage(factory: Callable[[], StorageBackend]) -> None:
    """Run every check against a store of its own.

    Args:
        factory: returns a new, empty store at each call.

    Raises:
        AssertionError: the store does not do what a check claims; the note says which.
    """
    for check in STORE_CHECKS:
        try:
            check(factory())
        except Exception as error:
            error.add_note(f"{check.__name__}: {check.__doc__}")
            raise
