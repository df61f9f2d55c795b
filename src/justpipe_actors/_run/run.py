"""One run: the request it was started with, its state, its end and its snapshot."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio
import attrs
from anyio.abc import TaskGroup

from .._backends import Loop
from .._engine.actor_system import ActorSystem
from .._engine.run_state import RunState, enclosing_runs as enclosing_runs
from .._plan.plan import Plan
from .._publishing.event_buffer import EventBuffer
from .._publishing.event_publisher import EventPublisher
from .._supervision.resource_calls import awaited_resource
from .._supervision.resource_pool import ResourcePool
from .._util.lazy_classes import define, frozen
from .._util.notebooks import paragraph, table
from .._util.sync import OneShotEvent, do_nothing
from .._util.text import escape_controls, format_duration, safe_repr
from ..abc import EventHook, ObserverProtocol
from ..cancellation import CancellationToken
from ..errors import InvalidRunId
from ..meta import RunNotes
from ..outcomes import PipelineEndData, PipelineTerminalStatus


if TYPE_CHECKING:
    from .._engine.invocation import Invocation
    from .._engine.run_journal import RunJournal
    from .._publishing.kept_events import KeptEvents
    from ..abc import RunRecorder, StorageBackend
    from ..errors import RunReleased
    from .grace_period import GracePeriod


RUN_ID = r"[A-Za-z0-9_.:-]{1,200}"
"""Pattern of a run's id: it is safe in file names, URLs and shells."""

REQUESTED_ENDS = (
    PipelineTerminalStatus.CLIENT_CLOSED,
    PipelineTerminalStatus.CANCELLED,
)
"""Requested endings: they limit the time for cleaning up to ``GRACE_SECONDS``."""

_logger = logging.getLogger("justpipe_actors")

_UUID_BITS = 0x4 << 76 | 0x8 << 60
"""Bits of the version and the variant, the same in every random UUID."""
_RANDOM_BITS = ~(0xF << 76 | 0x3 << 62)


def new_run_id() -> str:
    """Return a new run id: the 32 hex digits of a random UUID.

    perf: it takes a third of the time of ``uuid4().hex``.
    """
    bits = int.from_bytes(os.urandom(16))
    return f"{bits & _RANDOM_BITS | _UUID_BITS:032x}"


def check_run_id(value: object) -> str:
    """Return an id that a client has chosen.

    Raises:
        InvalidRunId: no run can have it.
    """
    if isinstance(value, str) and re.fullmatch(RUN_ID, value):
        return value
    raise InvalidRunId(safe_repr(value, limit=60))


@define(eq=False, kw_only=True)  # perf: not frozen, see ``_engine.messages``
class RunRequest:
    """The arguments of one run; they do not change."""

    plan: Plan
    state: object
    context: object = None
    start: str | None = None
    """The step to begin with; None is the roots."""
    capacity: int = 1000
    """Events that may wait for the consumer."""
    overflow: str = "block"
    """What happens when the consumer is behind: block, drop_oldest or fail."""
    timeout: float | None = None
    """Seconds the actors may work."""
    time_left: float | None = None
    """Seconds of the timeout that are left to a run submitted earlier; None is all."""
    token: CancellationToken
    """The pipe's token; the run gets a child of it."""
    hooks: Sequence[EventHook] = ()
    """Functions that rewrite events before anything reads them."""
    observers: Sequence[ObserverProtocol] = ()
    record: Callable[[str], RunRecorder] | None = None
    """Returns the recorder for a run id; None if the run is not recorded."""
    open_store: Callable[[], StorageBackend] | None = None
    """Returns the run's store, for readers; None if the run is not stored."""
    log_state: bool | Callable[[object], str] = True
    """Whether, or how, error logs show the state."""
    open_journal: Callable[[Run], RunJournal] | None = None
    """Returns the journal of a durable run; None if the run is not durable."""
    journal: str | None = None
    """Location of the journal of a durable run, for other processes."""
    run_id: str = attrs.field(factory=new_run_id)


@define(eq=False, repr=False)
class Run:
    """One run."""

    request: RunRequest
    """The arguments of the run."""
    loop: Loop
    """The event loop that it runs in."""
    publisher: EventPublisher
    run_state: RunState
    """The part of the run that its actors use."""
    notes: RunNotes
    """The values of ``meta.run`` and ``meta.pipeline``."""
    system: ActorSystem | None = None
    """The actor system it uses; None opens a private one."""
    done: OneShotEvent = attrs.field(factory=OneShotEvent, init=False)
    """Set when no task of the run is left."""
    on_done: Callable[[Run], None] | None = attrs.field(default=None, init=False)
    """Called when nothing of the run is left, so that its owner drops it."""
    release_place: Callable[[], None] = attrs.field(default=do_nothing, init=False)
    """Releases the place that it was admitted to; called by its owner."""
    on_read: Callable[[], None] = attrs.field(default=do_nothing, init=False)
    """Called when the reader of an ended run has read FINISH or dropped the stream."""
    end: PipelineEndData | None = attrs.field(default=None, init=False)
    """The outcome; for a durable run it is known once it is stored."""
    is_ending: bool = attrs.field(default=False, init=False)
    """Whether FINISH has been built; later requests cannot change the outcome."""
    is_parked: bool = attrs.field(default=False, init=False)
    """Whether it was released because it only waits; its readers go on."""
    released: RunReleased | None = attrs.field(default=None, init=False)
    """Error to raise instead of FINISH: the run was released, and goes on elsewhere."""
    has_no_consumer: bool = attrs.field(default=False, init=False)
    """Whether its consumer has dropped it."""
    resources: ResourcePool | None = attrs.field(default=None, init=False)
    """Resources of its own, when its actor system is private."""
    time_limit: anyio.CancelScope | None = attrs.field(default=None, init=False)
    """Ends when the run's timeout is over; None without a timeout."""
    scope: anyio.CancelScope | None = attrs.field(default=None, init=False)
    """Cancels the startup, before the steps begin."""
    is_working: bool = attrs.field(default=False, init=False)
    """Whether its steps may be at work."""
    cleanup_watch: anyio.CancelScope | None = attrs.field(default=None, init=False)
    """Cancels the task that watches the cleanup for the run's own task."""
    end_requested: bool = attrs.field(default=False, init=False)
    """Whether its end was requested."""
    grace_period: GracePeriod | None = attrs.field(default=None, init=False)
    """Limits how long its end may take; None before that, or if nothing may block."""
    reachable_tasks: TaskGroup | None = attrs.field(default=None, init=False)
    """Tasks that the cancellation of its owner reaches while its end is shielded."""
    kept_events: KeptEvents | None = attrs.field(default=None, init=False)
    """Its last events, for readers; None when it has no supervisor."""
    began: float | None = attrs.field(default=None, init=False)
    """When it began, in the loop's seconds; None before that."""

    # -- from outside

    @property
    def depth(self) -> int:
        """Runs around this one; 0 for a run that is no child."""
        return self.publisher.sink.depth

    @property
    def is_unread(self) -> bool:
        """Whether a reader is attached that has not had the last event."""
        sink = self.publisher.sink
        return (
            not self.has_no_consumer and isinstance(sink, EventBuffer) and len(sink) > 0
        )

    def stop(self, status: PipelineTerminalStatus, reason: str | None) -> None:
        """End the run now; the first reason is kept."""
        if self.done.is_set():
            return
        if not self.is_ending:
            self.run_state.set_termination(status, reason)
        if status in REQUESTED_ENDS:
            self.end_requested = True
            if self.grace_period is not None:
                self.grace_period.start()
        if not self.is_working:
            if self.scope is not None:
                self.scope.cancel()
            return
        self.run_state.interrupt(status, reason)

    def abort(self, error: BaseException) -> None:
        """End it now because of an error that must be raised at the consumer."""
        self.crash(error)
        self.stop(PipelineTerminalStatus.FAILED, None)

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return 0.0 if self.began is None else self.loop.now() - self.began

    @property
    def quiet(self) -> float:
        """Seconds since its last event, as far as its events are kept."""
        last_at = None if self.kept_events is None else self.kept_events.last_at
        return self.age if last_at is None else max(time.time() - last_at, 0.0)

    @property
    def is_alive(self) -> bool:
        """Whether it has begun and is not over."""
        return self.began is not None and not self.done.is_set()

    def report_abort_error(self) -> None:
        """Report an error that no consumer gets: raise an interrupt, log the rest."""
        error = self.run_state.take_abort_error()
        if isinstance(error, KeyboardInterrupt | SystemExit):
            self.loop.interrupt(error)
        elif error is not None:
            _logger.error(
                "A run without a reader has failed",
                exc_info=error,
                extra={"run": self.run_state.run_id},
            )

    def crash(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        cause = error if isinstance(error, Exception) else RuntimeError(repr(error))
        self.run_state.set_abort_error(error, cause)


@frozen
class RunningInvocation:
    """One invocation at work; plain data."""

    step: str
    invocation_id: str | None
    """Its id, as in events; None while it waits for the consumer before it begins."""
    seconds: float
    """Seconds since it began."""
    streamed: int | None
    """Items that it has streamed; None if it is no stream."""


@frozen
class RunSnapshot:
    """What a run is doing right now; plain data."""

    run_id: str
    pipe: str
    """Name of its pipe."""
    fingerprint: str
    """The version of the pipe it follows: its hash."""
    tokens: dict[str, int]
    """Tokens by holder: the steps, barriers and children it waits for."""
    waiting: dict[str, tuple[str, ...]]
    """Joins that wait, and the parents they wait for."""
    running: tuple[tuple[str, float], ...]
    """Invocations at work: step and seconds."""
    buffered: int
    """Events that wait for the consumer, or that are kept for later readers."""
    dropped: int
    """Number of events that were dropped unread."""
    is_parked: bool
    """Whether its producers wait for a consumer that is behind."""
    age: float
    """Seconds since the run began."""
    resources: dict[str, str] = attrs.field(factory=dict)
    """Steps that wait for a resource to be opened, and which one."""
    quiet: float = 0.0
    """Seconds since its last event; its age when none of them is kept."""
    started_at: float = 0.0
    """When it began, in seconds since the epoch."""
    invocations: tuple[RunningInvocation, ...] = ()
    """Invocations at work, in the order of ``running``, with what is known of them."""

    @property
    def headline(self) -> str:
        """Summary of the run, such as ``running for 2.0s, at work: a, b``."""
        is_at_work = bool(self.tokens or self.running)
        what = "running for" if is_at_work else "nothing at work after"
        parts = [f"{what} {format_duration(self.age)}"]
        names = list(dict.fromkeys(escape_controls(name) for name, _ in self.running))
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            parts.append(f"at work: {', '.join(names[:5])}{more}")
        for step, parents in list(self.waiting.items())[:3]:
            parts.append(escape_controls(f"{step} waits for {', '.join(parents)}"))
        for step, resource in list(self.resources.items())[:3]:
            parts.append(escape_controls(f"{step} waits for resource {resource}"))
        if self.is_parked:
            parts.append("its consumer is behind")
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"<RunSnapshot {self.run_id[:8]} of {self.pipe!r}: {self.headline}>"

    def _repr_html_(self) -> str:
        """Return HTML for a notebook: the invocations at work, and for how long."""
        rows = [(escape_controls(n), format_duration(t)) for n, t in self.running]
        return paragraph(repr(self)) + (table(["at work", "for"], rows) if rows else "")


def _running(invocation: Invocation) -> RunningInvocation:
    count = invocation.count_streamed
    return RunningInvocation(
        step=invocation.node.name,
        invocation_id=invocation.ids.invocation,
        seconds=invocation.seconds,
        streamed=None if count is None else count(),
    )


def snapshot_of(run: Run) -> RunSnapshot:
    """Return the current state of a run."""
    run_state, sink = run.run_state, run.publisher.sink
    return RunSnapshot(
        run_id=run_state.run_id,
        pipe=run_state.plan.name,
        fingerprint=run_state.plan.fingerprint,
        tokens=dict(run_state.holders),
        waiting={join.step: join.missing for join in run_state.waiting()},
        running=tuple(
            (invocation.node.name, invocation.seconds)
            for invocation in run_state.active_invocations
        ),
        buffered=len(sink),
        dropped=sink.dropped,
        is_parked=run.publisher.is_full and not sink.is_turn_over,
        age=run.age,
        resources={
            invocation.node.name: resource
            for invocation in run_state.active_invocations
            if (resource := invocation.variables.get(awaited_resource)) is not None
        },
        quiet=run.quiet,
        started_at=time.time() - run.age,
        invocations=tuple(map(_running, run_state.active_invocations)),
    )
