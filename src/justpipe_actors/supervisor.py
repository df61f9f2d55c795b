"""``Supervisor``: many runs, one set of actors, one owner.

While it is open, every plain ``pipe.run(...)`` in the same loop is hosted by it.  Its runs
share the actors of their plans; each activation has a scope, a token and context
variables of its own, so what happens to one run happens to no other.

::

    the block ──── body                     outer cancellation arrives here,
      └─ keeper, shielded                   and is relayed when the block is left
           ├─ services, each shielded       started in order, stopped in reverse
           └─ actors and runs               come after the services, and end before them

Leaving the block lets runs finish within ``grace`` seconds, then cancels them.  When the
block is left by an error or a cancellation they are cancelled at once; either way it is
left only when nothing of them is alive.

A service that fails is restarted.  When that happens too often, all runs are ended with
the reason and ``RestartIntensityExceeded`` is raised out of the block: whoever opened
the supervisor decides what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack, get_args

import anyio
import attrs
from anyio.abc import TaskGroup, TaskStatus
from trio.lowlevel import enable_ki_protection

from ._actors.actor import ActorStatistics
from ._actors.child import ChildSpec, ChildStatistics
from ._actors.host import Host
from ._actors.letters import DeadLetter
from ._actors.restarts import Policy, Restart, Strategy
from ._actors.supervision import Children, Owner
from ._daemon.door import Door, DoorStatistics
from ._daemon.drain import DrainReport, drain, end_now, wait_last
from ._daemon.roster import Roster
from ._daemon.stuck import StuckRun, stuck_run
from ._definition.decorators import Target
from ._run.ambient import open_ambient
from ._run.hosting import current_loop
from ._run.run import Order
from ._run.snapshot import RunSnapshot, snapshot_of
from ._run.stream import RunStream
from .errors import DefinitionError, SupervisionError
from .pipe import Pipe


class RunOptions(TypedDict, total=False):
    """What may be said about one run."""

    start: Target | None
    """Where to begin, instead of at the roots."""
    queue_size: int | None
    """Events that may wait for the consumer; for a submitted run, events kept."""
    timeout: float | None
    """Seconds the steps may take."""
    run_id: str
    """The run's id, chosen by the client; generated when it is not given."""


@attrs.frozen
class SupervisorSnapshot:
    """What a supervisor is doing right now; plain data."""

    places: DoorStatistics
    """Places taken, and who waits for one."""
    actors: tuple[ActorStatistics, ...]
    """Every actor that has been needed so far."""
    runs: dict[str, RunSnapshot]
    """Every run at work, by id."""
    services: tuple[ChildStatistics, ...] = ()
    """Every service, in start order."""


class Supervisor:
    """Owns the runs begun inside its block, and the actors they share.

    Args:
        pipes: their definitions are checked when the supervisor opens.
        max_runs: runs at work at the same time; who comes later waits. None is no limit.
        grace: seconds that runs may take to finish when the block is left, and as many
            again to clean up once they were cancelled.
        strategy: who is restarted with a service that ended: nobody else, those started
            after it, or all.
        intensity: restarts of services that are allowed within ``period``.
        period: seconds that the intensity looks back.

    Raises:
        ValueError: ``max_runs`` is less than 1, ``grace`` or ``intensity`` is negative,
            ``period`` is not positive, or the ``strategy`` is none of the three.
    """

    def __init__(
        self,
        *pipes: Pipe[Any, Any],
        max_runs: int | None = None,
        grace: float = 10.0,
        strategy: Strategy = "one_for_one",
        intensity: int = 3,
        period: float = 5.0,
    ) -> None:
        if max_runs is not None and max_runs < 1:
            msg = f"max_runs must be at least 1, not {max_runs}; None is no limit."
            raise ValueError(msg)
        if grace < 0:
            msg = f"grace must not be negative, but it is {grace:g}."
            raise ValueError(msg)
        self._pipes = pipes
        self._children = Children(
            Policy(strategy=strategy, intensity=intensity, period=period)
        )
        self._max_runs = max_runs
        self._grace = grace
        self._tasks: TaskGroup | None = None
        self._roster: Roster | None = None
        self._close_ambient: Callable[[], None] = lambda: None
        self._drained = anyio.Event()
        self._leaving = anyio.Event()
        self.report: DrainReport | None = None
        """How the runs ended that were at work when the end began."""

    # -- its life

    @enable_ki_protection
    async def __aenter__(self) -> Self:
        """Start the services in order, then open it for runs and make it the ambient one.

        Raises:
            DefinitionError: one of its pipes is wired wrongly.
            ChildStartFailed: a service did not get ready; what was started is stopped.
            RuntimeError: this supervisor was opened before.
        """
        if self._tasks is not None:
            msg = "A Supervisor is opened once; build another one."
            raise RuntimeError(msg)
        for pipe in self._pipes:
            pipe.validate()
        tasks = self._tasks = anyio.create_task_group()
        await tasks.__aenter__()
        try:
            roster = self._roster = await tasks.start(self._keep)
            await self._children.open(
                Owner(roster.host.spawn, roster.host.now, self._give_up)
            )
        except BaseException as error:
            self._leaving.set()
            # Nothing is left in it that could wait.
            await _leave(tasks, error)  # noqa: ASYNC102
            raise
        roster.door.open()
        self._close_ambient = open_ambient(roster)
        return self

    @enable_ki_protection
    async def _keep(self, *, task_status: TaskStatus[Roster]) -> None:
        """Own actors and runs, out of reach of whatever cancels the block."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                loop = current_loop()
                host = Host(tasks, loop.now, loop.watch_task(), loop.outlive_kill)
                door = Door(self._max_runs, is_held=True)
                task_status.started(Roster(host, door))
                try:
                    await self._leaving.wait()
                finally:
                    with anyio.CancelScope(shield=True):
                        await self._children.aclose()
                tasks.cancel_scope.cancel()

    def _give_up(self, failure: SupervisionError) -> None:
        """End the block: runs first, with the reason; the rest follows as it is left."""
        if self._roster is not None:
            self._roster.close()
            self._roster.cancel(str(failure))
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    @enable_ki_protection
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let runs finish, then end them; a body's error goes on bare.

        Raises:
            RestartIntensityExceeded: services ended too often to go on.
        """
        tasks = self._tasks
        assert tasks is not None
        self._close_ambient()
        try:
            await self._empty(error)  # noqa: ASYNC102 - bounded by the grace
        except BaseException as interruption:  # noqa: ASYNC103 - or the failure instead
            await _leave(tasks, interruption)  # noqa: ASYNC102 - nothing is left in it
            if self._children.failure is None:
                raise
        else:
            await _leave(tasks, error)  # noqa: ASYNC102 - nothing is left in it
        failure = self._children.failure
        if failure is not None and not isinstance(error, Exception):
            raise failure

    async def _empty(self, error: BaseException | None) -> None:
        roster = self._opened()
        try:
            await self._end_runs(roster, error)
        finally:
            await wait_last(roster)  # noqa: ASYNC102 - shielded; says whom it waits for
            roster.close()
            self._leaving.set()

    async def _end_runs(self, roster: Roster, error: BaseException | None) -> None:
        if self._drained.is_set():
            roster.cancel("The supervisor was closed")
        elif error is None:
            reason = "The supervisor was closed"
            self.report = await drain(roster, self._grace, reason)
        else:
            self.report = await end_now(roster, self._grace, _why(error))

    async def serve(
        self, *, task_status: TaskStatus[Any] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Be open until cancelled or drained: ``await nursery.start(supervisor.serve)``."""
        async with self:
            task_status.started(self)
            await self.wait_drained()

    async def wait_drained(self) -> None:
        """Wait until ``drain`` has been called and is done."""
        await self._drained.wait()

    async def drain(self, grace: float | None = None) -> DrainReport:
        """Take no new runs, let the others finish, cancel the rest; it stays drained.

        Args:
            grace: seconds to finish, and as many again to clean up; the supervisor's own
                by default.
        """
        seconds = self._grace if grace is None else grace
        report = await drain(self._opened(), seconds, "The supervisor was drained")
        self.report = self.report or report
        self._drained.set()
        return report

    def cancel_runs(self, reason: str = "Cancelled") -> None:
        """Cancel every run at work; new ones are still taken, unless it is drained."""
        self._opened().cancel(reason)

    # -- its services

    def add_service(
        self,
        name: str,
        func: Callable[..., Any],
        *,
        restart: Restart = "permanent",
        shutdown: float = 5.0,
        start_timeout: float = 30.0,
    ) -> None:
        """Add a child of your own, such as a poller, behind the services that are there.

        ``func`` is an async function.  One with a parameter ``task_status`` says
        ``task_status.started()`` when it is ready; the next service is started only
        then, and runs are let in behind the last one.  One that looks at
        ``task_status.stopping`` ends by itself when that event is set; any other is
        cancelled when it must end.

        A service may be added while the supervisor is open; it is started soon.

        Args:
            name: unique among the services.
            func: the service.
            restart: ``permanent`` is restarted however it ends, ``transient`` after a
                failure, ``temporary`` never.
            shutdown: seconds to end by itself before it is cancelled.
            start_timeout: seconds to get ready.

        Raises:
            DefinitionError: the name is taken, or ``restart`` is none of the three.
        """
        if restart not in get_args(Restart):
            msg = f"restart must be one of {get_args(Restart)}, not {restart!r}."
            raise DefinitionError(msg)
        self._children.add(
            ChildSpec(
                name=name,
                func=func,
                restart=restart,
                shutdown=shutdown,
                start_timeout=start_timeout,
            )
        )

    # -- its runs

    def run(
        self,
        pipe: Pipe[Any, Any],
        state: Any,
        context: Any = None,
        **options: Unpack[RunOptions],
    ) -> RunStream:
        """Return one run of a pipe in this supervisor; it begins when it is consumed.

        It counts for ``max_runs``: when there is no place it waits for one as it begins.
        A run that a step begins is part of the step's run and needs no place.

        Raises:
            RuntimeError: the supervisor is not open.
        """
        roster = self._opened()
        return RunStream(lambda: _order(pipe, state, context, options), roster)

    async def submit(
        self,
        pipe: Pipe[Any, Any],
        state: Any,
        context: Any = None,
        **options: Unpack[RunOptions],
    ) -> RunStream:
        """Wait for a place and begin a run that goes on whether or not anybody looks.

        It keeps its last ``queue_size`` events for whoever comes.  With a ``run_id``
        that is known, the run that has it is returned and nothing is begun: an id is
        known while its run is at work, and then until 128 others have ended.

        Raises:
            DefinitionError: the pipe is wired wrongly.
            RunRejected: no new runs are taken, or the ``run_id`` is another pipe's.
        """
        roster = self._opened()
        order = _order(pipe, state, context, options)
        return await roster.submit(order, is_named="run_id" in options)

    def submit_nowait(
        self,
        pipe: Pipe[Any, Any],
        state: Any,
        context: Any = None,
        **options: Unpack[RunOptions],
    ) -> RunStream:
        """Begin a run as ``submit`` does, if there is a place for it now.

        Raises:
            DefinitionError: the pipe is wired wrongly.
            RunRejected: there is no place, no new runs are taken, or the ``run_id`` is
                another pipe's.
        """
        roster = self._opened()
        order = _order(pipe, state, context, options)
        return roster.submit_nowait(order, is_named="run_id" in options)

    def snapshot(self) -> SupervisorSnapshot:
        """Return what its actors and runs are doing right now."""
        roster = self._opened()
        return SupervisorSnapshot(
            places=roster.door.statistics(),
            actors=tuple(actor.statistics() for actor in roster.host.actors()),
            runs={name: snapshot_of(run) for name, run in roster.runs.items()},
            services=self._children.statistics(),
        )

    @property
    def dead_letters(self) -> Sequence[DeadLetter]:
        """The last messages that broke what performed them, oldest first."""
        return self._opened().host.dead_letters

    def stuck(self) -> tuple[StuckRun, ...]:
        """Return who holds each run that is at work, and at which line it waits."""
        return tuple(stuck_run(run) for run in self._opened().runs.values())

    @property
    def is_open(self) -> bool:
        """Whether its block was entered and not left."""
        return self._roster is not None and not self._leaving.is_set()

    @property
    def grace(self) -> float:
        """Seconds that runs may take to finish, and again to clean up."""
        return self._grace

    def _opened(self) -> Roster:
        if self._roster is None:
            msg = "The Supervisor is not open; use it in 'async with Supervisor() as ...'."
            raise RuntimeError(msg)
        return self._roster


def _why(error: BaseException) -> str:
    if isinstance(error, Exception):
        return f"The supervisor's block failed with {type(error).__name__}"
    return "The supervisor was cancelled"


async def _leave(tasks: TaskGroup, error: BaseException | None) -> None:
    """Leave the task group: the body's error goes out first, then its own, both bare."""
    if isinstance(error, Exception):
        # The body's own error goes out, even if the block is cancelled meanwhile.
        with suppress(BaseException):
            await tasks.__aexit__(None, None, None)
        return
    try:
        await tasks.__aexit__(None, None, None)
    except BaseExceptionGroup as group:
        own = _only(group)
    else:
        return
    # Raised out here, so that its cause stays what it is.
    raise own


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one exception in a group, or the group when there are several."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner


def _order(
    pipe: Pipe[Any, Any], state: Any, context: Any, options: RunOptions
) -> Order:
    order = pipe.order(
        state,
        context,
        options.get("start"),
        options.get("queue_size"),
        options.get("timeout"),
    )
    run_id = options.get("run_id")
    return order if run_id is None else attrs.evolve(order, run_id=run_id)
