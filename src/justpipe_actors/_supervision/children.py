"""The children of one supervisor: started in order, watched, stopped in reverse.

A child's exception is data until it exceeds the restart intensity.  Then supervision
gives up and the owner raises ``RestartIntensityExceeded`` with the last error as its
cause, so a decided failure is visible in ``statistics()`` and an undecided one propagates
as an exception.  Nested supervisors need no special case: an inner supervisor that raises
is a child of the outer one that has ended.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import assert_never

import anyio
import attrs

from .._util.interrupts import enable_ki_protection
from .._util.lazy_classes import define, frozen
from .._util.sync import Wakeup
from ..errors import (
    ChildEnded,
    DefinitionError,
    RestartIntensityExceeded,
    RunRejected,
    SupervisionError,
)
from .child import Child, ChildInstance, ChildSpec, ChildState, ChildStatistics, Spawn
from .restart_policy import (
    GiveUp,
    NoRestart,
    RestartChildren,
    RestartPolicy,
    Restarts,
    backoff,
    decide_restart,
    is_restarted,
    restarts_within,
)


ENDED = (ChildState.FINISHED, ChildState.FAILED)
"""States of a child that ended without a stop request."""

_logger = logging.getLogger("justpipe_actors")


@frozen(eq=False)
class ChildOwner:
    """The parts of the owner that the children use."""

    spawn: Spawn
    """Starts a task that ends before its owner's block does."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    on_give_up: Callable[[SupervisionError], None]
    """Called once, when supervision has given up."""
    is_loop_ending: Callable[[], bool] = lambda: False
    """Tells whether the event loop ends, which cancels the monitor as any task."""


@define(eq=False, repr=False)
class ChildMonitor:
    """Monitors the children of one owner and restarts them."""

    policy: RestartPolicy
    """Decides which children are restarted."""
    jitter: Callable[[], float]
    """Returns a random number from 0 to 1 for the backoff."""
    owner: ChildOwner
    """The owner of the children."""
    children: dict[str, Child] = attrs.field(factory=dict, init=False)
    """The children, in start order."""
    failure: SupervisionError | None = attrs.field(default=None, init=False)
    """Why supervision gave up."""
    restarts: Restarts = attrs.field(default=(), init=False)
    """Restarts within the period as of the last decision."""
    is_draining: bool = attrs.field(default=False, init=False)
    """Whether a child that failed with ``RunRejected`` stays down: the owner drains."""
    _is_started: bool = attrs.field(default=False, init=False)
    _ended: deque[tuple[Child, ChildInstance]] = attrs.field(factory=deque, init=False)
    _wakeup: Wakeup = attrs.field(factory=Wakeup, init=False)
    _scope: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True), init=False
    )
    _stopped: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def add_child(self, spec: ChildSpec) -> None:
        """Append a child; it is started soon if the monitor is running."""
        self.children[spec.name] = Child(spec, self.owner.now, self._queue_end)
        self._wakeup.notify()

    def _queue_end(self, child: Child, instance: ChildInstance) -> None:
        self._ended.append((child, instance))
        self._wakeup.notify()

    def start(self) -> None:
        """Start the monitor in a task of the owner."""
        self._is_started = True
        self.owner.spawn(self._run)

    async def aclose(self) -> None:
        """Stop the monitor; the caller shields this."""
        if self._is_started:
            self._scope.cancel()
            await self._stopped.wait()

    @enable_ki_protection
    async def _run(self) -> None:
        try:
            with self._scope:
                while self.failure is None:
                    await self._handle_next()
        except anyio.get_cancelled_exc_class() as cancelled:  # noqa: ASYNC103
            # The scope is shielded and catches its own cancellation, so the task was
            # cancelled natively. If the loop ends, the owner ends the children.
            # Otherwise the end of a child would go unnoticed, so supervision fails.
            if self.owner.is_loop_ending():
                return  # noqa: ASYNC104 - the loop cancels every task and waits for it
            failure = ChildEnded("supervision", "was cancelled from outside")
            failure.__cause__ = cancelled
            self._fail(failure)
        finally:
            self._stopped.set()

    async def _handle_next(self) -> None:
        if self._ended:
            child, instance = self._ended.popleft()
            if instance is child.instance and child.state in ENDED:
                await self._handle_end(child, instance.error)
        elif (child_due := self._next_due()) is not None:
            await self._start(child_due)
        else:
            await self._wait()

    async def _wait(self) -> None:
        """Wait until a child ends, is added, or is due."""
        now = self.owner.now()
        due_at = min(
            (c.due_at for c in self.children.values() if c.state is ChildState.WAITING),
            default=inf,
        )
        with anyio.move_on_after(due_at - now):
            await self._wakeup.wait()

    def _next_due(self) -> Child | None:
        now = self.owner.now()
        for child in self.children.values():
            if child.state is ChildState.NEW:
                return child
            if child.state is ChildState.WAITING and child.due_at <= now:
                return child
        return None

    async def _start(self, child: Child) -> None:
        failure = await child.start(self.owner.spawn)
        if failure is not None:
            await self._handle_end(child, failure)

    # -- restart decisions

    async def _handle_end(self, child: Child, error: Exception | None) -> None:
        """Carry out the restart decision for a child that has ended."""
        if self.is_draining and _is_rejection(error):
            _logger.info("Service '%s' ended: no new runs are taken", child.name)
            return
        decision = decide_restart(
            self.policy,
            [child.info() for child in self.children.values()],
            child.name,
            normally=error is None,
            restarts=self.restarts,
            now=self.owner.now(),
        )
        match decision:
            case NoRestart():
                _log_end(child, error, "")
                if child.spec.restart == "temporary":
                    del self.children[child.name]
            case RestartChildren():
                await self._restart_children(child, error, decision)
            case GiveUp():
                _log_end(child, error, "")
                self._give_up(child, error, decision)
            case _:
                assert_never(decision)

    async def _restart_children(
        self, ended: Child, error: Exception | None, decision: RestartChildren
    ) -> None:
        self.restarts = decision.restarts
        delay = self._restart_delay(ended)
        _log_end(ended, error, f"; it is started again in {delay:.1f} s")
        due_at = self.owner.now() + delay
        for name in decision.stop:
            await self.children[name].stop()
        for name in decision.start:
            self.children[name].schedule_restart(due_at)

    def _restart_delay(self, ended: Child) -> float:
        """Return the backoff in seconds; consecutive short instances lengthen it."""
        policy = self.policy
        ended.short_instances = (
            1 if ended.uptime >= policy.period else ended.short_instances + 1
        )
        return backoff(
            ended.short_instances,
            self.jitter(),
            min_delay=policy.min_delay,
            max_delay=policy.delay_limit,
        )

    def _give_up(self, child: Child, error: Exception | None, decision: GiveUp) -> None:
        failure = RestartIntensityExceeded(
            child.name, decision.restarts, self.policy.period
        )
        if error is None:
            error = ChildEnded(child.name, "returned")
        failure.__cause__ = error
        self._fail(failure)

    def _fail(self, failure: SupervisionError) -> None:
        self.failure = failure
        _logger.critical("%s", failure, exc_info=failure)
        self.owner.on_give_up(failure)


def _log_end(child: Child, error: Exception | None, consequence: str) -> None:
    """Log that a child has ended by itself, and what follows."""
    normally = error is None
    level = logging.ERROR
    if normally:
        expected = not is_restarted(child.spec.restart, normally=True)
        level = logging.INFO if expected else logging.WARNING
    _logger.log(
        level,
        "Service '%s' %s%s",
        child.name,
        "returned" if normally else "failed",
        consequence,
        exc_info=error,
        extra={"child": child.name, "incarnation": child.incarnation},
    )


def _is_rejection(error: Exception | None) -> bool:
    """Tell whether rejected runs are the only reason why a service failed."""
    if isinstance(error, ExceptionGroup):
        return error.split(RunRejected)[1] is None
    return isinstance(error, RunRejected)


@define(eq=False, repr=False)
class Children:
    """The children of one supervisor, in start order."""

    policy: RestartPolicy
    """Decides which children are restarted."""
    jitter: Callable[[], float] = random.random
    """Returns a random number from 0 to 1 for the backoff."""
    _specs: list[ChildSpec] = attrs.field(factory=list, init=False)
    _monitor: ChildMonitor | None = attrs.field(default=None, init=False)

    @property
    def has_any(self) -> bool:
        """Whether the supervisor has children."""
        return bool(self._specs)

    @property
    def failure(self) -> SupervisionError | None:
        """Why supervision gave up."""
        return self._monitor.failure if self._monitor is not None else None

    def __iter__(self) -> Iterator[Child]:
        children = self._monitor.children if self._monitor is not None else {}
        return iter(tuple(children.values()))

    def add(self, spec: ChildSpec) -> None:
        """Append a child; it is started soon if the supervisor is open.

        Raises:
            DefinitionError: the name is taken.
        """
        if any(child.name == spec.name for child in (*self, *self._specs)):
            msg = (
                f"There is a service '{spec.name}' already; give this one another name."
            )
            raise DefinitionError(msg)
        if self._monitor is None:
            self._specs.append(spec)
        else:
            self._monitor.add_child(spec)

    async def open(self, owner: ChildOwner) -> None:
        """Start all children in order, each when the previous is ready; then monitor.

        Raises:
            ChildStartFailed: a child did not become ready; the children before it were stopped.
        """
        monitor = self._monitor = ChildMonitor(self.policy, self.jitter, owner)
        for spec in self._specs:
            monitor.add_child(spec)
        self._specs.clear()
        try:
            await self._start_all(owner)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._stop_all()
            raise
        monitor.start()

    async def _start_all(self, owner: ChildOwner) -> None:
        for child in self:
            failure = await child.start(owner.spawn)
            if failure is not None:
                raise failure

    async def aclose(self) -> None:
        """Stop the monitor, then all children in reverse; the caller shields this."""
        if self._monitor is not None:
            await self._monitor.aclose()
        await self._stop_all()

    async def _stop_all(self) -> None:
        for child in reversed(tuple(self)):
            await child.stop()

    def start_draining(self) -> None:
        """Stop restarting children that fail because new runs are rejected.

        A poller would fail again after a restart, and a drain must not make supervision
        give up.  A child that fails for another reason is restarted as before, because
        the remaining runs may need it.
        """
        if self._monitor is not None:
            self._monitor.is_draining = True

    def statistics(self) -> tuple[ChildStatistics, ...]:
        """Return the statistics of every child, in start order."""
        if self._monitor is None:
            return ()
        now = self._monitor.owner.now()
        counted = restarts_within(self._monitor.restarts, self.policy.period, now)
        names = [name for _, name in counted]
        intensity = self.policy.intensity
        left = None if intensity is None else max(intensity - len(names), 0)
        return tuple(child.statistics(names.count(child.name), left) for child in self)
