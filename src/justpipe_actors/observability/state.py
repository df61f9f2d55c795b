"""``StateDiffTracker``: what each step did to the state.

Steps change one state object in place, so a copy shows the effect of one step only if
it is taken before the next step runs.  The tracker is therefore a *witness*: it receives
events synchronously when they are published.  Copies are deep and may be expensive, and
only the newest ones are kept.
"""

from __future__ import annotations

import copy
import json
from collections import deque
from typing import Any

import attrs

from .._util.text import invocation_label
from .._util.user_objects import call_or
from ..abc import Observer, ObserverMeta
from ..codec import to_plain
from ..events import Event, EventType
from .deep_diff import fields_of, format_diff, format_summary
from .run_cache import RunCache, run_id_of


START, END = "__start__", "__end__"
"""Names of the first and of the last snapshot."""

NO_SNAPSHOTS = "No state snapshots captured"


@attrs.frozen(eq=False)
class Snapshot:
    """The state as one invocation left it."""

    stage: str
    """Name of the step."""
    label: str
    """The step, or the item for a map worker: ``w[2]``."""
    invocation_id: str | None
    state: Any
    """A deep copy."""


@attrs.define(eq=False)
class StateHistory:
    """The snapshots of one run."""

    max_value_length: int = 200
    """Characters of one value in a text."""
    max_snapshots: int = 200
    """Maximum number of snapshots to keep; the oldest are dropped first."""
    step_order: list[str] = attrs.field(factory=list, init=False)
    """Steps in the order in which they first ended."""
    last_seq: int = attrs.field(default=0, init=False)
    """``seq`` of the last event that was looked at."""
    _by_name: dict[str, Any] = attrs.field(factory=dict, init=False)
    _snapshots: deque[Snapshot] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._snapshots = deque(maxlen=self.max_snapshots)

    # -- taking snapshots

    def take(self, name: str, state: object) -> None:
        """Keep a copy under a name; a state that cannot be copied is skipped."""
        is_copied, state_copy = _deep_copy(state)
        if is_copied:
            self._by_name[name] = state_copy

    def take_step(self, event: Event, state: object) -> None:
        """Keep a copy for the invocation that has ended.

        Args:
            event: the event that ended it.
            state: the state to copy.
        """
        if event.stage not in self.step_order:
            self.step_order.append(event.stage)
        is_copied, state_copy = _deep_copy(state)
        if is_copied:
            self._by_name[event.stage] = state_copy
            label = invocation_label(event.stage, event.scope)
            self._snapshots.append(
                Snapshot(event.stage, label, event.invocation_id, state_copy)
            )

    # -- reading snapshots

    @property
    def snapshots(self) -> dict[str, Any]:
        """The copies by name: a step has the one of its last invocation.

        Copies that a program puts here are found like the others.
        """
        return self._by_name

    @property
    def invocations(self) -> list[Snapshot]:
        """The copies in the order in which they were taken, one for each invocation."""
        return list(self._snapshots)

    @property
    def initial_state(self) -> Any:
        """The first copy, or None."""
        return self._by_name.get(START)

    def get_snapshot(self, step: str) -> Any:
        """Return a copy by step, item (``w[2]``), visit (``a (2)``) or invocation id.

        None if there is none.
        """
        found, state = self._find(step)
        return state if found else None

    def diff(self, step1: str, step2: str) -> str:
        """Write the changes between two snapshots.

        Args:
            step1: the step of the first snapshot.
            step2: the step of the second snapshot.

        Returns:
            The text.
        """
        states = []
        for name in (step1, step2):
            found, state = self._find(name)
            if not found:
                return f"No snapshot found for {name}"
            states.append(state)
        return format_diff(step1, step2, *states, limit=self.max_value_length)

    def summary(self) -> str:
        """Write the changes of each step.

        Returns:
            The text.
        """
        snapshots = self._in_order()
        return format_summary(snapshots) if snapshots else NO_SNAPSHOTS

    def export_json(self) -> str:
        """Return all snapshots as JSON, by name."""
        states = {**dict(self._in_order()), **self._by_name}
        plain = {name: _state_to_plain(state) for name, state in states.items()}
        return json.dumps(plain, indent=2)

    def _find(self, name: str) -> tuple[bool, Any]:
        if name in self._by_name:
            return True, self._by_name[name]
        for visit, snapshot in reversed(self._visits()):
            if name in (snapshot.invocation_id, snapshot.label, visit):
                return True, snapshot.state
        return False, None

    def _visits(self) -> list[tuple[str, Snapshot]]:
        """Name each invocation; a label that occurs twice gets numbers."""
        labels = [snapshot.label for snapshot in self._snapshots]
        repeated = {label for label in labels if labels.count(label) > 1}
        counts: dict[str, int] = {}
        visits = []
        for snapshot in self._snapshots:
            number = counts[snapshot.label] = counts.get(snapshot.label, 0) + 1
            suffix = f" ({number})" if snapshot.label in repeated else ""
            visits.append((snapshot.label + suffix, snapshot))
        return visits

    def _in_order(self) -> list[tuple[str, Any]]:
        first = [(START, self._by_name[START])] if START in self._by_name else []
        steps = [(name, snapshot.state) for name, snapshot in self._visits()]
        last = [(END, self._by_name[END])] if END in self._by_name else []
        return [*first, *steps, *last]


def _deep_copy(state: object) -> tuple[bool, Any]:
    """Return whether a state can be copied, and its copy: without one it has no history."""
    return call_or((False, None), lambda: (True, copy.deepcopy(state)))


def _state_to_plain(state: object) -> Any:
    """Return a state as plain data; of an object also what it is."""
    plain = to_plain(state)
    if isinstance(plain, dict) and not isinstance(state, dict):
        return {"__class__": type(state).__name__, **plain}
    parts = fields_of(state)
    if parts is None or not isinstance(plain, str):
        return plain
    return {"__class__": type(state).__name__, **to_plain(parts)}


class StateDiffTracker(Observer):
    """Keep copies of the state at each step's end, and say what changed.

    Properties and methods refer to the run that began last; use ``for_run`` for the
    others.

    Args:
        max_value_length: characters of one value in a text.
        keep: ended runs that are remembered.
        max_snapshots: copies of one run that are kept, the newest ones.
    """

    def __init__(
        self, max_value_length: int = 200, *, keep: int = 4, max_snapshots: int = 200
    ) -> None:
        self.max_value_length = max_value_length
        self._runs = RunCache(
            lambda: StateHistory(self.max_value_length, max_snapshots), keep
        )

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Copy the initial state."""
        self._runs.begin(run_id_of(meta)).take(START, state)

    def witness(self, state: Any, meta: ObserverMeta, event: Event) -> None:
        """Copy the state where a step has just ended."""
        history = self._runs.get_or_begin(run_id_of(meta))
        if event.seq is not None:
            history.last_seq = event.seq
        if event.type is EventType.STEP_END:
            # A step of a child run has the child's state.
            is_own = ":" not in event.stage or event.payload is None
            history.take_step(event, state if is_own else event.payload)

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Copy the state for events that were not witnessed, such as replayed ones."""
        if (
            event.seq is None
            or event.seq > self._runs.get_or_begin(run_id_of(meta)).last_seq
        ):
            self.witness(state, meta, event)

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """Copy the state as the run leaves it."""
        self._end(state, meta)

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """Copy the state as a failed run leaves it."""
        self._end(state, meta)

    def _end(self, state: Any, meta: ObserverMeta) -> None:
        self._runs.get_or_begin(run_id_of(meta)).take(END, state)
        self._runs.end(run_id_of(meta))

    # -- reading snapshots

    def for_run(self, run_id: str) -> StateHistory:
        """Return the snapshots of one run.

        Args:
            run_id: the run.

        Raises:
            UnknownRunError: the run is not remembered.
        """
        return self._runs.for_run(run_id)

    @property
    def snapshots(self) -> dict[str, Any]:
        """The copies by name: a step has the one of its last invocation."""
        return self._runs.latest().snapshots

    @property
    def step_order(self) -> list[str]:
        """Steps in the order in which they first ended."""
        return self._runs.latest().step_order

    @property
    def initial_state(self) -> Any:
        """The first copy, or None."""
        return self._runs.latest().initial_state

    def get_snapshot(self, step: str) -> Any:
        """Return a copy by step, item, visit or invocation id; None if there is none."""
        return self._runs.latest().get_snapshot(step)

    def get_all_snapshots(self) -> dict[str, Any]:
        """Return the copies by name, in a dict of their own."""
        return dict(self._runs.latest().snapshots)

    def diff(self, step1: str, step2: str) -> str:
        """Write the changes between two snapshots.

        Args:
            step1: the step of the first snapshot.
            step2: the step of the second snapshot.

        Returns:
            The text.
        """
        return self._runs.latest().diff(step1, step2)

    def summary(self) -> str:
        """Write the changes of each step.

        Returns:
            The text.
        """
        return self._runs.latest().summary()

    def export_json(self) -> str:
        """Return all snapshots as JSON, by name."""
        return self._runs.latest().export_json()
