"""``Supervisor``: many runs, one set of actors, one owner.

While it is open, every plain ``pipe.run(...)`` in the same loop is hosted by it.  Its runs
share the actors of their plans; each activation has a scope, a token and context
variables of its own, so what happens to one run happens to no other.

::

    the block ──── body                     outer cancellation arrives here,
      └─ keeper, shielded                   and is relayed when the block is left
           └─ actors and runs

Leaving the block lets runs finish within ``grace`` seconds, then cancels them.  When the
block is left by an error or a cancellation they are cancelled at once; either way it is
left only when nothing of them is alive.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

import anyio
import attrs
from anyio.abc import TaskGroup, TaskStatus
from trio.lowlevel import enable_ki_protection

from ._actors.actor import ActorStatistics
from ._actors.host import Host
from ._daemon.door import Door, DoorStatistics
from ._daemon.drain import DrainReport, drain, end_now, wait_last
from ._daemon.roster import Roster
from ._definition.decorators import Target
from ._run.ambient import open_ambient
from ._run.hosting import current_loop
from ._run.run import Order
from ._run.snapshot import RunSnapshot, snapshot_of
from ._run.stream import RunStream
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


class Supervisor:
    """Owns the runs begun inside its block, and the actors they share.

    Args:
        max_runs: runs at work at the same time; who comes later waits. None is no limit.
        grace: seconds that runs may take to finish when the block is left, and as many
            again to clean up once they were cancelled.

    Raises:
        ValueError: ``max_runs`` is less than 1, or ``grace`` is negative.
    """

    def __init__(self, *, max_runs: int | None = None, grace: float = 10.0) -> None:
        if max_runs is not None and max_runs < 1:
            msg = f"max_runs must be at least 1, not {max_runs}; None is no limit."
            raise ValueError(msg)
        if grace < 0:
            msg = f"grace must not be negative, but it is {grace:g}."
            raise ValueError(msg)
        self._max_runs = max_runs
        self._grace = grace
        self._tasks: TaskGroup | None = None
        self._roster: Roster | None = None
        self._close_ambient: Callable[[], None] = lambda: None
        self._drained = anyio.Event()
        self._leaving = anyio.Event()

    # -- its life

    @enable_ki_protection
    async def __aenter__(self) -> Self:
        """Open it and make it the ambient one.

        Raises:
            RuntimeError: this supervisor was opened before.
        """
        if self._tasks is not None:
            msg = "A Supervisor is opened once; build another one."
            raise RuntimeError(msg)
        tasks = self._tasks = anyio.create_task_group()
        await tasks.__aenter__()
        try:
            roster: Roster = await tasks.start(self._keep)
        except BaseException as error:
            # Nothing is left in it that could wait.
            await _leave(tasks, error)  # noqa: ASYNC102
            raise
        self._roster = roster
        self._close_ambient = open_ambient(roster)
        return self

    @enable_ki_protection
    async def _keep(self, *, task_status: TaskStatus[Roster]) -> None:
        """Own actors and runs, out of reach of whatever cancels the block."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                loop = current_loop()
                host = Host(tasks, loop.now, loop.watch_task(), loop.outlive_kill)
                task_status.started(Roster(host, Door(self._max_runs)))
                await self._leaving.wait()
                tasks.cancel_scope.cancel()

    @enable_ki_protection
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let runs finish, then end them; a body's error goes on bare."""
        roster, tasks = self._opened(), self._tasks
        assert tasks is not None
        self._close_ambient()
        try:
            if error is None:
                await drain(roster, self._grace, "The supervisor was closed")  # noqa: ASYNC102
            else:
                await end_now(roster, self._grace, _why(error))  # noqa: ASYNC102
        finally:
            await wait_last(roster)  # noqa: ASYNC102 - shielded; says whom it waits for
            roster.close()
            self._leaving.set()
        await _leave(tasks, error)  # noqa: ASYNC102 - nothing is left in it

    async def serve(
        self, *, task_status: TaskStatus[Any] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Be open until cancelled or drained: ``await nursery.start(supervisor.serve)``."""
        async with self:
            task_status.started(self)
            await self._drained.wait()

    async def drain(self, grace: float | None = None) -> DrainReport:
        """Take no new runs, let the others finish, cancel the rest; it stays drained.

        Args:
            grace: seconds to finish, and as many again to clean up; the supervisor's own
                by default.
        """
        seconds = self._grace if grace is None else grace
        report = await drain(self._opened(), seconds, "The supervisor was drained")
        self._drained.set()
        return report

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
        )

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
