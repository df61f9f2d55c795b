"""The result of a durable run that ended in another process, or before this one began.

Its state is read from the journal and decoded by the pipe of its name.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .._util.lazy_classes import frozen
from .._util.stored_state import fold_state
from ..abc import Journal
from .fitting import migrated
from .stored_runs import find_run
from .taking_up import fold_rows


if TYPE_CHECKING:
    from .._engine.value_codec import StorableValues
    from .catalog import Catalog
    from .journal_writer import JournalWriter


@frozen
class StoredResult:
    """The last state of a run, and the options that its result needs."""

    state: Any
    """Its last stored state; as submitted if none was stored."""
    timeout: float | None
    """The timeout it was submitted with, in seconds."""


async def load_result(
    writer: JournalWriter, catalog: Catalog, values: StorableValues, run_id: str
) -> StoredResult:
    """Return the state that a run has ended with.

    Args:
        writer: calls the journal.
        catalog: the pipes of the supervisor.
        values: reads stored values.
        run_id: the run.

    Raises:
        UnknownRunError: the run was removed from the journal.
        DefinitionError: the supervisor was not given the run's pipe.
        UnreadableDataError: the state does not fit the pipe's type.
        RuntimeError: the supervisor is closed.
    """
    if not writer.is_open:
        msg = (
            f"Run '{run_id}' has not ended here, and its supervisor is closed, so its "
            "state cannot be read. Ask for the result inside the supervisor's block."
        )
        raise RuntimeError(msg)
    pipe, plain, version, timeout = await writer.call(_read, writer.journal, run_id)
    plan = catalog.find(pipe).plan()
    state = values.load_state(plan, migrated(plan, plain, version))
    return StoredResult(state, timeout)


def _read(journal: Journal, run_id: str) -> tuple[str, Any, str, float | None]:
    """Return the pipe's name, the state as JSON data, its version and the timeout."""
    row = find_run(journal, run_id)
    rows = journal.load(row.id)
    given = json.loads(row.input)
    texts = [one.state for one in rows]
    has_state = any(text is not None for text in texts)
    counters = fold_rows(rows).get("x")
    version = counters.get("v") if isinstance(counters, dict) else None
    return (
        row.pipe,
        fold_state(texts) if has_state else given["state"],
        row.fingerprint if version is None else str(version),
        given["timeout"],
    )
