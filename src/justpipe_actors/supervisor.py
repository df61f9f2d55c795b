"""``Supervisor``: many runs, one set of actors, one owner.

While it is open, every plain ``pipe.run(...)`` in the same loop is hosted by it.  Its runs
share the actors of their plans; each activation has a scope, a token and context
variables of its own, so what happens to one run happens to no other.

::

    the block ──── body                     outer cancellation arrives here,
      └─ keeper, shielded                   and is relayed when the block is left
           ├─ resources                     opened when asked for, closed last
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

import logging
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, Unpack, get_args

import anyio
from anyio.abc import TaskGroup, TaskStatus
from trio.lowlevel import enable_ki_protection

from ._actors.child import ChildSpec
from ._actors.host import Host
from ._actors.letters import DeadLetter
from ._actors.life import ServiceStatus as ServiceStatus
from ._actors.restarts import Policy, Restart, Strategy
from ._actors.supervision import Children
from ._actors.watch import Owner
from ._daemon.catalog import Catalog, RunOptions, SubmitOptions
from ._daemon.door import Door
from ._daemon.drain import DrainReport, drain, end_now, wait_last
from ._daemon.heartbeat import Heartbeat
from ._daemon.leaving import leave, why
from ._daemon.roster import Roster
from ._daemon.snapshots import (
    Health,
    SupervisorSnapshot,
    health_of,
    letters_of,
    runs_of,
)
from ._daemon.stuck import StuckRun, stuck_run
from ._run.ambient import open_ambient
from ._run.hosting import Loop, current_loop
from ._run.stream import RunStream
from .errors import DefinitionError, SupervisionError
from .pipe import Pipe


_logger = logging.getLogger("justpipe_actors.supervisor")


class Supervisor:
    """Owns the runs begun inside its block, and the actors they share.

    Args:
        pipes: runs may name them; they are checked and compiled, and their eager
            resources opened, as the supervisor opens.
        max_runs: runs at work at the same time; who comes later waits. None is no limit.
        grace: seconds that runs may take to finish when the block is left, and as many
            again to clean up once they were cancelled.
        strategy: who is restarted with a service that ended: nobody else, those started
            after it, or all.
        intensity: restarts of services that are allowed within ``period``.
        period: seconds that the intensity looks back.
        blocked_after: seconds the event loop may stand still before a thread says in the
            log which line holds it; None starts no thread.

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
        blocked_after: float | None = None,
    ) -> None:
        if max_runs is not None and max_runs < 1:
            msg = f"max_runs must be at least 1, not {max_runs}; None is no limit."
            raise ValueError(msg)
        if grace < 0:
            msg = f"grace must not be negative, but it is {grace:g}."
            raise ValueError(msg)
        self._catalog = Catalog()
        for pipe in pipes:
            self._catalog.include(pipe)
        self._children = Children(
            Policy(strategy=strategy, intensity=intensity, period=period)
        )
        self._max_runs = max_runs
        self._blocked_after = blocked_after
        self._heartbeat: Heartbeat | None = None
        self._grace = grace
        self._tasks: TaskGroup | None = None
        self._roster: Roster | None = None
        self._close_ambient: Callable[[], None] = lambda: None
        self._drained = anyio.Event()
        self._kept = anyio.Event()
        self._leaving = anyio.Event()
        self.report: DrainReport | None = None
        """How the runs ended that were at work when the end began."""

    # -- its life

    @enable_ki_protection
    async def __aenter__(self) -> Self:
        """Open the eager resources, start the services, and let runs in.

        Raises:
            DefinitionError: one of its pipes is wired wrongly.
            ResourceUnavailable: an eager resource of one of them cannot be opened.
            ChildStartFailed: a service did not get ready; what was started is stopped.
            RuntimeError: this supervisor was opened before.
        """
        if self._tasks is not None:
            msg = "A Supervisor is opened once; build another one."
            raise RuntimeError(msg)
        self._catalog.validate()
        tasks = self._tasks = anyio.create_task_group()
        await tasks.__aenter__()
        try:
            # Not ``tasks.start``: cancelled, that would wait for the shielded task's end.
            current_loop().start_in(tasks, self._keep)
            await self._kept.wait()
            roster = self._opened()
            await roster.host.resources.open(self._catalog.eager())
            await self._children.open(
                Owner(roster.host.spawn, roster.host.now, self._give_up)
            )
        except BaseException as error:
            self._leaving.set()
            # Nothing is left in it that could wait.
            await leave(tasks, error)  # noqa: ASYNC102
            raise
        roster.door.open()
        self._close_ambient = open_ambient(roster)
        return self

    @enable_ki_protection
    async def _keep(self) -> None:
        """Own actors and runs, out of reach of whatever cancels the block."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                loop = current_loop()
                host = Host(
                    partial(loop.start_in, tasks),
                    loop.now,
                    loop.watch_task(),
                    loop.outlive_kill,
                    new_signal=loop.new_signal,
                )
                door = Door(self._max_runs, is_held=True)
                self._roster = Roster(host, door)
                self._kept.set()
                if self._blocked_after is not None:
                    self._heartbeat = Heartbeat(loop, self._blocked_after)
                    self._heartbeat.start()
                try:
                    await self._wait_leaving(loop)
                finally:
                    if self._heartbeat is not None:
                        self._heartbeat.stop()
                    with anyio.CancelScope(shield=True):
                        await self._children.aclose()
                        await host.resources.aclose()
                tasks.cancel_scope.cancel()

    async def _wait_leaving(self, loop: Loop) -> None:
        """Wait until the block is left, also when this very task is killed meanwhile."""
        while not self._leaving.is_set():
            try:
                await self._leaving.wait()
            except anyio.get_cancelled_exc_class():  # noqa: ASYNC103
                # No scope can do that behind the shield, and the owner leaves in any case.
                if not loop.outlive_kill():
                    raise
                _logger.warning(
                    "The supervisor's own task was cancelled by its event loop's own "
                    "means and goes on; cancel runs with RunStream.cancel(), never tasks"
                )

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
            await leave(tasks, interruption)  # noqa: ASYNC102 - nothing is left in it
            if self._children.failure is None:
                raise
        else:
            await leave(tasks, error)  # noqa: ASYNC102 - nothing is left in it
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
        self._children.wind_down()
        if self._drained.is_set():
            roster.cancel("The supervisor was closed")
        elif error is None:
            reason = "The supervisor was closed"
            self.report = await drain(roster, self._grace, reason)
        else:
            self.report = await end_now(roster, self._grace, why(error))

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
        self._children.wind_down()
        report = await drain(self._opened(), seconds, "The supervisor was drained")
        self.report = self.report or report
        self._drained.set()
        return report

    def cancel_runs(self, reason: str = "Cancelled") -> None:
        """Cancel every run at work; new ones are still taken, unless it is drained."""
        self._opened().cancel(reason)

    # -- its pipes

    def add_pipe(self, pipe: Pipe[Any, Any]) -> None:
        """Let a pipe's name mean this pipe, for runs that begin from now on.

        Runs at work finish on the version they began with, whose actors go when the
        last of them has ended.  A sub-pipeline is part of its parent: to change it, add
        the parent that holds the new one.

        Raises:
            DefinitionError: the pipe is wired wrongly; the name means what it did.
        """
        before = self._catalog.replace(pipe)
        if before is not None and self._roster is not None:
            self._roster.host.retire(before)

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
        pipe: Pipe[Any, Any] | str,
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
        return RunStream(
            lambda: self._catalog.order(pipe, state, context, options), roster
        )

    async def submit(
        self,
        pipe: Pipe[Any, Any] | str,
        state: Any,
        context: Any = None,
        **options: Unpack[SubmitOptions],
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
        order = self._catalog.order(pipe, state, context, options)
        return await roster.submit(order, is_named=bool(options.get("run_id")))

    def submit_nowait(
        self,
        pipe: Pipe[Any, Any] | str,
        state: Any,
        context: Any = None,
        **options: Unpack[SubmitOptions],
    ) -> RunStream:
        """Begin a run as ``submit`` does, if there is a place for it now.

        Raises:
            DefinitionError: the pipe is wired wrongly.
            RunRejected: there is no place, no new runs are taken, or the ``run_id`` is
                another pipe's.
        """
        roster = self._opened()
        order = self._catalog.order(pipe, state, context, options)
        return roster.submit_nowait(order, is_named=bool(options.get("run_id")))

    def known(self, run_id: str) -> RunStream | None:
        """Return the submitted run with this id, or None.

        A run is known while it is at work.  After that one whose id its client chose is
        known until 128 others such have ended.
        """
        return self._opened().known(run_id)

    # -- looking at it

    def snapshot(self) -> SupervisorSnapshot:
        """Return what it, its services, actors and runs are doing right now.

        Plain data: ``codec.to_text`` writes it as JSON.
        """
        roster = self._opened()
        return SupervisorSnapshot(
            state=roster.door.state,
            places=roster.door.statistics(),
            services=self._children.statistics(),
            resources=roster.host.resources.statistics(),
            pipes=self._catalog.statistics(),
            actors=roster.host.statistics(),
            runs=runs_of(roster),
            dead_letters=roster.host.dead_letters.total,
            last_letters=letters_of(roster),
        )

    def health(self) -> Health:
        """Return whether it is alive, and whether a run submitted now would begin now.

        May be asked in any thread when ``blocked_after`` is given: then a loop that
        stands still is not alive.
        """
        return health_of(
            self._roster,
            self._children.statistics(),
            self._children.failure,
            is_turning=self._heartbeat is None or self._heartbeat.is_fresh,
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
