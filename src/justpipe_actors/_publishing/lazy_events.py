"""Lazy events: what is kept of an event until it is read.

Most events of a run that is only waited for are never read, and an ``Event`` has fifteen
fields.  So the publisher passes on the tuple of what was known when the event was
published, and ``built`` makes the ``Event`` when a reader asks for it::

    published   (type, seq, timestamp, run id, stage, payload, kind, ids, meta)
    forwarded   (type, seq, timestamp, run id, step, owner id, the child's lazy event)

Both begin with the same four fields, which is all that buffers need to know.  Readers
get equal events; those that wait for an event get the same one.

perf: a tuple takes 0.1 microseconds and 112 bytes, an event 0.5 and 500
(``nox -s bench``: chain, map).  A class of its own would take 0.4 to fill.

Which events are built at once, which are kept like this and which are only counted is
decided by ``visibility_of``.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple, cast

from ..events import Event, EventType, NodeKind
from ..outcomes import filled, new_instance
from .invocation_ids import (
    NO_IDS,
    InvocationFigures,
    InvocationIds,
    meta_of,
)


EventMeta = dict[str, object] | InvocationFigures | None
"""Meta of an event; the figures of an invocation become a dict when it is built."""

PublishedEvent = tuple[
    EventType, int, float, str, str, object, NodeKind, InvocationIds, EventMeta
]
"""A run's own event: the arguments of ``build_event``."""

ForwardedEvent = tuple[EventType, int, float, str, str, str | None, "LazyEvent"]
"""A child's event in its parent's stream: the parent's step and invocation, last the event."""

LazyEvent = Event | PublishedEvent | ForwardedEvent
"""An event that may not be built yet."""

Keep = Callable[[LazyEvent], object]
"""Keeps an event for readers."""

_FORWARDED_LENGTH = 7
# perf: reading a member of an enum takes 66 ns on Python 3.11, a global 1 (bench: chain).
# So modules of the hot path import the members that they read for each event from here.
START, FINISH, TOKEN = EventType.START, EventType.FINISH, EventType.TOKEN
STEP_START, STEP_END = EventType.STEP_START, EventType.STEP_END
MAP_WORKER = EventType.MAP_WORKER
MAP, SYSTEM = NodeKind.MAP, NodeKind.SYSTEM

# perf: by ``object.__setattr__`` an event takes a tenth more time (bench: tokens).
fill_event = vars(Event)["__dict__"].__set__
"""Gives a new event the dict of its fields."""


class Visibility(IntEnum):
    """What becomes of an event that is published."""

    COUNTED = 0
    """It has no reader and never will: it only takes a number and is counted."""
    KEPT = 1
    """A reader may come later: it is kept as a lazy event."""
    BUILT = 2
    """Something sees it now, or a consumer is about to read it."""


COUNTED, KEPT, BUILT = Visibility


def visibility_of(*, is_observed: bool, is_kept: bool, sink: Visibility) -> Visibility:
    """Decide what becomes of the events of a run.

    Args:
        is_observed: whether the run has hooks, observers or a recorder.
        is_kept: whether its last events are kept for listeners.
        sink: what the destination of the events needs.
    """
    if is_observed:
        return BUILT
    return KEPT if is_kept and sink is COUNTED else sink


def type_of(event: LazyEvent) -> EventType:
    """Return the type of an event."""
    return event.type if isinstance(event, Event) else event[0]


def number_of(event: LazyEvent) -> int:
    """Return the number of an event; 0 when a hook has removed it."""
    return (event.seq or 0) if isinstance(event, Event) else event[1]


def timestamp_of(event: LazyEvent) -> float:
    """Return when an event was published, in seconds since the epoch."""
    return event.timestamp if isinstance(event, Event) else event[2]


def _unwrapped(
    event: LazyEvent,
) -> tuple[list[ForwardedEvent], Event | PublishedEvent]:
    """Return the forwards of an event, the outermost first, and the event itself.

    A loop and not a recursion: pipelines may be nested deeper than Python's calls.
    """
    forwards: list[ForwardedEvent] = []
    while not isinstance(event, Event) and len(event) == _FORWARDED_LENGTH:
        forward = cast("ForwardedEvent", event)  # pyright: ignore[reportUnnecessaryCast] - mypy
        forwards.append(forward)
        event = forward[-1]
    return forwards, cast("Event | PublishedEvent", event)  # pyright: ignore[reportUnnecessaryCast] - mypy


class Timing(NamedTuple):
    """How long an invocation of a child run took."""

    stage: str
    """Its stage, with the steps of the child runs that its last event came through."""
    seconds: float
    """Its duration."""

    def within(self, step: str) -> Timing:
        """Return the timing for the parent run, which runs the child in a step."""
        return Timing(f"{step}:{self.stage}", self.seconds)


def timing_of(event: LazyEvent) -> Timing | None:
    """Return the timing of the invocation that an event ends; None for other events."""
    if type_of(event) is not STEP_END:
        return None
    forwards, own = _unwrapped(event)
    meta: Any
    stage, meta = (own.stage, own.meta) if isinstance(own, Event) else (own[4], own[-1])
    if meta is None:
        return None
    if isinstance(meta, tuple):
        meta = meta_of(meta, 1)
    seconds = meta.get("framework", {}).get("duration_s", 0.0)
    stages = [*(forward[4] for forward in forwards), stage]
    return Timing(":".join(stages), seconds)


def built(event: LazyEvent) -> Event:
    """Return an event as its readers get it."""
    if isinstance(event, Event):
        return event
    forwards, own = _unwrapped(event)
    found = own if isinstance(own, Event) else build_event(*own)
    for _, seq, _, run_id, step, owner_id, _ in reversed(forwards):
        found = forwarded(found, step, owner_id, run_id, seq)
    return found


def build_event(  # noqa: PLR0917
    type: EventType,
    seq: int,
    timestamp: float,
    run_id: str,
    stage: str,
    payload: object,
    kind: NodeKind,
    ids: InvocationIds,
    meta: EventMeta,
) -> Event:
    """Build an event of a run."""
    if meta.__class__ is tuple:  # perf: ``isinstance`` is a call (bench: chain)
        meta = meta_of(meta, ids.attempt)  # pyright: ignore[reportArgumentType]
    template = ids.template
    if template is None:
        fields: dict[str, object] = {
            "type": type,
            "stage": stage,
            "payload": payload,
            "timestamp": timestamp,
            "run_id": run_id,
            "origin_run_id": run_id,
            "parent_run_id": None,
            "seq": seq,
            "node_kind": kind,
            "invocation_id": ids.invocation,
            "parent_invocation_id": ids.parent,
            "owner_invocation_id": ids.owner,
            "attempt": ids.attempt,
            "scope": ids.scope,
            "meta": meta,
        }
        if ids is not NO_IDS:
            # A copy: the event shares its dict with hooks and observers, and freezing
            # an event does not freeze the dict.
            ids.template = fields.copy()
    else:
        # perf: half the time of writing fifteen fields; the last event of an invocation
        # needs no copy (bench: chain)
        if type is STEP_END:
            fields, ids.template = template, None
        else:
            fields = template.copy()
        fields["type"] = type
        fields["stage"] = stage
        fields["payload"] = payload
        fields["timestamp"] = timestamp
        fields["seq"] = seq
        fields["node_kind"] = kind
        fields["meta"] = meta
    # perf: ``filled`` without its call (bench: chain)
    event: Event = new_instance(Event)
    fill_event(event, fields)
    return event


def forwarded(
    event: Event, step: str, owner_id: str | None, run_id: str, seq: int
) -> Event:
    """Return a child's event as an event of its parent.

    Args:
        event: the event of the child.
        step: name of the parent's step that runs the child.
        owner_id: id of the invocation of that step.
        run_id: the parent's id.
        seq: number of the event in the parent's stream.
    """
    meta = event.meta
    fields = vars(event) | {
        "stage": f"{step}:{event.stage}",
        "run_id": run_id,
        "parent_run_id": event.run_id,
        "seq": seq,
        "parent_invocation_id": event.parent_invocation_id or owner_id,
        "owner_invocation_id": owner_id,
        "scope": (step, *event.scope),
        "meta": dict(meta) if meta is not None else None,
    }
    return filled(Event, fields)
