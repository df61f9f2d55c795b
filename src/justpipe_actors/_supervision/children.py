"""The children of one supervisor: started in order, watched, stopped in reverse.

A child's exception is data until it has happened too often.  Then supervision gives up
and the owner raises ``RestartIntensityExceeded`` into *its* owner, with the cause: what
was decided here is visible as data, and what could not be decided here goes up as every
exception does.  Nesting needs nothing else, because an inner supervisor that raises is
a child of the outer one that has ended.
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
from trio.lowlevel import enable_ki_protection

from .._util.sync import Wakeup
from ..errors import (
    ChildEnded,
    DefinitionError,
    RestartIntensityExceeded,
    RunRejected,
    SupervisionError,
)
from .child import Child, ChildSpec, ChildState, ChildStatistics, Life, Spawn
from .restart_policy import (
    GiveUp,
    Leave,
    Policy,
    Restarts,
    Revive,
    backoff,
    comes_back,
    decide,
    recent,
)


ENDED = (ChildState.FINISHED, ChildState.FAILED)
"""States of a child that ended by itself and was not told to."""

_logger = logging.getLogger("justpipe_actors")


@attrs.frozen(eq=False)
class Owner:
    """Who the children belong to, as far as they must know."""

    spawn: Spawn
    """Starts a task that ends before its owner's block does."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    on_give_up: Callable[[SupervisionError], None]
    """Hears, once, that supervision has given up."""


@attrs.define(eq=False, repr=False)
class Watch:
    """Watches the children of one owner."""

    policy: Policy
    """How ends are judged."""
    draw: Callable[[], float]
    """A number from 0 to 1 for every wait."""
    owner: Owner
    """Who the children belong to."""
    family: dict[str, Child] = attrs.field(factory=dict, init=False)
    """The children, in start order."""
    failure: SupervisionError | None = attrs.field(default=None, init=False)
    """Why supervision gave up."""
    restarts: Restarts = attrs.field(default=(), init=False)
    """Those that were decided and still counted then."""
    is_winding_down: bool = attrs.field(default=False, init=False)
    """Whether nobody is restarted who failed because no new runs are taken."""
    _is_begun: bool = attrs.field(default=False, init=False)
    _ended: deque[tuple[Child, Life]] = attrs.field(factory=deque, init=False)
    _wakeup: Wakeup = attrs.field(factory=Wakeup, init=False)
    _scope: anyio.CancelScope = attrs.field(
        factory=lambda: anyio.CancelScope(shield=True), init=False
    )
    _over: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def adopt(self, spec: ChildSpec) -> None:
        """Take a child behind the others; once the watch has begun, it is started soon."""
        self.family[spec.name] = Child(spec, self.owner.now, self._note_end)
        self._wakeup.notify()

    def _note_end(self, child: Child, life: Life) -> None:
        self._ended.append((child, life))
        self._wakeup.notify()

    def begin(self) -> None:
        """Watch from now on, in a task of the owner's."""
        self._is_begun = True
        self.owner.spawn(self._watch)

    async def end(self) -> None:
        """Watch no more; the caller shields this."""
        if self._is_begun:
            self._scope.cancel()
            await self._over.wait()

    @enable_ki_protection
    async def _watch(self) -> None:
        try:
            with self._scope:
                while self.failure is None:
                    await self._take_turn()
        except anyio.get_cancelled_exc_class() as cancelled:  # noqa: ASYNC103
            # The scope is shielded and catches its own, so somebody killed the task.
            # Nobody would notice an end any more: that is not to pass in silence.
            killed = ChildEnded("supervision", "was cancelled from outside")
            killed.__cause__ = cancelled
            self._fail(killed)  # noqa: ASYNC104
        finally:
            self._over.set()

    async def _take_turn(self) -> None:
        if self._ended:
            child, life = self._ended.popleft()
            if life is child.life and child.state in ENDED:
                await self._judge(child, life.error)
        elif (due := self._next_due()) is not None:
            await self._start(due)
        else:
            await self._wait()

    async def _wait(self) -> None:
        """Wait until a child ends, is added, or is due."""
        now = self.owner.now()
        due = min(
            (c.due for c in self.family.values() if c.state is ChildState.WAITING),
            default=inf,
        )
        with anyio.move_on_after(due - now):
            await self._wakeup.wait()

    def _next_due(self) -> Child | None:
        now = self.owner.now()
        for child in self.family.values():
            if child.state is ChildState.NEW:
                return child
            if child.state is ChildState.WAITING and child.due <= now:
                return child
        return None

    async def _start(self, child: Child) -> None:
        failure = await child.start(self.owner.spawn)
        if failure is not None:
            await self._judge(child, failure)

    # -- judging

    async def _judge(self, child: Child, error: Exception | None) -> None:
        """Carry out what follows from the end of a child."""
        if self.is_winding_down and _is_rejection(error):
            _logger.info("'%s' ended: no new runs are taken", child.name)
            return
        self._log_end(child, error)
        verdict = decide(
            self.policy,
            [one.member() for one in self.family.values()],
            child.name,
            normally=error is None,
            restarts=self.restarts,
            now=self.owner.now(),
        )
        match verdict:
            case Leave():
                if child.spec.restart == "temporary":
                    del self.family[child.name]
            case Revive():
                await self._revive(child, verdict)
            case GiveUp():
                self._give_up(child, error, verdict)
            case _:
                assert_never(verdict)

    async def _revive(self, ended: Child, verdict: Revive) -> None:
        self.restarts = verdict.restarts
        due = self.owner.now() + self._wait_of(ended)
        for name in verdict.stop:
            await self.family[name].stop()
        for name in verdict.start:
            self.family[name].wait_until(due)

    def _wait_of(self, ended: Child) -> float:
        """Return the wait before a restart: longer for each short life in a row."""
        policy = self.policy
        ended.streak = 1 if ended.lived >= policy.period else ended.streak + 1
        return backoff(
            ended.streak, self.draw(), shortest=policy.shortest, longest=policy.cap
        )

    def _give_up(self, child: Child, error: Exception | None, verdict: GiveUp) -> None:
        failure = RestartIntensityExceeded(
            child.name, verdict.restarts, self.policy.period
        )
        failure.__cause__ = error or ChildEnded(child.name, "returned")
        self._fail(failure)

    def _fail(self, failure: SupervisionError) -> None:
        self.failure = failure
        _logger.critical("%s", failure, exc_info=failure)
        self.owner.on_give_up(failure)

    def _log_end(self, child: Child, error: Exception | None) -> None:
        normally = error is None
        level = logging.ERROR
        if normally:
            expected = not comes_back(child.spec.restart, normally=True)
            level = logging.INFO if expected else logging.WARNING
        _logger.log(
            level,
            "'%s' %s",
            child.name,
            "returned" if normally else "failed",
            exc_info=error,
            extra={"child": child.name, "incarnation": child.incarnation},
        )


def _is_rejection(error: Exception | None) -> bool:
    """Tell whether a service failed because its runs were rejected, and of nothing else."""
    if isinstance(error, ExceptionGroup):
        return error.split(RunRejected)[1] is None
    return isinstance(error, RunRejected)


@attrs.define(eq=False, repr=False)
class Children:
    """The children of one supervisor, in start order."""

    policy: Policy
    """How ends are judged."""
    draw: Callable[[], float] = random.random
    """A number from 0 to 1 for every wait."""
    _specs: list[ChildSpec] = attrs.field(factory=list, init=False)
    _watch: Watch | None = attrs.field(default=None, init=False)

    @property
    def failure(self) -> SupervisionError | None:
        """Why supervision gave up."""
        return self._watch.failure if self._watch is not None else None

    def __iter__(self) -> Iterator[Child]:
        family = self._watch.family if self._watch is not None else {}
        return iter(tuple(family.values()))

    def add(self, spec: ChildSpec) -> None:
        """Add a child behind the others; while open, it is started soon.

        Raises:
            DefinitionError: the name is taken.
        """
        if any(one.name == spec.name for one in (*self, *self._specs)):
            msg = (
                f"There is a service '{spec.name}' already; give this one another name."
            )
            raise DefinitionError(msg)
        if self._watch is None:
            self._specs.append(spec)
        else:
            self._watch.adopt(spec)

    async def open(self, owner: Owner) -> None:
        """Start all children in order, each when the one before is ready; then watch.

        Raises:
            ChildStartFailed: one did not get ready; those before it are stopped again.
        """
        watch = self._watch = Watch(self.policy, self.draw, owner)
        for spec in self._specs:
            watch.adopt(spec)
        self._specs.clear()
        try:
            await self._start_all(owner)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._stop_all()
            raise
        watch.begin()

    async def _start_all(self, owner: Owner) -> None:
        for child in self:
            failure = await child.start(owner.spawn)
            if failure is not None:
                raise failure

    async def aclose(self) -> None:
        """Stop watching, then stop all children in reverse; the caller shields this."""
        if self._watch is not None:
            await self._watch.end()
        await self._stop_all()

    async def _stop_all(self) -> None:
        for child in reversed(tuple(self)):
            await child.stop()

    def wind_down(self) -> None:
        """Restart nobody any more who failed because no new runs are taken.

        A poller would fail again when it is restarted, and while a supervisor drains
        that is no reason to give up.  Who fails of something else is needed until the
        last run has ended, and judged as ever.
        """
        if self._watch is not None:
            self._watch.is_winding_down = True

    def statistics(self) -> tuple[ChildStatistics, ...]:
        """Return how every child is doing, in start order."""
        if self._watch is None:
            return ()
        now = self._watch.owner.now()
        counted = recent(self._watch.restarts, self.policy.period, now)
        names = [name for _, name in counted]
        return tuple(child.statistics(names.count(child.name)) for child in self)
