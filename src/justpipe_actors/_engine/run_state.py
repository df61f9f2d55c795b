"""The state of one run that its actors share: its values, its waves, its tokens.

A run ends when its token count is zero.  Every queued message, running invocation,
barrier timer and child run holds one token, and gives it back on every path *after* its
outputs were put; so zero can only be read when nothing is left that could cause
anything.  ``holders`` says who holds them, which is also the answer to "why does it
hang".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import replace
from typing import TYPE_CHECKING

import attrs

from .._plan.failure_policy import Failure, FailureLog, TerminationCause
from .._plan.plan import Plan
from .._util.sync import OneShotEvent, do_nothing
from ..abc import WaitingJoin
from ..cancellation import CancellationToken
from ..errors import StepAborted
from ..failures import FailureKind, FailureReason
from ..outcomes import Diagnostic, PipelineTerminalStatus
from .joins import Wave
from .messages import Message, Start
from .metrics import RunMetrics
from .protocols import Publisher
from .timers import TimerHandle


if TYPE_CHECKING:
    from .actor import Actor
    from .actor_system import ActorSystem
    from .invocation import Invocation
    from .isolation import IsolatedState
    from .map_invocation import MapInvocation
    from .run_journal import RunJournal
    from .waiting import RunWaits


DIAGNOSTICS_KEPT = 1000
"""Joins a run names at most."""


@attrs.frozen(eq=False)
class ChildOutcome:
    """How a child run ended, as far as its parent must know."""

    status: PipelineTerminalStatus
    """Its status."""
    error: Exception | None
    """Its primary failure, whole."""
    step: str | None
    """Where that happened: a step of the child, ``startup``, ``shutdown``."""
    text: str | None
    """Its failure or cancellation in words."""
    suspended: bool
    """Whether it ended by ``Suspend``."""


StartChild = Callable[["Invocation", object, object], Awaitable[ChildOutcome]]
"""Runs a child pipe with a state to its end, on behalf of an invocation."""


@attrs.define(eq=False, repr=False)
class BarrierTimer:
    """A join that waits against the clock."""

    armed_at: float
    """When its first parent reported, in the loop's seconds."""
    timer: TimerHandle | None = None
    """Its timer in the actor system; None until it was started."""


@attrs.define(eq=False, repr=False)
class RunState:
    """Everything the actors know about one run."""

    run_id: str
    """The run's id."""
    plan: Plan
    """What it follows."""
    state: object
    """Its one state object."""
    context: object
    """Its context, or None."""
    token: CancellationToken
    """Its own cancellation token."""
    publisher: Publisher
    """Its way to the outside."""
    variables: Context
    """Context variables; every invocation gets a copy."""
    system: ActorSystem
    """Where its actors live."""
    start_child: StartChild
    """How a sub-pipeline begins: the one thing actors need from the room above."""
    metrics: RunMetrics = attrs.field(factory=RunMetrics)
    """Figures for FINISH."""
    log_state: bool | Callable[[object], str] = True
    """Whether, or how, the error log shows the state."""
    isolation: IsolatedState | None = None
    """Where invocations get copies of the state; None when they share it."""
    start: str | None = None
    """Where it began, when not at the roots."""
    reached: frozenset[str] | None = None
    """What can be reached from ``start``."""
    journal: RunJournal | None = None
    """What is recorded of it; None when the run is not durable."""

    tokens: int = attrs.field(default=0, init=False)
    """Zero means that the run is over."""
    actors: dict[str, Actor] = attrs.field(factory=dict, init=False)
    """The actors of its plan so far, by step."""
    idle: OneShotEvent = attrs.field(factory=OneShotEvent, init=False)
    """Set when the tokens are zero."""
    needs_attention: OneShotEvent = attrs.field(factory=OneShotEvent, init=False)
    """Set when the tokens are zero or the run is interrupted: its owner looks at it."""
    waves: dict[int, Wave] = attrs.field(factory=dict, init=False)
    """Waves with something alive in them."""
    wave_count: int = attrs.field(default=0, init=False)
    """Waves opened so far."""
    sent: int = attrs.field(default=0, init=False)
    """Messages sent so far; the last one has this number."""
    active_invocations: set[Invocation] = attrs.field(factory=set, init=False)
    """Invocations that are running."""
    maps: dict[str, MapInvocation] = attrs.field(factory=dict, init=False)
    """Maps that are running, by invocation."""
    timers: dict[tuple[str, int], BarrierTimer] = attrs.field(factory=dict, init=False)
    """Barrier timers by join and wave."""
    failures: FailureLog = attrs.field(factory=FailureLog, init=False)
    """What went wrong."""
    diagnostic_counts: dict[Diagnostic, int] = attrs.field(factory=dict, init=False)
    """Joins that did not run, and in how many passes."""
    blocking_steps: frozenset[str] = attrs.field(default=frozenset(), init=False)
    """Steps that were reported to have held the event loop."""
    halted: bool = attrs.field(default=False, init=False)
    """Nothing new is started; what runs may finish."""
    interrupted: bool = attrs.field(default=False, init=False)
    """What runs was cancelled, and what is delivered is not performed any more."""
    termination: TerminationCause | None = attrs.field(default=None, init=False)
    """Why it is ended from outside its graph."""
    abort_error: BaseException | None = attrs.field(default=None, init=False)
    """What to raise at the consumer after FINISH."""
    on_interrupt: Callable[[], None] = attrs.field(default=do_nothing, init=False)
    """Told once, when everything has been cancelled."""
    waits: RunWaits | None = attrs.field(default=None, init=False)
    """What it waits for; None before it waits for anything."""

    def acquire_token(self) -> None:
        """Hand out one token."""
        self.tokens += 1

    def release_token(self) -> None:
        """Take one token back; the last one ends the run."""
        self.tokens -= 1
        if not self.tokens:
            self.idle.set()
            self.needs_attention.set()

    @property
    def holders(self) -> dict[str, int]:
        """Tokens by who holds them: steps, and joins that wait against the clock.

        Worked out when somebody asks, because counting along costs every message.
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
        """Begin a new pass through the graph, because of one that there is."""
        self.wave_count = number = self.wave_count + 1
        started_before = (
            previous.started_so_far() if previous is not None else frozenset[str]()
        )
        wave = self.waves[number] = Wave(number, started_before)
        if self.journal is not None:
            self.journal.touch("w", number)
        return wave

    def wave_of(self, message: Message) -> Wave:
        """Return the wave of a message at work.

        A map worker's is opened here: most workers lead nowhere, and need none.
        """
        wave = self.waves.get(message.wave)
        if wave is None:
            assert isinstance(message, Start)
            wave = self.waves[message.wave] = Wave(
                message.wave, message.started_before, live_count=1
            )
            wave.start(message.step)
            if self.journal is not None:
                self.journal.touch("w", wave.number)
                self.journal.touch("s", wave.number, message.step)
        return wave

    def open_lap(
        self, previous: Wave, closing_step: str, loop: int | None = None
    ) -> Wave:
        """Begin the next lap of a loop; it keeps the wave around it alive."""
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
        """Return the joins that wait right now; none do once nothing new starts."""
        if self.halted:
            return ()
        return tuple(
            WaitingJoin(name, wave.number, gate.parents, gate.missing())
            for wave in self.waves.values()
            for name in wave.waiting()
            if (gate := wave.entries[name].gate) is not None
        )

    def add_failure(self, error: Exception, step: str | None) -> None:
        """Note a step's unhandled failure; an abort is not the step's kind of trouble."""
        kind, reason = FailureKind.STEP, FailureReason.STEP_ERROR
        if isinstance(error, StepAborted):
            kind, reason = FailureKind.INFRA, FailureReason.INTERNAL_ERROR
        self.failures.add(Failure(kind, reason, error, step))

    def add_diagnostic(self, diagnostic: Diagnostic) -> None:
        """Note a join that did not run."""
        if (
            diagnostic in self.diagnostic_counts
            or len(self.diagnostic_counts) < DIAGNOSTICS_KEPT
        ):
            self.diagnostic_counts[diagnostic] = (
                self.diagnostic_counts.get(diagnostic, 0) + 1
            )

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """What FINISH says about joins, each once."""
        return [
            replace(diagnostic, count=count)
            for diagnostic, count in self.diagnostic_counts.items()
        ]

    def halt(self) -> None:
        """Start nothing new: disarm the barriers, drop the workers that wait in line."""
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
        """Note why the run ends, unless a reason is known; return the one that counts."""
        if self.termination is None:
            at_work = {i.node.name for i in self.active_invocations}
            self.termination = TerminationCause(status, reason, tuple(sorted(at_work)))
        return self.termination

    def cancel_by_token(self, reason: str) -> None:
        """Stop as CANCELLED: a step answered the token and nobody swallowed it."""
        self.set_termination(PipelineTerminalStatus.CANCELLED, reason)
        self.halt()

    def interrupt(self, status: PipelineTerminalStatus, reason: str | None) -> None:
        """End the run now: the first reason is recorded, then everything is cancelled."""
        self.set_termination(status, reason)
        is_first = not self.interrupted
        self.halted = self.interrupted = True
        self.needs_attention.set()
        if self.journal is not None:
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
        """End the run because of something that is nobody's step: raise it at the end."""
        cause = error if isinstance(error, Exception) else _as_exception(error)
        self.set_abort_error(error, cause)
        self.interrupt(PipelineTerminalStatus.FAILED, None)

    def set_abort_error(self, error: BaseException, cause: Exception) -> None:
        """Note what to raise after FINISH, unless there is something to raise already.

        Args:
            error: what to raise.
            cause: the failure that FINISH reports for it.
        """
        if self.abort_error is None:
            self.abort_error = error
            self.failures.add(
                Failure(FailureKind.INFRA, FailureReason.INTERNAL_ERROR, cause)
            )

    def take_abort_error(self) -> BaseException | None:
        """Return what to raise after FINISH, and forget it."""
        error, self.abort_error = self.abort_error, None
        return error

    def stop_timer(self, join: str, wave: int) -> None:
        """Forget a join's timer and give its token back; nothing happens without one."""
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


def _as_exception(error: BaseException) -> Exception:
    wrapped = RuntimeError(f"{type(error).__name__} ended the run")
    wrapped.__cause__ = error
    return wrapped
