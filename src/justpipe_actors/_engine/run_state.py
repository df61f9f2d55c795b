"""The state of one run that its actors share: values, waves and tokens.

A run ends when its token count is zero.  Every queued message, running invocation,
barrier timer and child run holds one token, and releases it on every path *after* its
outputs were sent.  A count of zero therefore means that no remaining work can cause more
work.  ``holders`` lists the holders of tokens, which shows why a run does not end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import attrs

from .. import _engine
from .._plan.failure_policy import Failure, FailureLog, TerminationCause
from .._plan.plan import Plan
from .._publishing.event_publisher import EventPublisher
from .._publishing.run_metrics import RunMetrics
from .._util.lazy_classes import define, frozen
from .._util.sync import OneShotEvent, do_nothing
from ..abc import WaitingJoin
from ..cancellation import CancellationToken
from ..errors import StepAborted
from ..failures import FailureKind, FailureReason
from ..outcomes import Diagnostic, PipelineTerminalStatus
from .joins import NO_STEPS, Wave
from .messages import Message, Start
from .timers import TimerHandle


if TYPE_CHECKING:
    from .actor import Actor
    from .actor_system import ActorSystem
    from .invocation import Invocation
    from .isolation import IsolatedState
    from .map_invocation import MapInvocation
    from .run_journal import RunJournal
    from .run_place import RunPlace
    from .run_waits import RunWaits
    from .step_waits import StepWaits


DIAGNOSTICS_KEPT = 1000
"""Maximum number of joins that a run's diagnostics list."""


@frozen(eq=False)
class ChildOutcome:
    """The outcome of a child run, as its parent needs it."""

    status: PipelineTerminalStatus
    error: Exception | None
    """The exception of its primary failure."""
    step: str | None
    """The part that failed: a step of the child, ``startup`` or ``shutdown``."""
    text: str | None
    """Description of its failure or cancellation."""
    suspended: bool
    """Whether it ended by ``Suspend``."""


enclosing_runs: ContextVar[tuple[str, ...]] = ContextVar(
    "justpipe_actors_inside_runs", default=()
)
"""Ids of the runs that the current code belongs to, parents included."""


StartChild = Callable[["Invocation", object, object], Awaitable[ChildOutcome]]
"""Runs a child pipe with a state to its end, on behalf of an invocation."""


@define(eq=False, repr=False)
class BarrierTimer:
    """The timeout of a waiting join."""

    armed_at: float
    """When the first parent reported, in the loop's seconds."""
    timer: TimerHandle | None = None
    """Its timer in the actor system; None until it is started."""


_NO_ENTRIES: dict[Any, Any] = {}
"""Shared table of all runs that have no entries yet; it stays empty.

perf: a run that waits has no maps, timers or diagnostics (scale, idle run).
"""


@define(eq=False, repr=False)
class RunState:
    """The shared state of one run."""

    run_id: str
    plan: Plan
    """Its compiled graph."""
    state: object
    """The user's state object."""
    context: object
    """The user's context, or None."""
    token: CancellationToken
    """Its own cancellation token."""
    publisher: EventPublisher
    """Publishes its events."""
    variables: Context
    """Context variables; every invocation gets a copy."""
    system: ActorSystem
    """The actor system that runs its actors."""
    start_child: StartChild
    """Starts a sub-pipeline; injected, because it belongs to the run layer."""
    metrics: RunMetrics = attrs.field(factory=RunMetrics)
    """Metrics for the FINISH event."""
    log_state: bool | Callable[[object], str] = True
    """Whether, or how, the error log shows the state."""
    isolation: IsolatedState | None = None
    """Makes state copies for invocations; None if they share the state."""
    start: str | None = None
    """The step it started at; None for the roots."""
    reached: frozenset[str] | None = None
    """The steps that are reachable from ``start``."""
    journal: RunJournal | None = None
    """Its journal; None if the run is not durable."""

    tokens: int = attrs.field(default=0, init=False)
    """Token count; the run ends at zero."""
    actors: dict[str, Actor] = attrs.field(factory=dict, init=False)
    """The actors created so far, by step."""
    idle: OneShotEvent = attrs.field(factory=OneShotEvent, init=False)
    """Set when the token count is zero."""
    needs_attention: OneShotEvent = attrs.field(factory=OneShotEvent, init=False)
    """Set when the token count is zero or the run is interrupted; wakes the owner."""
    waves: dict[int, Wave] = attrs.field(factory=dict, init=False)
    """Open waves, by number."""
    wave_count: int = attrs.field(default=0, init=False)
    """Waves opened so far."""
    sent: int = attrs.field(default=0, init=False)
    """Messages sent so far, which is the number of the last one."""
    active_invocations: set[Invocation] = attrs.field(factory=set, init=False)
    """Invocations that are running."""
    maps: dict[str, MapInvocation] = attrs.field(default=_NO_ENTRIES, init=False)
    """Running maps, by invocation id."""
    timers: dict[tuple[str, int], BarrierTimer] = attrs.field(
        default=_NO_ENTRIES, init=False
    )
    """Barrier timers by join and wave."""
    failures: FailureLog = attrs.field(factory=FailureLog, init=False)
    diagnostic_counts: dict[Diagnostic, int] = attrs.field(
        default=_NO_ENTRIES, init=False
    )
    """Joins that did not run, with the number of passes."""
    blocking_steps: frozenset[str] = attrs.field(default=NO_STEPS, init=False)
    """Steps that were reported for blocking the event loop."""
    halted: bool = attrs.field(default=False, init=False)
    """Whether only running invocations may finish and no new one starts."""
    interrupted: bool = attrs.field(default=False, init=False)
    """Whether invocations were cancelled and delivered messages are dropped."""
    termination: TerminationCause | None = attrs.field(default=None, init=False)
    """Why it ends for a reason outside its graph; None if it does not."""
    abort_error: BaseException | None = attrs.field(default=None, init=False)
    """The error to raise at the consumer after FINISH."""
    on_interrupt: Callable[[], None] = attrs.field(default=do_nothing, init=False)
    """Called once, after all invocations were cancelled."""
    place: RunPlace | None = attrs.field(default=None, init=False)
    """Its place in a supervisor with a limit of runs; None if it needs none."""
    waits: RunWaits | None = attrs.field(default=None, init=False)
    """Its waits; None before the first one."""

    def acquire_token(self) -> None:
        """Acquire one token."""
        self.tokens += 1

    def release_token(self) -> None:
        """Release one token; releasing the last one ends the run."""
        self.tokens -= 1
        if not self.tokens:
            self.wake_owner()

    def wake_owner(self) -> None:
        """Wake the owner of the run: no token is left."""
        self.idle.set()
        self.needs_attention.set()

    @property
    def holders(self) -> dict[str, int]:
        """Return token counts by holder: steps, and joins with a running timer.

        Computed on request, because counting on the fly would cost every message.
        """
        if not self.tokens:
            return {}
        found = self.system.queued_messages(self)
        for invocation in self.active_invocations:
            name = invocation.node.name
            found[name] = found.get(name, 0) + 1
        for join, _wave in self.timers:
            name = f"{join} (barrier)"
            found[name] = found.get(name, 0) + 1
        if self.journal is not None and (held := self.journal.stream.held):
            found["journal"] = held
        if self.waits is not None:
            for wait in self.waits.between:
                name = f"{wait.step} (ask)"
                found[name] = found.get(name, 0) + 1
        return found

    def open_wave(self, previous: Wave | None = None) -> Wave:
        """Open a wave, a new pass through the graph, caused by ``previous``."""
        self.wave_count = number = self.wave_count + 1
        started_before = NO_STEPS if previous is None else previous.started_so_far()
        wave = self.waves[number] = Wave(number, started_before)
        if self.journal is not None:
            self.journal.begin("w", number)
        return wave

    def wave_of(self, message: Message) -> Wave:
        """Return the wave of a message in flight.

        A map worker's wave is opened here, because most workers have no successors and
        need none.
        """
        wave = self.waves.get(message.wave)
        if wave is None:
            assert isinstance(message, Start)
            wave = self.waves[message.wave] = Wave(
                message.wave, message.started_before, live_count=1
            )
            wave.start(message.step)
            if self.journal is not None:
                self.journal.begin("w", wave.number)
                self.journal.begin("s", wave.number, message.step)
        return wave

    def open_lap(
        self, previous: Wave, closing_step: str, loop: int | None = None
    ) -> Wave:
        """Open the next lap of a loop; it keeps its enclosing wave open."""
        parent_wave = wave = previous
        while wave.parent_wave is not None:
            if wave.closing_step == closing_step:
                parent_wave = wave.parent_wave
            wave = wave.parent_wave
        parent_wave.live_count += 1
        lap = self.open_wave(previous)
        lap.parent_wave, lap.closing_step, lap.loop = parent_wave, closing_step, loop
        return lap

    def waiting(self) -> tuple[WaitingJoin, ...]:
        """Return the waiting joins; empty after ``halt``."""
        if self.halted:
            return ()
        return tuple(
            WaitingJoin(name, wave.number, gate.parents, gate.missing())
            for wave in self.waves.values()
            for name in wave.waiting()
            if (gate := wave.entries[name].gate) is not None
        )

    def add_failure(self, error: Exception, step: str | None) -> None:
        """Record a step's unhandled failure; an abort counts as INFRA."""
        kind, reason = FailureKind.STEP, FailureReason.STEP_ERROR
        if isinstance(error, StepAborted):
            kind, reason = FailureKind.INFRA, FailureReason.INTERNAL_ERROR
        self.failures.add(Failure(kind, reason, error, step))

    def add_diagnostic(self, diagnostic: Diagnostic) -> None:
        """Record a join that did not run."""
        count = self.diagnostic_counts.get(diagnostic, 0)
        if count or len(self.diagnostic_counts) < DIAGNOSTICS_KEPT:
            self.count_diagnostic(diagnostic, count + 1)

    def count_diagnostic(self, diagnostic: Diagnostic, count: int) -> None:
        """Note how often the same join did not run."""
        if self.diagnostic_counts is _NO_ENTRIES:
            self.diagnostic_counts = {}
        self.diagnostic_counts[diagnostic] = count

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Return the diagnostics of joins for FINISH, without duplicates."""
        return [
            replace(diagnostic, count=count)
            for diagnostic, count in self.diagnostic_counts.items()
        ]

    def halt(self) -> None:
        """Start no new work: stop barrier timers, drop queued map workers."""
        if self.halted:
            return
        self.halted = True
        if self.journal is not None:
            self.journal.stream.request()
        self._disarm()
        if self.waits is not None:
            self.waits.withdraw()
        self.system.drop_messages(self, workers_only=True)
        for mapping in list(self.maps.values()):
            mapping.wakeup.notify()

    def set_termination(
        self, status: PipelineTerminalStatus, reason: str | None
    ) -> TerminationCause:
        """Record why the run ends, unless it is recorded; return the recorded cause."""
        if self.termination is None:
            at_work = {i.node.name for i in self.active_invocations}
            self.termination = TerminationCause(status, reason, tuple(sorted(at_work)))
        return self.termination

    def cancel_by_token(self, reason: str) -> None:
        """End as CANCELLED, after a step raised the token's cancellation."""
        self.set_termination(PipelineTerminalStatus.CANCELLED, reason)
        if self.journal is not None:
            self.journal.freeze()
        self.halt()

    def interrupt(self, status: PipelineTerminalStatus, reason: str | None) -> None:
        """End the run now: record the first reason, then cancel all invocations."""
        self.set_termination(status, reason)
        is_first = not self.interrupted
        self.halted = self.interrupted = True
        self.needs_attention.set()
        if self.journal is not None:
            self.journal.freeze()
            self.journal.stream.request()
        self._disarm()
        if self.waits is not None:
            self.waits.withdraw()
        self.system.drop_messages(self)
        for invocation in list(self.active_invocations):
            invocation.cancel()
        if is_first:
            self.on_interrupt()

    def crash(self, error: BaseException) -> None:
        """End the run for an error outside its steps, which is raised after FINISH."""
        cause = error if isinstance(error, Exception) else _as_exception(error)
        self.set_abort_error(error, cause)
        self.interrupt(PipelineTerminalStatus.FAILED, None)

    def set_abort_error(self, error: BaseException, cause: Exception) -> None:
        """Record the error to raise after FINISH, unless one is recorded.

        Args:
            error: the error to raise.
            cause: the failure that FINISH reports for it.
        """
        if self.abort_error is None:
            self.abort_error = error
            self.failures.add(
                Failure(FailureKind.INFRA, FailureReason.INTERNAL_ERROR, cause)
            )

    def take_abort_error(self) -> BaseException | None:
        """Return the error to raise after FINISH, and clear it."""
        error, self.abort_error = self.abort_error, None
        return error

    def add_map(self, invocation_id: str, mapping: MapInvocation) -> None:
        """Note that a map is at work."""
        if self.maps is _NO_ENTRIES:
            self.maps = {}
        self.maps[invocation_id] = mapping

    def add_timer(self, join: str, wave: int, timer: BarrierTimer) -> None:
        """Note the timer of a join."""
        if self.timers is _NO_ENTRIES:
            self.timers = {}
        self.timers[join, wave] = timer

    def stop_timer(self, join: str, wave: int) -> None:
        """Stop a join's timer and release its token; without a timer, do nothing."""
        timer = self.timers.pop((join, wave), None)
        if timer is None:
            return
        if timer.timer is not None:
            self.system.timers.stop(timer.timer)
        if self.journal is not None:
            self.journal.disarmed(join, wave)
        self.metrics.count_task_end()
        self.release_token()

    def _disarm(self) -> None:
        for join, wave in list(self.timers):
            self.stop_timer(join, wave)


def waits_of(run_state: RunState) -> RunWaits:
    """Return the waits of a run, created on first use."""
    if run_state.waits is None:
        run_state.waits = _engine.run_waits.RunWaits(run_state)
    return run_state.waits


def step_waits_of(run_state: RunState) -> StepWaits:
    """Return the implementation of ``ask`` and its like for the steps of a run."""
    return _engine.step_waits.StepWaits(waits_of(run_state))


def _as_exception(error: BaseException) -> Exception:
    wrapped = RuntimeError(f"{type(error).__name__} ended the run")
    wrapped.__cause__ = error
    return wrapped
