"""The interfaces through which the engine stores durable runs.

The engine takes a batch in the event loop: plain values that nothing changes any more.
``BatchWriter`` (implemented in ``_supervisor/journal_writer``) stores it in its thread
and calls back in the loop.  ``ValueCodec`` (implemented with ``_util.storable``) turns
the user's values into JSON values and back; it is the only thing that looks at types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from .._plan.plan import Plan
from .._util.lazy_classes import frozen
from .._util.state_parts import StateChange
from .._util.storable import Codec
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
    """For a release and an end: how the run stands afterwards."""
    wake_at: float | None = None
    """For a release: when the run resumes without an answer, in epoch seconds."""
    outcome: JsonValue = None
    """For an end: how it ended."""
    problem: str | None = None
    """Why it is stuck, or did not end well, as a sentence."""


class BatchWriter(Protocol):
    """Stores batches of many runs, each run's in order, several in one transaction."""

    def put(self, draft: BatchDraft, on_stored: Callable[[bool], None]) -> None:
        """Store a batch soon; never blocks.

        A run has at most one batch on its way.

        Args:
            draft: what to store.
            on_stored: called in the event loop when it is stored (True), or when the
                lease of its run was lost and nothing of it was stored (False). Not
                called while storing fails: the writer tries again until it works.
        """


class ValueCodec(Protocol):
    """Turns values of one plan's runs into JSON values and back.

    Every ``dump_`` method raises ``NotStorable`` with the path of what cannot be stored.
    """

    def state_codec(self, plan: Plan) -> Codec:
        """Return the codec for the states of a plan's runs."""
        ...

    def dump_state(self, plan: Plan, state: object) -> JsonValue:
        """Return a copy of a run's state as a JSON value, by the pipe's state type."""
        ...

    def load_state(self, plan: Plan, value: JsonValue) -> object:
        """Return the state that a JSON value stands for."""
        ...

    def dump_item(self, plan: Plan, worker: str, item: object) -> JsonValue:
        """Return a map item as a JSON value, by its worker's free parameter."""
        ...

    def load_item(self, plan: Plan, worker: str, value: JsonValue) -> object:
        """Return the item that a JSON value stands for."""
        ...

    def dump(self, value: object, hint: object, where: str) -> JsonValue:
        """Return a value as a JSON value, by an annotation."""
        ...

    def load(self, value: JsonValue, hint: object, where: str) -> object:
        """Return the value of an annotation that a JSON value stands for."""
        ...

    def dump_value(self, value: object, where: str) -> JsonValue:
        """Return any other value as a JSON value; error paths begin with ``where``."""
        ...

    def load_value(self, value: JsonValue) -> object:
        """Return the value that ``dump_value`` was given."""
        ...
