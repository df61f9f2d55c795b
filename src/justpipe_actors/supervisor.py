"""``Supervisor``: runs many pipelines with shared actors, services and resources.

While a supervisor is open, every plain ``pipe.run(...)`` in the same loop is one of its
runs.  The runs of a pipe share its actors.  Each invocation has its own scope, token
and context variables, so a failure or cancellation of one run does not affect others.

When the block is left, runs may finish within ``grace`` seconds and are then cancelled.
When an error or a cancellation leaves the block, runs are cancelled at once.  In both
cases the block ends only after the last task of every run has ended.

A service that fails is restarted.  When that happens too often, all runs are ended with
the reason and ``RestartIntensityExceeded`` is raised out of the block, so the caller
decides how to go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, Unpack, get_args

import anyio

from . import _run, _supervision, _supervisor, journals
from ._supervision.restart_policy import Restart, RestartPolicy, Strategy
from ._util.arguments import check_count, check_seconds
from ._util.interrupts import enable_ki_protection
from ._util.lazy_import import install_lazy_exports
from ._util.notebooks import paragraph
from .errors import AsyncWithNeeded, DefinitionError, RunRejected
from .events import Event
from .pipe import Pipe


if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from typing_extensions import TypeVar

    from ._run import RunStream
    from ._supervisor import ActiveRuns, DurableRuns, JournalOptions, RunOptions
    from .abc import Journal, OpenAsk

    StateT = TypeVar("StateT", default=Any)
    ContextT = TypeVar("ContextT", default=Any)

if TYPE_CHECKING or not install_lazy_exports(__name__):
    from ._engine import DeadLetter as DeadLetter
    from ._run import (
        RunningInvocation as RunningInvocation,
        RunSnapshot as RunSnapshot,
    )
    from ._supervision import ServiceStatus as ServiceStatus
    from ._supervisor import (
        DrainReport as DrainReport,
        Health as Health,
        SnapshotOrder as SnapshotOrder,
        StuckRun as StuckRun,
        SupervisorSnapshot as SupervisorSnapshot,
    )


class Supervisor:
    """Owns the runs begun inside its block, and the actors they share.

    Args:
        pipes: the pipes that runs can use by name.  Opening the supervisor checks and
            compiles them, and opens their eager resources.
        max_runs: maximum number of runs at work; further ones wait.  None is no limit.
        grace: seconds that runs may take to finish when the block is left, and again to
            clean up after they were cancelled.
        strategy: services to restart when one has ended: only that one, also those
            started after it, or all.
        intensity: maximum number of restarts of services within ``period``; None
            restarts them without a limit, with growing delays.
        period: length of the time window of ``intensity``, in seconds.
        journal: stores submitted runs, so that they continue after a crash: the path of
            an SQLite file, or a journal.
        context: makes the context of each run that is given none.  For a durable run it
            is called each time that the run is taken up, so the context is not stored.
        blocked_after: seconds for which the event loop may be blocked before a thread
            logs the line that blocks it; None starts no thread.
        keep: number of events of each run at work that are kept for later calls of
            ``listen``, and the same number of its tokens.

    Raises:
        ValueError: ``max_runs`` is less than 1, ``keep``, ``grace`` or ``intensity`` is
            negative, ``period`` is not positive, or the ``strategy`` is none of the
            three.
        TypeError: ``max_runs`` is neither a whole number nor None.

    Examples:
        >>> import anyio
        >>> from justpipe_actors import Pipe, Supervisor
        >>> pipe = Pipe(dict, name="Count")
        >>> @pipe.step
        ... async def count(state):
        ...     state["words"] = len(state["text"].split())
        >>> async def main():
        ...     async with Supervisor(pipe, max_runs=10) as supervisor:
        ...         run = await supervisor.submit("Count", {"text": "one two"})
        ...         return await run.result()
        >>> anyio.run(main)
        {'text': 'one two', 'words': 2}
    """

    def __init__(
        self,
        *pipes: Pipe[Any, Any],
        max_runs: int | None = None,
        grace: float = 10.0,
        strategy: Strategy = "one_for_one",
        intensity: int | None = 3,
        period: float = 5.0,
        blocked_after: float | None = None,
        journal: str | Path | Journal | None = None,
        context: Callable[[], Any] | None = None,
        keep: int = 500,
    ) -> None:
        check_count("max_runs", max_runs, is_optional=True, minimum=1)
        check_count("keep", keep)
        check_count("intensity", intensity, is_optional=True, minimum=None)
        check_seconds("grace", grace)
        check_seconds("period", period, is_signed=True)
        check_seconds("blocked_after", blocked_after, is_optional=True)
        self._core = _supervisor.SupervisorCore(
            RestartPolicy(strategy=strategy, intensity=intensity, period=period),
            max_runs=max_runs,
            grace=grace,
            blocked_after=blocked_after,
            journal=None if journal is None else journals.open_journal(journal),
            keep=keep,
        )
        self._core.catalog.make_context = context
        for pipe in pipes:
            self._core.catalog.include(pipe)

    # -- its block

    def __enter__(self) -> NoReturn:
        """Raise an error that names the right statement.

        Raises:
            AsyncWithNeeded: always.
        """
        statement = "Supervisor(...) as supervisor"
        raise AsyncWithNeeded(statement)

    def __exit__(self, *_: object) -> None:
        """Do nothing; ``with`` looks for this method before it calls ``__enter__``."""

    @enable_ki_protection
    async def __aenter__(self) -> Self:
        """Open the eager resources, start the services, and admit runs.

        Raises:
            DefinitionError: one of its pipes is wired wrongly.
            ResourceUnavailable: an eager resource of one of them cannot be opened.
            ChildStartFailed: a service did not get ready; what was started is stopped.
            RuntimeError: this supervisor was opened before.
        """
        await self._core.open()
        return self

    @enable_ki_protection
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let runs finish, then end them; an error of the body is raised ungrouped.

        Raises:
            RestartIntensityExceeded: services ended too often to go on.
        """
        await self._core.close(error)  # noqa: ASYNC102 - bounded by the grace

    async def serve(
        self, *, task_status: TaskStatus[Any] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Be open until cancelled or drained: ``await nursery.start(supervisor.serve)``.

        Args:
            task_status: set when the supervisor is open.
        """
        async with self:
            task_status.started(self)
            await self.wait_drained()

    async def wait_ready(self) -> None:
        """Wait until its services are ready and runs are admitted.

        Raises:
            RuntimeError: it was closed, or could not be opened.
            OtherLoopError: it was opened in another event loop.
        """
        await self._core.wait_ready()

    async def wait_drained(self) -> None:
        """Wait until ``drain`` has been called and is done.

        Raises:
            OtherLoopError: it was opened in another event loop.
        """
        await self._core.wait_drained()

    async def drain(self, grace: float | None = None) -> DrainReport:
        """Reject new runs, let the others finish, cancel the rest; it stays drained.

        Args:
            grace: seconds to finish, and as many again to clean up; the supervisor's own
                by default.

        Returns:
            The runs that ended by themselves and those that were cancelled.
        """
        check_seconds("grace", grace, is_optional=True)
        return await self._core.drain(grace)

    def reject_runs(self) -> None:
        """Reject new runs from now on, as ``drain`` does; runs at work go on."""
        self._core.reject_runs()

    def cancel_runs(self, reason: str = "Cancelled") -> None:
        """Cancel every run at work; new ones are still taken, unless it is drained.

        While the supervisor drains, durable runs are released at once instead.

        Args:
            reason: the reason that events and failures name.
        """
        active_runs, durable = self._require_own_loop(), self._core.durable
        if durable is not None and active_runs.admission.state == "draining":
            active_runs.cancel_others(reason)
            durable.release_now(reason)
        else:
            active_runs.cancel(reason)

    @property
    def report(self) -> DrainReport | None:
        """How the runs ended that were at work when draining began; None before."""
        return self._core.report

    def describe(self, pipe: str) -> dict[str, Any]:
        """Return ``Pipe.describe()`` of the pipe with a name.

        Raises:
            DefinitionError: no pipe has the name, or more than one.
        """
        return self._core.catalog.find(pipe).describe()

    @property
    def journal(self) -> Journal | None:
        """The journal that keeps submitted runs; None without one."""
        return self._core.journal

    @property
    def is_open(self) -> bool:
        """Whether its block was entered and not left."""
        return self._core.is_open

    @property
    def grace(self) -> float:
        """Seconds that runs may take to finish, and again to clean up."""
        return self._core.grace

    def __repr__(self) -> str:
        names = ", ".join(map(repr, self._core.catalog.names()))
        pipes = f" of {names}" if names else ""
        if self._core.active_runs is None:
            return f"<Supervisor{pipes}: not open>"
        return f"<Supervisor{pipes}: {self.snapshot().headline}>"

    def _repr_html_(self) -> str:
        """Show it in a notebook: its runs and its services."""
        if self._core.active_runs is None:
            return paragraph(repr(self))
        return self.snapshot()._repr_html_()

    def _require_open(self) -> ActiveRuns:
        return self._core.require_open()

    def _require_own_loop(self) -> ActiveRuns:
        return self._core.require_own_loop()

    # -- its pipes

    @property
    def pipes(self) -> Mapping[str, Pipe[Any, Any]]:
        """The pipes that runs may name, by name: the versions that new runs get."""
        return self._core.catalog.pipes

    def add_pipe(self, pipe: Pipe[Any, Any]) -> None:
        """Add a pipe, or replace the one of that name, for runs that begin from now on.

        Runs at work finish on the version they began with.  The actors of that version
        stop when the last of these runs has ended.  A sub-pipeline is part of its
        parent: to change it, add the parent that holds the new one.

        Raises:
            DefinitionError: the pipe is wired wrongly; the earlier pipe stays.
        """
        before = self._core.catalog.replace(pipe)
        if before is not None and self._core.active_runs is not None:
            self._core.active_runs.system.retire(before)

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
        """Add a service, such as a poller, after the existing services.

        ``func`` is an async function.  With a parameter ``task_status`` it calls
        ``task_status.started()`` when it is ready; the next service is started only
        then, and runs begin after the last service.  A service that waits for the event
        ``task_status.stopping`` ends by itself when it is set; any other service is
        cancelled when it has to end.

        A service may be added while the supervisor is open; it is started soon.

        Args:
            name: unique among the services.
            func: the service.
            restart: ``permanent`` is restarted however it ends, ``transient`` after a
                failure, ``temporary`` never.
            shutdown: seconds to end by itself before it is cancelled.
            start_timeout: seconds to get ready.

        Raises:
            DefinitionError: the name is taken, ``restart`` is none of the three, or
                ``func`` cannot be called as a service.
        """
        if restart not in get_args(Restart):
            msg = f"restart must be one of {get_args(Restart)}, not {restart!r}."
            raise DefinitionError(msg)
        _supervision.check_service_function(name, func)
        check_seconds("shutdown", shutdown)
        check_seconds("start_timeout", start_timeout)
        if self._core.active_runs is not None:
            self._require_own_loop()
        self._core.children.add(
            _supervision.ChildSpec(
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
        pipe: Pipe[StateT, ContextT] | str,
        state: StateT,
        context: ContextT | None = None,
        **options: Unpack[RunOptions],
    ) -> RunStream[StateT]:
        """Return one run of a pipe in this supervisor; it begins when it is consumed.

        It counts for ``max_runs``: without a free place it waits when it begins.  A run
        that a step begins is part of the step's run and needs no place.

        Args:
            pipe: the pipe, or the name of one that the supervisor was given.
            state: as for ``Pipe.run``.
            context: as for ``Pipe.run``.
            **options: those of ``Pipe.run``, and ``run_id``.

        Returns:
            The stream of the run's events.

        Raises:
            RuntimeError: the supervisor is not open.
        """
        active_runs = self._require_open()
        return _run.RunStream(
            lambda: self._core.catalog.build_request(pipe, state, context, options),
            active_runs,
        )

    async def submit(
        self,
        pipe: Pipe[StateT, ContextT] | str,
        state: StateT,
        context: ContextT | None = None,
        **options: Unpack[JournalOptions],
    ) -> RunStream[StateT]:
        """Wait for a place and begin a run that goes on without a consumer.

        It keeps its last ``queue_size`` events for later readers.  If the ``run_id`` is
        known, the run with this id is returned and no run begins: an id is known while
        its run is at work, and then until 128 others have ended.

        With a journal, this returns as soon as the run is stored, whether or not there
        is a place.  After a crash of this process the run continues in any process that
        opens a supervisor with its pipe and this journal.  An id is then known for as
        long as the journal keeps it.  With ``durable=False`` the run is not stored.

        Args:
            pipe: the pipe, or the name of one that the supervisor was given.
            state: as for ``Pipe.run``.
            context: as for ``Pipe.run``.
            **options: those of ``Pipe.run`` without ``overflow``, and ``run_id`` and
                ``durable``.

        Raises:
            DefinitionError: the pipe is wired wrongly; or, with a journal, has no name
                of its own or was not given to the supervisor.
            NotStorable: the state or the context cannot be stored.
            RunRejected: no new runs are taken, or the ``run_id`` is another pipe's.
            JournalUnusableError: the journal's file or disk has a fault.
        """
        active_runs = self._require_own_loop()
        request = self._core.catalog.build_request(pipe, state, context, options)
        if self._core.durable is not None and options.get("durable", True):
            return await self._core.durable.submit(
                request, self._core.catalog.find(pipe), context
            )
        return await active_runs.submit(request, is_named=bool(options.get("run_id")))

    async def asks(self, run_id: str | None = None) -> list[OpenAsk]:
        """Return the questions that wait for an answer, the oldest first.

        With a journal these are the questions of all its runs, also of runs that are at
        work in no process.

        Args:
            run_id: only those of this run.
        """
        return await _supervisor.questions.list_asks(
            self._require_own_loop(), self._core.durable, run_id
        )

    async def answer(
        self, ask_id: str, value: object, *, by: str | None = None
    ) -> None:
        """Answer a question of any of its runs; the first answer wins.

        Args:
            ask_id: the question's id.
            value: the answer: JSON data, or a value of the form's type.
            by: name of the person or program that answers.

        Raises:
            UnknownAsk: no question of this id is open.
            AnswerRejected: the value does not fit; the question stays open.
        """
        await _supervisor.questions.answer(
            self._require_own_loop(), self._core.durable, ask_id, value, by
        )

    # -- runs of the journal

    async def redrive(self, run_id: str) -> RunStream:
        """Continue a stuck run, and return it.

        Args:
            run_id: the run.

        Raises:
            UnknownRunError: there is no such run.
            RunRejected: it is not stuck, or there is no journal.
        """
        return await self._require_durable().begin_stored(
            _supervisor.stored_runs.redrive, run_id
        )

    async def retry(self, run_id: str, *, new_id: str | None = None) -> RunStream:
        """Begin a run that repeats only the failed work of another one.

        Steps that have succeeded are not repeated; idempotency keys stay the same.

        Args:
            run_id: the run that failed.
            new_id: the new run's id; generated when it is not given.

        Returns:
            The new run.

        Raises:
            UnknownRunError: there is no such run.
            RunRejected: it has not failed, or there is no journal.
        """
        durable = self._require_durable()
        return await durable.begin_stored(_supervisor.stored_runs.retry, run_id, new_id)

    async def resume(self, run_id: str, *, new_id: str | None = None) -> RunStream:
        """Begin a run that continues after the step that suspended another one.

        Args:
            run_id: the run that was suspended.
            new_id: the new run's id; generated when it is not given.

        Returns:
            The new run.

        Raises:
            UnknownRunError: there is no such run.
            RunRejected: it was not suspended, was resumed before, or there is no journal.
        """
        durable = self._require_durable()
        return await durable.begin_stored(
            _supervisor.stored_runs.resume, run_id, new_id
        )

    async def fork(
        self,
        run_id: str,
        at: int | None = None,
        state: Any = None,
        *,
        new_id: str | None = None,
    ) -> RunStream:
        """Begin a run that continues from a commit of another one.

        Args:
            run_id: the run to copy.
            at: the number of the commit; None is the last.
            state: another state; None is the state as it was.
            new_id: the new run's id; generated when it is not given.

        Returns:
            The new run.

        Raises:
            UnknownRunError: there is no such run.
            RunRejected: there is no such commit, or there is no journal.
            NotStorable: the state cannot be stored.
            TypeError: ``at`` is no number of a commit.
        """
        durable = self._require_durable()
        check_count("at", at, is_optional=True, minimum=None)
        return await durable.fork(run_id, at, state, new_id)

    def _require_durable(self) -> DurableRuns:
        self._require_own_loop()
        if self._core.durable is None:
            reason = "this supervisor has no journal"
            raise RunRejected(
                reason, "Open it with Supervisor(..., journal='runs.db')."
            )
        return self._core.durable

    def submit_nowait(
        self,
        pipe: Pipe[StateT, ContextT] | str,
        state: StateT,
        context: ContextT | None = None,
        **options: Unpack[JournalOptions],
    ) -> RunStream[StateT]:
        """Begin a run as ``submit`` does, if there is a place for it now.

        Args:
            pipe: as for ``submit``.
            state: as for ``submit``.
            context: as for ``submit``.
            **options: as for ``submit``.

        Returns:
            The run, which has begun.

        Raises:
            DefinitionError: the pipe is wired wrongly.
            RunRejected: there is no place, no new runs are taken, the ``run_id`` is
                another pipe's, or there is a journal, because this cannot wait for it.
        """
        active_runs = self._require_own_loop()
        if self._core.durable is not None and options.get("durable", True):
            reason = "submit_nowait cannot wait until the run is stored in the journal"
            raise RunRejected(reason, "Await submit(), or pass durable=False.")
        request = self._core.catalog.build_request(pipe, state, context, options)
        return active_runs.submit_nowait(request, is_named=bool(options.get("run_id")))

    def known(self, run_id: str) -> RunStream | None:
        """Return the submitted run with this id, or None.

        A run is known while it is at work.  A run with an id chosen by its client stays
        known until 128 other such runs have ended.

        Args:
            run_id: the run.
        """
        active_runs = self._require_open()
        if self._core.durable is not None:
            found = self._core.durable.known(run_id)
            if found is not None:
                return found
        return active_runs.known(run_id)

    def listen(
        self, run_id: str, after: int | str | None = None
    ) -> AsyncIterator[Event]:
        """Return the events of any run, from its first or from a number on, to FINISH.

        There may be any number of readers at any time; they do not delay the run.  The
        events of a run at work here are read from memory; those of a run that has ended,
        or is at work in another process, are read from the store of its pipe.  A GAP
        event names the events that are in neither of them any more.

        Args:
            run_id: the run.
            after: the ``seq`` of the last event that was read, as a number or as the
                text of a ``Last-Event-ID`` header.

        Raises:
            UnknownRunError: no run of this id is at work or stored.
            ValueError: ``after`` is no number of an event.
        """
        self._require_own_loop()
        return self._core.listening().listen(run_id, after)

    async def find(self, run_id: str) -> RunStream | None:
        """Return the run with this id, or None.

        With a journal, this also finds a run that is at work in another process or has
        ended there: its ``wait()``, ``cancel`` and ``end`` work.

        Args:
            run_id: the run.
        """
        known = self.known(run_id)
        if known is not None or self._core.durable is None:
            return known
        return await self._core.durable.find(run_id)

    async def cancel(self, run_id: str, reason: str = "Cancelled") -> bool:
        """End a run in any process; return False if there is no open run with this id.

        Args:
            run_id: the run.
            reason: the reason that events and failures name.

        Returns:
            Whether there was such an open run.
        """
        self._require_open()
        known = self.known(run_id)
        if known is not None and not isinstance(known, _supervisor.DurableStream):
            is_open = known.end is None
            known.cancel(reason)
            return is_open
        self._require_own_loop()
        return self._core.durable is not None and await self._core.durable.cancel(
            run_id, reason
        )

    # -- introspection

    def snapshot(
        self, runs: int | None = None, by: SnapshotOrder = "age"
    ) -> SupervisorSnapshot:
        """Return the present state of the supervisor, its services, actors and runs.

        The result is plain data: ``codec.to_text`` writes it as JSON.

        Args:
            runs: maximum number of runs to include; None includes all.
            by: the runs that are included: the oldest (``age``), or those without an
                event for the longest time (``quiet``).
        """
        active_runs = self._require_open()
        return _supervisor.SupervisorSnapshot(
            state=active_runs.admission.state,
            places=active_runs.admission.statistics(),
            services=self._core.children.statistics(),
            resources=active_runs.system.resources.statistics(),
            pipes=self._core.catalog.statistics(),
            actors=active_runs.system.statistics(),
            runs=_supervisor.run_snapshots(active_runs, runs, by),
            run_count=len(active_runs.runs),
            oldest=max((run.age for run in active_runs.runs.values()), default=None),
            dead_letters=active_runs.system.dead_letters.total,
            last_letters=_supervisor.recent_dead_letters(active_runs),
        )

    def health(self) -> Health:
        """Return whether the supervisor is alive, and whether it could begin a run now.

        May be called from any thread if ``blocked_after`` is given; a blocked loop
        then counts as not alive.
        """
        return _supervisor.check_health(
            self._core.active_runs,
            self._core.children.statistics(),
            self._core.children.failure,
            is_loop_responsive=self._core.watchdog is None
            or self._core.watchdog.is_responsive,
            journal_problem=None
            if self._core.durable is None
            else self._core.durable.writer.problem,
        )

    @property
    def dead_letters(self) -> Sequence[DeadLetter]:
        """The last dead letters, oldest first: messages that failed in the engine itself."""
        return self._require_open().system.dead_letters

    def stuck(self, run_ids: Collection[str] | None = None) -> tuple[StuckRun, ...]:
        """Return the steps for which each run at work waits, with their lines.

        Args:
            run_ids: only these runs; the time taken grows with the number of runs.
        """
        runs = self._require_open().runs
        asked = runs if run_ids is None else [name for name in run_ids if name in runs]
        return tuple(_supervisor.describe_stuck_run(runs[name]) for name in asked)
