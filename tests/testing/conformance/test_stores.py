"""Every store keeps the contract of stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from justpipe_actors.abc import StorageBackend
from justpipe_actors.storage import InMemoryBackend, SQLiteBackend
from justpipe_actors.testing.conformance import STORE_CHECKS, check_storage
from justpipe_actors.testing.conformance.samples import Check


BACKENDS: dict[str, Callable[[Path], StorageBackend]] = {
    "memory": lambda folder: InMemoryBackend(),
    "sqlite": lambda folder: SQLiteBackend(folder / "deep" / "runs.db"),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
def test_stores_keep_the_contract(check: Check, backend: str, tmp_path: Path) -> None:
    """Each check holds for each store."""
    check(BACKENDS[backend](tmp_path))


def test_the_checks_find_a_broken_store() -> None:
    """A store that loses events fails, and the note names the check."""

    class Forgetful(InMemoryBackend):
        def append_events(self, run_id: str, events: object) -> None:
            """Drop them."""

    with pytest.raises(AssertionError) as caught:
        check_storage(Forgetful)

    assert "events_keep_their_own_numbers" in "".join(caught.value.__notes__)
