"""The interface from the engine to a journal: batches of JSON values.

The engine takes a batch in the event loop; its values do not change any more.
``JournalWriter.put`` of ``_supervisor/journal_writer`` is the ``PutBatch`` of a process:
it stores the batches of many runs in its thread, those of a run in order and several in
one transaction, and calls back in the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Literal

from .._util.lazy_classes import frozen
from .._util.stored_state import StateChange
from ..abc.journal_records import NewAsk, RunState as RunStatus


JsonValue = object
"""None, bool, int, float, str, or lists and dicts (with text keys) of these."""


@frozen(kw_only=True, eq=False)
class BatchDraft:
    """One batch of a run as JSON values; the writer's thread encodes it as text.

    The fields are those of ``abc.journal_records.Batch`` with JSON values in place of
    JSON texts.  The engine changes nothing in a batch after it has passed it on.
    """

    run: int
    """``RunRow.id``."""
    n: int
    """Number of the row."""
    kind: Literal["commit", "snapshot", "release", "end"]
    """Kind of the row."""
    delta: Mapping[str, JsonValue]
    """Entities and their new values, None when gone."""
    state: StateChange | None = None
    """Changes of the state, or the whole state in a snapshot."""
    items: tuple[tuple[int, int, list[JsonValue]], ...] = ()
    """Map items to keep: map, chunk, items."""
    maps_gone: tuple[int, ...] = ()
    """Maps that no longer need their stored items."""
    asks: tuple[NewAsk, ...] = ()
    """Questions that are open from now on."""
    asks_gone: tuple[str, ...] = ()
    """Questions that are closed."""
    consumed: tuple[int, ...] = ()
    """Signals that have their effect in this batch."""
    status: RunStatus | None = None
    """For a release and an end: the new status of the run."""
    wake_at: float | None = None
    """For a release: when the run resumes without an answer, in epoch seconds."""
    outcome: Callable[[], str] | None = None
    """For an end: returns the outcome of the run as JSON text, in the writer's thread."""
    problem: str | None = None
    """Why it is stuck, or did not end well, as a sentence."""


@frozen
class LastRow:
    """The status of a run after the last row of its owner."""

    status: RunStatus | None = None
    """The new status; None if it stays the same."""
    wake_at: float | None = None
    """For a release: when it resumes without an answer, in epoch seconds."""
    outcome: Callable[[], str] | None = None
    """For an end: returns the outcome of the run as JSON text, in the writer's thread."""
    problem: str | None = None
    """Why it did not end well, as a sentence."""


class BatchEnd(Enum):
    """What became of a batch."""

    STORED = "stored"
    """The journal has it."""
    REFUSED = "refused"
    """Nothing of it is stored: the lease of its run was lost, or the writer closes."""


OnBatchEnd = Callable[[BatchEnd], None]
"""Called in the event loop when a batch is stored or refused.

It is not called while storing fails: the writer tries again until it works.
"""

PutBatch = Callable[[BatchDraft, OnBatchEnd], None]
"""Stores a batch soon, and never blocks; a run has at most one batch on its way."""
