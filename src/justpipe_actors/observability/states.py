"""``StateDiffTracker``: what each step did to the state.

The state is one object that steps change in place, so a copy says something about a
step only if it is taken before the next step runs.  The tracker therefore *witnesses*
events, at the moment they are published.  Copies are deep; they cost what they cost, and
only the last ones are kept.
"""

from __future__ import annotations

from typing import Any

from ..abc import Observer, ObserverMeta
from ..events import Event, EventType
from .history import END, START, StateHistory
from .recent import RecentRuns, run_of


class StateDiffTracker(Observer):
    """Keep copies of the state at each step's end, and say what changed.

    Without more, everything speaks of the run that began last; ``for_run`` has the
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
        self._runs = RecentRuns(
            lambda: StateHistory(self.max_value_length, max_snapshots), keep
        )

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Copy the state as it comes."""
        self._runs.begin(run_of(meta)).take(START, state)

    def witness(self, state: Any, meta: ObserverMeta, event: Event) -> None:
        """Copy the state where a step has just ended."""
        history = self._runs.of(run_of(meta))
        if event.seq is not None:
            history.seen = event.seq
        if event.type is EventType.STEP_END:
            # A child's step has the child's state.
            is_own = ":" not in event.stage or event.payload is None
            history.take_step(event, state if is_own else event.payload)

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Do the same for events that were not witnessed, such as replayed ones."""
        if event.seq is None or event.seq > self._runs.of(run_of(meta)).seen:
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
        self._runs.of(run_of(meta)).take(END, state)
        self._runs.end(run_of(meta))

    # -- asking

    def for_run(self, run_id: str) -> StateHistory:
        """Return the snapshots of one run.

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

    def get_snapshot(self, name: str) -> Any:
        """Return a copy by step, item, visit or invocation id; None if there is none."""
        return self._runs.latest().get_snapshot(name)

    def get_all_snapshots(self) -> dict[str, Any]:
        """Return the copies by name."""
        return self._runs.latest().snapshots

    def diff(self, before: str, after: str) -> str:
        """Write what changed between two snapshots."""
        return self._runs.latest().diff(before, after)

    def summary(self) -> str:
        """Write what each step changed."""
        return self._runs.latest().summary()

    def export_json(self) -> str:
        """Return all snapshots as JSON, by name."""
        return self._runs.latest().export_json()
