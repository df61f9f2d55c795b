"""Publish a run's events: number them, apply the hooks, notify observers and consumer.

Publishing is synchronous and never waits.  Producers wait for a full buffer in a
separate call (``wait_writable``).  The engine never takes a decision from an event, so
a hook may rewrite events freely: it changes what is reported, not what the run does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import time
from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from .._engine.metrics import RunMetrics
from .._engine.protocols import NO_IDS, Backpressure, InvocationIds
from .._util.interrupts import enable_ki_protection
from .._util.lazy_classes import define
from .._util.sync import do_nothing
from ..abc import EventHook
from ..events import Event, EventType, NodeKind
from ..outcomes import filled, new_instance, set_attribute
from .kept_events import Keep
from .observers import ObserverGroup


if TYPE_CHECKING:
    from .._engine.invocation import Invocation


class EventSink(Protocol):
    """The destination of a run's events: a buffer, or the parent run."""

    can_pause_producers: ClassVar[bool]
    """Whether ``pause_producers`` makes producers wait."""

    @property
    def depth(self) -> int:
        """Number of runs around the run that writes here; 0 unless it is a child."""
        ...

    @property
    def parent(self) -> tuple[EventPublisher, Invocation] | None:
        """The publisher and the invocation of the run around a child run; else None.

        Events, and reads of ``is_full``, climb through nested runs in loops: pipelines
        may be nested deeper than Python's calls.
        """
        ...

    @property
    def dropped(self) -> int:
        """Number of events that were dropped unread."""
        ...

    @property
    def peak_length(self) -> int:
        """Most events that ever waited here."""
        ...

    def __len__(self) -> int: ...

    @property
    def is_full(self) -> bool:
        """Whether producers have to wait."""
        ...

    def pause_producers(self, *, paused: bool) -> None:
        """Pause or resume producers because another queue, the recorder's, is full."""

    async def wait_writable(self) -> None:
        """Wait until the sink is not full."""

    def put(self, event: Event) -> None:
        """Take an event."""

    def end(self) -> None:
        """Mark the end of the events."""


_DEFAULT_FIELDS = vars(Event(EventType.START, "system"))


INCARNATION_BITS = 40
"""Bits of an event's number below the number of the incarnation."""


@define(eq=False, repr=False)
class EventPublisher:
    """The one stream of a run, numbered without gaps."""

    run_id: str
    """The run's id, on every event."""
    hooks: Sequence[EventHook]
    """Rewrite events, in order."""
    observers: ObserverGroup
    """The observers; they get events before the consumer."""
    sink: EventSink
    """The destination of the events."""
    on_hook_failure: Callable[[BaseException], None] = do_nothing
    """Called when a hook fails; no hook is called after that."""
    metrics: RunMetrics = attrs.field(factory=RunMetrics)
    """Counts the published events."""
    keep: Keep | None = attrs.field(default=None, init=False)
    """Keeps events for readers; None when the run can have no readers."""
    keep_token: Keep | None = attrs.field(default=None, init=False)
    """The same for tokens."""
    _seq: int = attrs.field(default=0, init=False)
    _finish_waits: bool = attrs.field(default=False, init=False)
    _counts: dict[str, int] = attrs.field(init=False)
    backpressure: Backpressure = attrs.field(init=False)
    """The cheapest object that tells through ``is_full`` if producers have to wait."""
    _has_observers: bool = attrs.field(init=False)
    _put: Callable[[Event], None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # perf: looked up once and not per event (bench: tokens); they do not change.
        self._has_observers = bool(self.observers.members)
        self._put = self.sink.put
        self._counts = self.metrics.events
        sink_knows = not self._has_observers or (
            self.sink.can_pause_producers
            and self.observers.bind_backpressure(self.sink.pause_producers)
        )
        self.backpressure = self.sink if sink_knows else self

    def begin_incarnation(self, number: int) -> None:
        """Number events above all numbers that an earlier process can have used."""
        self._seq = (number - 1) << INCARNATION_BITS

    @property
    def last_number(self) -> int:
        """The number of the last event that was published."""
        return self._seq - self._finish_waits

    @property
    def is_full(self) -> bool:
        """Whether producers have to wait."""
        publisher = self
        while True:
            if publisher._has_observers and publisher.observers.is_full:
                return True
            parent = publisher.sink.parent
            if parent is None:
                return publisher.sink.is_full
            publisher = parent[0]

    def release_run(self) -> None:
        """Drop the reference to an ended run; else only the collector could free it."""
        self.on_hook_failure = do_nothing

    async def wait_writable(self) -> None:
        """Wait until the observers and the consumer can take one more event."""
        publisher = self
        while True:
            await publisher.observers.wait_writable()
            parent = publisher.sink.parent
            if parent is None:
                await publisher.sink.wait_writable()
                return
            publisher = parent[0]

    def publish(
        self,
        type: EventType,  # noqa: A002 - the name of the event's field
        stage: str,
        payload: object = None,
        kind: NodeKind = NodeKind.SYSTEM,
        ids: InvocationIds = NO_IDS,
        meta: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """Publish one event now; return its fields, for ``publish_like``."""
        # perf: written out, as in ``token_publisher``; a run has two events per step.
        self._seq = seq = self._seq + 1
        run_id = self.run_id
        fields: dict[str, object] = {
            "type": type,
            "stage": stage,
            "payload": payload,
            "timestamp": time(),
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
        # A copy: the event shares its dict with hooks and observers, and freezing an
        # event does not freeze the dict.
        template = fields.copy()
        self._publish(type, fields)
        return template

    def publish_like(
        self,
        event_template: dict[str, object],
        type: EventType,  # noqa: A002 - the name of the event's field
        stage: str,
        payload: object,
        meta: dict[str, object] | None = None,
    ) -> None:
        """Publish an event with the same ids as an earlier one of the same invocation.

        Args:
            event_template: the fields of the earlier event.
            type: the new event's type.
            stage: the step that the event is about.
            payload: the event's payload.
            meta: the notes of the invocation.
        """
        self._seq = seq = self._seq + 1
        fields = event_template.copy()  # perf: half the time of writing fifteen fields
        fields["type"] = type
        fields["stage"] = stage
        fields["payload"] = payload
        fields["timestamp"] = time()
        fields["seq"] = seq
        fields["meta"] = meta
        self._publish(type, fields)

    def _publish(
        self,
        type: EventType,  # noqa: A002 - the name of the event's field
        fields: dict[str, object],
    ) -> None:
        # perf: ``filled`` without its call (bench: chain, tokens).
        event = new_instance(Event)
        set_attribute(event, "__dict__", fields)
        name = type._value_
        counts = self._counts
        counts[name] = counts.get(name, 0) + 1
        if self.hooks:
            event = self._apply_hooks(event)
        if self._has_observers:
            self.observers.put(event)
        if (keep := self.keep) is not None:
            keep(event)
        self._put(event)

    def build_finish(self, payload: object, meta: dict[str, object] | None) -> Event:
        """Build FINISH and apply the hooks to it, without publishing or counting it."""
        self._seq += 1
        self._finish_waits = True
        fields = _DEFAULT_FIELDS.copy()
        fields["type"] = EventType.FINISH
        fields["payload"] = payload
        fields["timestamp"] = time()
        fields["run_id"] = fields["origin_run_id"] = self.run_id
        fields["seq"] = self._seq
        fields["meta"] = meta
        return self._apply_hooks(filled(Event, fields))

    def put_finish(self, finish: Event) -> None:
        """Publish FINISH to the consumer and to the readers."""
        self._finish_waits = False
        if self.keep is not None:
            self.keep(finish)
        self.sink.put(finish)
        self.sink.end()

    def token_publisher(
        self,
        type: EventType,  # noqa: A002 - the name of the event's field
        stage: str,
        ids: InvocationIds,
    ) -> Callable[[object], None]:
        """Return a function that publishes events which differ only in their payload.

        Most events of a run are TOKENs, so the fields that they share are built once
        and copied for each event.
        """
        shared_fields = vars(self._token_fields(type, stage, ids))
        counts, name = self._counts, type._value_
        put, has_observers = self._put, self._has_observers
        observe, observe_token = self.observers.put, self.observers.put_token

        @enable_ki_protection
        def publish_token(payload: object) -> None:
            self._seq = seq = self._seq + 1
            fields = shared_fields.copy()
            fields["payload"] = payload
            fields["seq"] = seq
            fields["timestamp"] = time()
            # perf: ``filled`` without its call (bench: chain, tokens).
            event = new_instance(Event)
            set_attribute(event, "__dict__", fields)
            counts[name] = counts.get(name, 0) + 1
            if self.hooks:
                event = self._apply_hooks(event)
                observe(event)
            elif has_observers:
                observe_token(event, payload)
            if (keep := self.keep_token) is not None:
                keep(event)
            put(event)

        return publish_token

    def _token_fields(
        self,
        type: EventType,  # noqa: A002 - the name of the event's field
        stage: str,
        ids: InvocationIds,
    ) -> Event:
        return Event(
            type,
            stage,
            run_id=self.run_id,
            origin_run_id=self.run_id,
            invocation_id=ids.invocation,
            parent_invocation_id=ids.parent,
            owner_invocation_id=ids.owner,
            attempt=ids.attempt,
            scope=ids.scope,
        )

    def forward_child(self, event: Event, invocation: Invocation) -> None:
        """Publish a child's event as an event of this run and of all runs around it."""
        publisher = self
        while True:
            event = publisher._adopt(event, invocation)
            parent = publisher.sink.parent
            if parent is None:
                publisher.sink.put(event)
                return
            publisher, invocation = parent

    def _adopt(self, event: Event, invocation: Invocation) -> Event:
        """Return a child's event as this run's, after its hooks and observers."""
        self._seq += 1
        owner_id = invocation.ids.invocation
        forwarded = replace(
            event,
            stage=f"{invocation.node.name}:{event.stage}",
            run_id=self.run_id,
            parent_run_id=event.run_id,
            seq=self._seq,
            parent_invocation_id=event.parent_invocation_id or owner_id,
            owner_invocation_id=owner_id,
            scope=(invocation.node.name, *event.scope),
            meta=dict(event.meta) if event.meta is not None else None,
        )
        self.metrics.count_event(forwarded.type)
        self._count_child(forwarded)
        forwarded = self._apply_hooks(forwarded)
        self.observers.put(forwarded)
        is_token = forwarded.type is EventType.TOKEN
        keep = self.keep_token if is_token else self.keep
        if keep is not None:
            keep(forwarded)
        return forwarded

    def _apply_hooks(self, event: Event) -> Event:
        for hook in self.hooks:
            try:
                event = _check_hook_result(hook, hook(event))
            except BaseException as error:  # noqa: BLE001, ASYNC103 - fails the run only
                self.hooks = ()
                self.on_hook_failure(error)
                break  # noqa: ASYNC104
        return event

    def _count_child(self, event: Event) -> None:
        match event.type:
            case EventType.STEP_END if event.meta is not None:
                framework = event.meta.get("framework", {})
                self.metrics.add_step_time(
                    event.stage, framework.get("duration_s", 0.0)
                )
            case EventType.MAP_START:
                self.metrics.maps_started += 1
            case EventType.MAP_COMPLETE:
                self.metrics.maps_completed += 1
            case _:
                pass


def _check_hook_result(hook: EventHook, event: object) -> Event:
    name = getattr(hook, "__name__", type(hook).__name__)
    if event is None:
        msg = f"Event hook {name} returned None; return the event."
        raise ValueError(msg)
    if not isinstance(event, Event):
        msg = f"Event hook {name} returned {type(event).__name__}, expected Event."
        raise TypeError(msg)
    return event
