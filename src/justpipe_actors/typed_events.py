"""Events by their type: what a type checker knows about the payload of each.

A run publishes objects of one class, ``Event``, and ``type`` says what happened.  A class
of this module describes the events of one type, with the payload that they carry, so
``match`` narrows the payload for mypy and for basedpyright::

    match event:
        case TokenEvent(payload=item):
            print(item, end="")
        case FinishEvent(payload=end):
            print(end.status, end.duration_s)

The engine does not create them, so publishing costs what it did: ``isinstance`` and class
patterns compare ``event.type``.

Rejected: real subclasses, because programs compare ``type(event)`` and each publication
would choose a class; a union that iterating over a run yields, because then a list of
events is no ``list[Event]``, and every payload that is read without a pattern is an
error; a generic ``Event[Type, Payload]``, which needs that union, too.

A payload that an event hook has replaced is what the hook made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from .events import Event, EventType


if TYPE_CHECKING:
    from .outcomes import PipelineEndData


__all__ = [
    "AnswerEvent",
    "AskEvent",
    "BarrierReleaseEvent",
    "BarrierWaitEvent",
    "CancelledEvent",
    "FinishEvent",
    "GapEvent",
    "MapCompleteEvent",
    "MapStartEvent",
    "MapWorkerEvent",
    "RecoveredEvent",
    "StartEvent",
    "StateChangeEvent",
    "StepEndEvent",
    "StepErrorEvent",
    "StepStartEvent",
    "SuspendedEvent",
    "TimeoutEvent",
    "TokenEvent",
]


class MapStarted(TypedDict):
    """The payload of MAP_START."""

    target: str
    """Name of the step that works on the items."""
    item_count: int | None
    """Number of items; None for a source without a length."""


class MapWorkerStarted(TypedDict):
    """The payload of MAP_WORKER."""

    index: int
    """Position of the item, from 0."""
    total: int | None
    """Number of items; None for a source without a length."""
    target: str
    """Name of the step that works on the item."""
    owner: str
    """Name of the map."""


class MapCompleted(TypedDict):
    """The payload of MAP_COMPLETE."""

    target: str
    """Name of the step that worked on the items."""
    item_count: int
    """Number of items."""
    owner_invocation_id: str | None
    """Invocation of the map."""
    owner_scope: tuple[str, ...]
    """The map workers and sub-pipelines around the map, outermost first."""


class BarrierWaiting(TypedDict):
    """The payload of BARRIER_WAIT."""

    timeout: float | None
    """Seconds that the join waits for all its parents."""
    dependencies: list[str]
    """All parents."""
    expected_count: int
    """Number of parents that the join waits for."""
    completed_count: int
    """Number of parents that have reported."""
    waiting_for: list[str]
    """Parents that have not reported."""


class BarrierReleased(TypedDict):
    """The payload of BARRIER_RELEASE."""

    duration: float
    """Seconds that the join waited."""


class Asked(TypedDict):
    """The payload of ASK."""

    ask: str
    """Id of the question, which its answer names."""
    note: str
    """The question in words."""
    form: dict[str, Any]
    """JSON schema of the answer."""
    due_at: str | None
    """Time until which it can be answered, in ISO 8601; None if there is no limit."""


class Answered(TypedDict):
    """The payload of ANSWER."""

    ask: str
    """Id of the question."""
    by: str | None
    """Name of the person or program that answered; None if unknown."""


class Recovered(TypedDict):
    """The payload of RECOVERED."""

    incarnation: int
    """Number of times that a process has taken the run up."""
    invocations: list[str]
    """Ids of the invocations that begin again."""


Missed = TypedDict("Missed", {"from": int, "to": int})
"""The payload of GAP: the numbers of the first and the last event that were dropped."""


class ByType(type):
    """The class of the classes below: an event belongs to the one of its type."""

    event_type: EventType

    def __new__(
        cls, name: str, bases: tuple[type, ...], names: dict[str, Any], **of: EventType
    ) -> ByType:
        """Make a class that describes the events of one type."""
        made = super().__new__(cls, name, bases, names)
        made.event_type = of["of"]
        return made

    def __instancecheck__(cls, instance: object) -> bool:
        """Tell whether this is an event of the type that the class describes."""
        return isinstance(instance, Event) and instance.type is cls.event_type


class StartEvent(Event, metaclass=ByType, of=EventType.START):
    """The run begins; the payload is the state."""

    type: Literal[EventType.START]
    payload: Any


class FinishEvent(Event, metaclass=ByType, of=EventType.FINISH):
    """The run is over; the payload says how it ended."""

    type: Literal[EventType.FINISH]
    payload: PipelineEndData


class SuspendedEvent(Event, metaclass=ByType, of=EventType.SUSPEND):
    """A step answered ``Suspend``; the payload is its reason."""

    type: Literal[EventType.SUSPEND]
    payload: Any


class TimeoutEvent(Event, metaclass=ByType, of=EventType.TIMEOUT):
    """The run's time has passed; the payload is a sentence."""

    type: Literal[EventType.TIMEOUT]
    payload: str


class CancelledEvent(Event, metaclass=ByType, of=EventType.CANCELLED):
    """A step answered its cancellation token; the payload is the reason."""

    type: Literal[EventType.CANCELLED]
    payload: str


class StepStartEvent(Event, metaclass=ByType, of=EventType.STEP_START):
    """An attempt begins."""

    type: Literal[EventType.STEP_START]
    payload: None


class StepEndEvent(Event, metaclass=ByType, of=EventType.STEP_END):
    """An invocation ended well; the payload is the state."""

    type: Literal[EventType.STEP_END]
    payload: Any


class StepErrorEvent(Event, metaclass=ByType, of=EventType.STEP_ERROR):
    """A failure was not handled; the payload is the error's text."""

    type: Literal[EventType.STEP_ERROR]
    payload: str


class TokenEvent(Event, metaclass=ByType, of=EventType.TOKEN):
    """A streaming step yields; the payload is the item."""

    type: Literal[EventType.TOKEN]
    payload: Any


class BarrierWaitEvent(Event, metaclass=ByType, of=EventType.BARRIER_WAIT):
    """The first parent has reported to a join with a timeout."""

    type: Literal[EventType.BARRIER_WAIT]
    payload: BarrierWaiting


class BarrierReleaseEvent(Event, metaclass=ByType, of=EventType.BARRIER_RELEASE):
    """A join with a timeout opens."""

    type: Literal[EventType.BARRIER_RELEASE]
    payload: BarrierReleased


class MapStartEvent(Event, metaclass=ByType, of=EventType.MAP_START):
    """The first item of a map was asked for."""

    type: Literal[EventType.MAP_START]
    payload: MapStarted


class MapWorkerEvent(Event, metaclass=ByType, of=EventType.MAP_WORKER):
    """An item of a map was taken."""

    type: Literal[EventType.MAP_WORKER]
    payload: MapWorkerStarted


class MapCompleteEvent(Event, metaclass=ByType, of=EventType.MAP_COMPLETE):
    """All workers of a map have ended."""

    type: Literal[EventType.MAP_COMPLETE]
    payload: MapCompleted


class StateChangeEvent(Event, metaclass=ByType, of=EventType.STATE_CHANGE):
    """No run publishes it; the name is kept for old programs."""

    type: Literal[EventType.STATE_CHANGE]
    payload: Any


class AskEvent(Event, metaclass=ByType, of=EventType.ASK):
    """A step asks a person."""

    type: Literal[EventType.ASK]
    payload: Asked


class AnswerEvent(Event, metaclass=ByType, of=EventType.ANSWER):
    """A question was answered."""

    type: Literal[EventType.ANSWER]
    payload: Answered


class RecoveredEvent(Event, metaclass=ByType, of=EventType.RECOVERED):
    """A process has taken up a durable run."""

    type: Literal[EventType.RECOVERED]
    payload: Recovered


class GapEvent(Event, metaclass=ByType, of=EventType.GAP):
    """Events were dropped before they could be read."""

    type: Literal[EventType.GAP]
    payload: Missed
