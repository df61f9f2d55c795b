"""``TestResult``: the events and the final state of a run, for assertions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from ..events import Event, EventType, NodeKind
from ..outcomes import PipelineEndData, PipelineTerminalStatus


StateT = TypeVar("StateT")


@dataclass
class TestResult(Generic[StateT]):
    """The events of one run and what its state was in the end."""

    events: list[Event]
    """All events of the run in order, including forwarded child events."""
    final_state: StateT
    """The state after the last step that succeeded."""

    __test__: ClassVar[bool] = False

    def filter(self, event_type: EventType) -> list[Event]:
        """Return the events of one type, in order.

        Args:
            event_type: the type.
        """
        return [event for event in self.events if event.type == event_type]

    # -- which steps ran

    @property
    def step_starts(self) -> list[str]:
        """Every step that started, once per start; a child's as ``owner:inner``."""
        return [event.stage for event in self.filter(EventType.STEP_START)]

    @property
    def order(self) -> list[str]:
        """The steps in the order of their first start, each once."""
        return list(dict.fromkeys(self.step_starts))

    def was_called(self, stage: str) -> bool:
        """Tell whether a step started.

        Args:
            stage: the step.
        """
        return stage in self.step_starts

    def call_count(self, stage: str) -> int:
        """Return how often a step started; every attempt and map item counts.

        Args:
            stage: the step.
        """
        return self.step_starts.count(stage)

    # -- what its steps yielded

    @property
    def tokens(self) -> list[Any]:
        """What streaming steps yielded, in order."""
        return [event.payload for event in self.filter(EventType.TOKEN)]

    # -- how it ended

    @property
    def failed_steps(self) -> list[str]:
        """The steps that failed, each once, in the order of their first failure."""
        failures = self.filter(EventType.STEP_ERROR)
        steps = [e.stage for e in failures if e.node_kind is not NodeKind.SYSTEM]
        return list(dict.fromkeys(steps))

    def find_error(self, stage: str | None = None) -> str | None:
        """Return the text of the first failure, of one step or of any.

        Args:
            stage: the step; None is any.
        """
        for event in self.filter(EventType.STEP_ERROR):
            if stage is None or event.stage == stage:
                return str(event.payload)
        return None

    @property
    def end(self) -> PipelineEndData | None:
        """Payload of FINISH; None if the run has no FINISH event."""
        for event in reversed(self.events):
            if event.type is EventType.FINISH and event.stage == "system":
                payload: PipelineEndData = event.payload
                return payload
        return None

    @property
    def status(self) -> PipelineTerminalStatus | None:
        """Terminal status of the run; None if the run has no FINISH event."""
        return self.end.status if self.end is not None else None

    @property
    def error(self) -> str | None:
        """The error that the run ended with."""
        return self.end.error if self.end is not None else None


def final_state(events: list[Event], state: Any, steps: frozenset[str]) -> Any:
    """Return the state of a run after its last step that succeeded.

    Args:
        events: all events of the run.
        state: the initial state.
        steps: the names of its own steps; a child run's states are not its own.
    """
    for event in events:
        starts = event.type is EventType.START and event.stage == "system"
        ends = event.type is EventType.STEP_END and event.stage in steps
        if starts or ends:
            state = event.payload
    return state
