"""The dispatcher of an actor system: a few tasks process the messages of all actors.

An actor is an inbox and a limit on its concurrent invocations; it has no task of its
own.  The *dispatcher tasks* belong to the actor system, and each serves every actor.
There are four rules:

*   An actor with a message and a free slot is in the ready queue.
*   A dispatcher task takes one message of the first actor in the queue; the actor goes to
    the end of the queue if it has more.  So actors take turns, and in an inbox so do runs.
*   A task that leaves an actor in the queue wakes or starts one more task, and not a
    second one before the first has begun.  So one task processes a burst of a thousand
    messages if their functions never wait.
*   At the end of its time slice a task leaves the queue to the task that it woke, and
    waits.  So two tasks in turn serve a queue that never becomes empty.  If both went
    on, each slice would add a task, and all other tasks of the loop would wait for them.

A task that commits an invocation looks at the queue itself afterwards, so what the commit
puts into inboxes wakes no other task (``suppress_wakeup``).  A chain of steps that do not
wait therefore runs in one task, at the cost of a function call per step and not of a task.

Each dispatcher task has a cancel scope and lends it to the invocation that it executes.
A scope that was cancelled is not used again.  So an invocation can be cancelled alone,
and a scope is opened once per task and not once per invocation.

Rejected: a task group and tasks for each actor (starting a task for the first message of
every step cost more than all the rest), and a scope per invocation (3 to 7 microseconds
each, for a cancellation that is rare).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any

import anyio
import attrs
from anyio.lowlevel import checkpoint

from .._util import failpoints
from .._util.failpoints import Seam
from .._util.interrupts import enable_ki_protection
from .._util.lazy_classes import define, frozen
from .._util.sync import LoopEventFactory, Wakeup
from . import routing
from .execution import execute, execute_expiry
from .messages import Expire, Message, Start
from .run_state import RunState


if TYPE_CHECKING:
    from .actor import Actor


_logger = logging.getLogger("justpipe_actors")

IDLE_TASKS = 64
"""Tasks that may wait for work; a further one ends instead."""

TIME_SLICE = 0.001
"""Seconds that a task works before it yields to other tasks of the loop."""

MESSAGES_PER_SLICE = 256
"""Messages or jobs after which the slice ends too: a test's clock may stand still."""

Spawn = Callable[[Callable[..., Coroutine[Any, Any, object]]], None]

Job = Callable[[], Awaitable[object]]

_NO_JOBS: deque[Job] = deque(maxlen=0)
"""Shared queue of dispatchers without jobs, such as a single run's; it stays empty."""


@frozen
class DispatcherStatistics:
    """What the tasks of a dispatcher are doing right now."""

    working: int
    """Tasks that are working."""
    idle: int
    """Tasks that wait for work."""
    ready: int
    """Actors in the ready queue."""
    restarts: int
    """Tasks that failed or were cancelled natively between two messages."""


@define(eq=False, repr=False)
class Dispatcher:
    """The dispatcher of one actor system."""

    spawn: Spawn
    """Starts a task of the actor system."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    absorb_native_cancel: Callable[[], bool]
    """Whether the current task was killed natively and can go on; asking forgets it."""
    new_loop_event: LoopEventFactory = anyio.Event
    """Makes the signals that dispatcher tasks wait for."""
    new_scope: Callable[[], anyio.CancelScope] = anyio.CancelScope
    """Makes the cancel scopes that invocations are interrupted by."""
    suppress_wakeup: bool = attrs.field(default=False, init=False)
    """Whether a dispatcher task is about to be free: then no other one is woken.

    perf: a task per step costs five times the step (``nox -s bench``, chain).
    """
    _ready: deque[Actor] = attrs.field(factory=deque, init=False)
    _jobs: deque[Job] = attrs.field(default=_NO_JOBS, init=False)
    _idle: list[Wakeup] = attrs.field(factory=list, init=False)
    _is_waking: bool = attrs.field(default=False, init=False)
    _is_closing: bool = attrs.field(default=False, init=False)
    _working: int = attrs.field(default=0, init=False)
    _restarts: int = attrs.field(default=0, init=False)

    def statistics(self) -> DispatcherStatistics:
        """Return the current figures of the tasks."""
        return DispatcherStatistics(
            self._working, len(self._idle), len(self._ready), self._restarts
        )

    def enqueue(self, actor: Actor) -> None:
        """Put an actor into the ready queue: it has a message, and a slot for it."""
        self._ready.append(actor)
        if not self.suppress_wakeup and not self._is_waking:
            self._wake_or_spawn()

    def requeue(self, actor: Actor) -> None:
        """Put an actor at the end of the ready queue again: it has more."""
        self._ready.append(actor)

    def start_job(self, job: Job) -> None:
        """Run a job that is no message in a dispatcher task."""
        if self._jobs is _NO_JOBS:
            self._jobs = deque()
        self._jobs.append(job)
        try:
            if not self._is_waking:
                self._wake_or_spawn()
        except BaseException:
            self._jobs.remove(job)
            raise

    def release_idle_tasks(self) -> None:
        """End idle tasks, now and whenever a task becomes idle."""
        self._is_closing = True
        while self._idle:
            self._idle.pop().notify()

    def _wake_or_spawn(self) -> None:
        self._is_waking = True  # first: on some loops a task starts inside ``spawn``
        if self._idle:
            self._idle.pop().notify()
            return
        try:
            self.spawn(self._run_task)
        except BaseException:
            self._is_waking = False
            raise

    def _hand_over(self) -> None:
        """Wake another task for the rest of the queue, because this one stops."""
        self.suppress_wakeup = False
        if (self._ready or self._jobs) and not self._is_waking:
            self._wake_or_spawn()

    @enable_ki_protection
    async def _run_task(self) -> None:
        """Work as a dispatcher task, until enough other ones wait for work.

        perf: the loop stands here, because the coroutine of a separate function would
        take 0.2 kB for each run that waits (scale, idle run).
        """
        self._is_waking = False
        self._working += 1
        turns, since = 0, self.now()
        try:
            while True:  # noqa: ASYNC913 - it waits when there is nothing to do
                if self._is_waking or not (self._jobs or self._ready):
                    if self._is_closing or len(self._idle) >= IDLE_TASKS:
                        return
                    await self._wait_for_work()
                    turns, since = 0, self.now()
                elif not self._jobs:
                    await self.serve()
                elif turns >= MESSAGES_PER_SLICE or self.now() - since >= TIME_SLICE:
                    self._hand_over()
                else:
                    turns += 1
                    await self._next_job()
        except Exception:
            self._hand_over()
            self._restarts += 1
            _logger.exception(
                "A dispatcher task failed between two messages; another one goes on"
            )
        except BaseException:  # noqa: ASYNC103 - re-raised unless the task can go on
            self._hand_over()  # another task must process the rest of the queue
            if (
                anyio.current_effective_deadline() == -inf
                or not self.absorb_native_cancel()
            ):
                raise
            # The task held no message: a failing message is reported where it fails.
            self._restarts += 1
        finally:
            self._working -= 1

    def _next_job(self) -> Awaitable[object]:
        """Return the next job, and wake another task for the rest."""
        job = self._jobs.popleft()
        try:
            self._hand_over()
        except BaseException:
            self._jobs.appendleft(job)
            raise
        return job()

    async def _wait_for_work(self) -> None:
        wakeup = Wakeup(self.new_loop_event)
        self._idle.append(wakeup)
        self._working -= 1
        try:
            await wakeup.wait()
            if failpoints.active is not None:
                await failpoints.active.reach(Seam.WAKE, "", "receiver")
        except BaseException:
            if wakeup in self._idle:
                self._idle.remove(wakeup)
            else:
                self._is_waking = False
            raise
        finally:
            self._working += 1
        self._is_waking = False

    async def serve(self, only_run: str | None = None) -> None:  # noqa: C901
        """Process the ready queue in this task.

        Args:
            only_run: stop as soon as the next message belongs to another run than this.
        """
        ready, now = self._ready, self.now
        while ready:
            turns, since = 0, now()
            with self.new_scope() as scope:  # noqa: ASYNC912 - empties a queue
                while ready:
                    actor = ready[0]
                    if (
                        only_run is not None
                        and len(actor.runs) > 1  # else the message is this run's
                        and actor.inbox.next_run != only_run
                    ):
                        self._hand_over()
                        return
                    ready.popleft()
                    if (message := actor.take()) is None:
                        continue
                    run_state = actor.runs[message.run_id]
                    if ready and not self._is_waking:
                        self._wake_or_crash(run_state)
                    handle = _HANDLERS[type(message)]
                    if run_state.interrupted:
                        handle = _abandon
                    try:
                        await handle(run_state, actor, message, scope)
                    except BaseException:
                        actor.release_slot()
                        self._hand_over()
                        raise
                    self.suppress_wakeup = True
                    actor.release_slot()
                    self.suppress_wakeup = False
                    if run_state.interrupted and scope.cancel_called:
                        break
                    turns += 1
                    if turns >= MESSAGES_PER_SLICE or now() - since >= TIME_SLICE:
                        self._hand_over()
                        if only_run is None:
                            return  # the task that was woken takes over
                        await checkpoint()
                        turns, since = 0, now()

    def _wake_or_crash(self, run_state: RunState) -> None:
        try:
            self._wake_or_spawn()
        except Exception as error:  # noqa: BLE001 - a defect of the engine ends this run only
            run_state.crash(error)


async def _abandon(
    run_state: RunState, _actor: Actor, message: Message, _scope: anyio.CancelScope
) -> None:
    """Release the token of a message of an interrupted run."""
    routing.abandon_message(run_state, message)


_HANDLERS: dict[type, Callable[..., Coroutine[Any, Any, None]]] = {
    Start: execute,
    Expire: execute_expiry,
}
"""The function that processes a message, by the type of the message."""
