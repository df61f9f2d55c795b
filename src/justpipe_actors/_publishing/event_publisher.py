"""Publish a run's events: number them, apply the hooks, notify observers and consumer.

Publishing is synchronous and never waits.  Producers wait for a full buffer in a
separate call (``wait_writable``).  The engine never takes a decision from an event, so
a hook may rewrite events freely: it changes what is reported, not what the run does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from time import monotonic, time
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import attrs

from .._util.blocking_calls import BLOCKING_LIMIT, log_blocking
from .._util.callables import definition_of
from .._util.interrupts import enable_ki_protection
from .._util.lazy_classes import define, frozen
from .._util.sync import do_nothing
from ..abc import EventHook
from ..events import Event, EventType, NodeKind
from ..outcomes import new_instance
from .invocation_ids import NO_IDS, InvocationIds
from .lazy_events import (
    BUILT,
    COUNTED,
    FINISH,
    KEPT,
    SYSTEM,
    TOKEN,
    EventMeta,
    Keep,
    LazyEvent,
    Timing,
    Visibility,
    build_event,
    built,
    fill_event,
    forwarded,
    timing_of,
    type_of,
    visibility_of,
)
from .observers import ObserverGroup
from .run_metrics import RunMetrics


if TYPE_CHECKING:
    from .event_buffer import EventBuffer
    from .replay_buffer import ReplayBuffer


PutLazy = Callable[[LazyEvent], object]
"""Takes an event that is not built."""

TOKENS_PER_TURN = 256
"""Tokens that are not read before their producer waits for other tasks once."""

NO_HOOKS: frozenset[int] = frozenset()
"""The ids of no hooks."""

INCARNATION_BITS = 40
"""Bits of an event's number below the number of the incarnation."""


@frozen(eq=False)
class ChildRunSink:
    """A child run's sink: its parent's publisher."""

    publisher: EventPublisher
    """The parent run's publisher; child events are forwarded to it."""
    step: str
    """The parent's step that runs the child."""
    owner_id: str | None
    """Id of the invocation of that step."""
    depth: int
    """Runs around the child."""
    dropped: int = 0
    """0: the sink drops nothing."""
    peak_length: int = 0
    """0: the sink has no queue."""

    needs: ClassVar[Visibility] = KEPT
    """The parent builds what its own readers need."""
    is_turn_over: ClassVar[bool] = False
    """False: see ``EventBuffer``."""
    can_pause_producers: ClassVar[bool] = False
    """It is asked through its child's publisher."""

    def __len__(self) -> int:
        return 0

    @property
    def parent(self) -> tuple[EventPublisher, str, str | None]:
        """The publisher, the step and the id of the invocation of the run around it.

        Events, and reads of ``is_full``, climb through nested runs in loops: pipelines
        may be nested deeper than Python's calls.
        """
        return self.publisher, self.step, self.owner_id

    def pause_producers(self, *, paused: bool) -> None:
        """Do nothing: the producers of the parent are not those of the child."""

    def end_turn(self) -> None:
        """Do nothing: the outermost run does this."""

    def end(self) -> None:
        """Do nothing: the parent continues to publish."""

    @property
    def is_full(self) -> bool:
        """Whether the parent's producers have to wait."""
        return self.publisher.is_full

    async def wait_writable(self) -> None:
        """Wait until the parent's stream is not full."""
        await self.publisher.wait_writable()

    def put(self, event: LazyEvent) -> None:
        """Publish the event in the parent's stream."""
        self.publisher.forward_child(event, self.step, self.owner_id)


EventSink: TypeAlias = "EventBuffer | ReplayBuffer | ChildRunSink"
"""The destination of a run's events: a buffer, or the parent run."""


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
    """Keeps tokens for readers; None when the run can have no readers."""
    _seq: int = attrs.field(default=0, init=False)
    _hook_blocked_at: float = attrs.field(default=-inf, init=False)
    _blocking_hooks: frozenset[int] = attrs.field(default=NO_HOOKS, init=False)
    _finish_waits: bool = attrs.field(default=False, init=False)
    _counts: dict[str, int] = attrs.field(init=False)
    backpressure: EventSink | EventPublisher = attrs.field(init=False)
    """The cheapest object that tells through ``is_full`` if producers have to wait."""
    keeps_events: bool = attrs.field(init=False)
    """Whether events can be seen, now or later; else they are only counted."""
    may_be_witnessed: bool = attrs.field(init=False)
    """Whether publishing may call hooks or observers, of this run or of one around it."""
    _has_observers: bool = attrs.field(init=False)
    _is_observed: bool = attrs.field(init=False)
    _builds: bool = attrs.field(init=False)
    _put_lazy: PutLazy | None = attrs.field(init=False)
    _put_lazy_token: PutLazy | None = attrs.field(init=False)
    _put: Callable[[LazyEvent], None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # perf: looked up once and not per event (bench: tokens); they do not change.
        self._has_observers = bool(self.observers.members)
        self._is_observed = self._has_observers or bool(self.hooks)
        self.may_be_witnessed = self._is_observed or self.sink.parent is not None
        self._put = self.sink.put
        self._counts = self.metrics.events
        sink_knows = not self._has_observers or (
            self.sink.can_pause_producers
            and self.observers.bind_backpressure(
                partial(self.sink.pause_producers, paused=True),
                partial(self.sink.pause_producers, paused=False),
            )
        )
        self.backpressure = self.sink if sink_knows else self
        self.update_visibility()

    def update_visibility(self) -> None:
        """Decide again what becomes of events: the sink's needs, or ``keep``, changed."""
        visibility = visibility_of(
            is_observed=self._is_observed,
            is_kept=self.keep is not None,
            sink=self.sink.needs,
        )
        self.keeps_events = visibility is not COUNTED
        self._builds = visibility is BUILT
        self._put_lazy, self._put_lazy_token = self.keep, self.keep_token
        if self.sink.needs is not COUNTED:
            self._put_lazy = self._put if self.keep is None else self._keep_and_put
            self._put_lazy_token = self._put_lazy

    def keep_in(self, keep: Keep | None, keep_token: Keep | None) -> None:
        """Keep events from now on, and tokens apart from them; None keeps none."""
        is_change = (self.keep is None) is not (keep is None)
        self.keep, self.keep_token = keep, keep_token
        if is_change:
            self.update_visibility()
        elif self.sink.needs is COUNTED:
            self._put_lazy, self._put_lazy_token = keep, keep_token

    def stop_keeping(self) -> None:
        """Keep no more events: the run has ended."""
        self.keep = self.keep_token = None

    def _keep_and_put(self, event: LazyEvent) -> None:
        keep = self.keep_token if type_of(event) is TOKEN else self.keep
        if keep is not None:
            keep(event)
        self._put(event)

    def begin_incarnation(self, number: int) -> None:
        """Number events above all numbers that an earlier process can have used."""
        self._seq = (number - 1) << INCARNATION_BITS

    @property
    def last_number(self) -> int:
        """The number of the last event published in this incarnation; 0 before it."""
        number = self._seq - self._finish_waits
        return number if number % (1 << INCARNATION_BITS) else 0

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
        """Drop the reference to an ended run, so that it needs no garbage collection."""
        self.on_hook_failure = do_nothing
        self._put_lazy = self._put_lazy_token = None  # they may be own methods

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

    def count(
        self,
        type: EventType,
    ) -> None:
        """Count and number an event that has no reader."""
        self._seq += 1
        name = type._value_
        self._counts[name] = self._counts.get(name, 0) + 1

    def publish(
        self,
        type: EventType,
        stage: str,
        payload: object = None,
        kind: NodeKind = SYSTEM,
        ids: InvocationIds = NO_IDS,
        meta: EventMeta = None,
    ) -> None:
        """Publish one event now."""
        self._seq = seq = self._seq + 1
        name = type._value_
        try:  # perf: a ``get`` is a call (bench: chain, map)
            self._counts[name] += 1
        except KeyError:
            self._counts[name] = 1
        if not self._builds:
            if (put := self._put_lazy) is not None:
                run_id = self.run_id
                put((type, seq, time(), run_id, stage, payload, kind, ids, meta))
            return
        event = build_event(
            type, seq, time(), self.run_id, stage, payload, kind, ids, meta
        )
        if self._is_observed:
            event = self._apply_hooks(event)
            self.observers.put(event)
        if (keep := self.keep) is not None:
            keep(event)
        self._put(event)

    def new_finish(self, payload: object, meta: EventMeta) -> LazyEvent:
        """Return FINISH after the hooks, without publishing or counting it."""
        self._seq = seq = self._seq + 1
        self._finish_waits = True
        finish: LazyEvent = (
            FINISH,
            seq,
            time(),
            self.run_id,
            "system",
            payload,
            SYSTEM,
            NO_IDS,
            meta,
        )
        return self._apply_hooks(built(finish)) if self._is_observed else finish

    def observe(self, finish: LazyEvent) -> None:
        """Give FINISH to the observers."""
        if self._has_observers:
            self.observers.put(built(finish))

    def put_finish(self, finish: LazyEvent) -> None:
        """Publish FINISH to the consumer and to the readers."""
        self._finish_waits = False
        if self.keep is not None:
            self.keep(finish)
        if self.sink.needs is BUILT:
            finish = built(finish)
        self.sink.put(finish)
        self.sink.end()

    def token_publisher(
        self,
        type: EventType,
        stage: str,
        ids: InvocationIds,
    ) -> tuple[Callable[[object], None], Callable[[], int]]:
        """Return a function that publishes events which differ only in their payload.

        The other function returns how many it has published.

        Most events of a run are TOKENs, so the fields that they share are built once
        and copied for each event.
        """
        run_id, counts, name = self.run_id, self._counts, type._value_
        put, has_observers = self._put, self._has_observers
        observe, observe_token = self.observers.put, self.observers.put_token
        kind, shared_fields = SYSTEM, dict[str, object]()

        published = 0

        @enable_ki_protection
        def publish_token(payload: object) -> None:
            nonlocal published
            published += 1
            self._seq = seq = self._seq + 1
            try:  # perf: a ``get`` is a call (bench: tokens)
                counts[name] += 1
            except KeyError:
                counts[name] = 1
            if not self._builds:
                if (put_lazy := self._put_lazy_token) is not None:
                    put_lazy(
                        (type, seq, time(), run_id, stage, payload, kind, ids, None)
                    )
                if not seq % TOKENS_PER_TURN:
                    self.end_turn()
                return
            # perf: ``build_event`` without its call (bench: tokens).
            if not shared_fields:
                shared_fields.update(self._token_fields(type, stage, ids))
            fields = shared_fields.copy()
            fields["payload"] = payload
            fields["seq"] = seq
            fields["timestamp"] = time()
            event: Event = new_instance(Event)
            fill_event(event, fields)
            if self.hooks:
                event = self._apply_hooks(event)
                observe(event)
            elif has_observers:
                observe_token(event, payload)
            if (keep := self.keep_token) is not None:
                keep(event)
            put(event)

        return publish_token, lambda: published

    def _token_fields(
        self,
        type: EventType,
        stage: str,
        ids: InvocationIds,
    ) -> dict[str, object]:
        shared = build_event(
            type, 0, 0.0, self.run_id, stage, None, NodeKind.SYSTEM, ids, None
        )
        return vars(shared)

    def end_turn(self) -> None:
        """Have the producers of a stream that is not read wait for other tasks once."""
        publisher = self
        while (parent := publisher.sink.parent) is not None:
            publisher = parent[0]
        publisher.sink.end_turn()

    def forward_child(self, event: LazyEvent, step: str, owner_id: str | None) -> None:
        """Publish a child's event as an event of this run and of all runs around it.

        Args:
            event: the event.
            step: the step of this run that runs the child.
            owner_id: id of the invocation of that step.
        """
        publisher, timing = self, timing_of(event)
        while True:
            event = publisher._adopt(event, step, owner_id, timing)
            parent = publisher.sink.parent
            if parent is None:
                publisher.sink.put(event)
                return
            if timing is not None:
                # ``timing_of`` a lazy event visits all runs that it came through, so
                # calling it in each run would take time cubic in the depth.
                is_new = isinstance(event, Event)  # a hook may have changed it
                timing = timing_of(event) if is_new else timing.within(step)
            publisher, step, owner_id = parent

    def _adopt(
        self, event: LazyEvent, step: str, owner_id: str | None, timing: Timing | None
    ) -> LazyEvent:
        """Return a child's event as this run's, after its hooks and observers."""
        self._seq = seq = self._seq + 1
        type = event.type if isinstance(event, Event) else event[0]
        counts, name = self._counts, type._value_
        counts[name] = counts.get(name, 0) + 1
        if timing is not None:
            self.metrics.add_step_time(f"{step}:{timing.stage}", timing.seconds)
        elif type is EventType.MAP_START:
            self.metrics.maps_started += 1
        elif type is EventType.MAP_COMPLETE:
            self.metrics.maps_completed += 1
        if self._builds:
            event = forwarded(built(event), step, owner_id, self.run_id, seq)
            event = self._apply_hooks(event)
            self.observers.put(event)
        else:
            at = event.timestamp if isinstance(event, Event) else event[2]
            event = (type, seq, at, self.run_id, step, owner_id, event)
        keep = self.keep_token if type is TOKEN else self.keep
        if keep is not None:
            keep(event)
        return event

    def _apply_hooks(self, event: Event) -> Event:
        for hook in self.hooks:
            began = monotonic()
            try:
                event = _check_hook_result(hook, hook(event))
            except BaseException as error:  # noqa: BLE001, ASYNC103 - fails the run only
                self.hooks = ()
                self.on_hook_failure(error)
                break  # noqa: ASYNC104
            finally:
                seconds = monotonic() - began
                if seconds > BLOCKING_LIMIT:
                    self._warn_of_blocking(hook, seconds)
        return event

    def has_hook_blocked_since(self, moment: float) -> bool:
        """Tell whether an event hook has held the loop since a moment of ``monotonic``."""
        publisher = self
        while publisher._hook_blocked_at < moment:
            parent = publisher.sink.parent
            if parent is None:
                return False
            publisher = parent[0]
        return True

    def _warn_of_blocking(self, hook: EventHook, seconds: float) -> None:
        """Log, once for each hook of a run, that it held the event loop."""
        self._hook_blocked_at = monotonic()
        if id(hook) in self._blocking_hooks:
            return
        self._blocking_hooks |= {id(hook)}
        log_blocking(
            f"Event hook '{_hook_name(hook)}'{definition_of(hook)}",
            seconds,
            None,
            "Do what blocks in an observer, with anyio.to_thread.run_sync().",
            {"run": self.run_id, "hook": _hook_name(hook)},
        )


def _hook_name(hook: EventHook) -> str:
    return getattr(hook, "__name__", type(hook).__name__)


def _check_hook_result(hook: EventHook, event: object) -> Event:
    name = _hook_name(hook)
    if event is None:
        msg = f"Event hook {name} returned None; return the event."
        raise ValueError(msg)
    if not isinstance(event, Event):
        msg = f"Event hook {name} returned {type(event).__name__}, expected Event."
        raise TypeError(msg)
    return event
