"""The runs of one supervisor that are at work, from their admission to their end.

A run that is started by code of another run, such as ``pipe.run()`` inside a step, takes
no place of its own: it is part of the run that started it, as a sub-pipeline is.  If it
had to wait for a place, a full supervisor would deadlock if all its runs started
another run.

A submitted run whose id was chosen by the client is remembered after its end, so that a
second submission of the same id returns the run and does not begin another one.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING

import anyio
import attrs

from .._backends import Loop
from .._engine.actor_system import ActorSystem
from .._engine.run_place import RunPlace
from .._engine.user_code import drive_in_context
from .._publishing.kept_events import KeptEvents
from .._run.lifecycle import execute_run
from .._run.run import Run, RunRequest
from .._run.run_stream import RunStream
from .._util.lazy_classes import define
from .._util.sync import do_nothing
from .._util.text import escape_controls
from ..errors import RunRejected
from ..failures import FailureKind
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .admission import CLOSED, AdmissionLimiter


if TYPE_CHECKING:
    from ..abc import StorageBackend


MAX_ENDED_KNOWN = 128
"""Finished runs that are remembered by their client-chosen id."""

OpenStore = Callable[[], "StorageBackend"]
"""Opens the store of a pipe's runs for reading."""

_logger = logging.getLogger("justpipe_actors.supervisor")

_owner: ContextVar[object] = ContextVar("justpipe_actors_home", default=None)


@define(eq=False, repr=False)
class ActiveRuns:
    """Owns the runs of one supervisor."""

    system: ActorSystem
    """The actor system that runs their actors."""
    admission: AdmissionLimiter
    """Limits the number of runs at work."""
    loop: Loop
    """The event loop that they run in."""
    keep: int = 0
    """Number of events of each run that are kept for listeners."""
    stores: dict[OpenStore, None] = attrs.field(factory=dict, init=False)
    """Functions that open the stores of recent runs, oldest first."""
    runs: dict[str, Run] = attrs.field(factory=dict, init=False)
    """Runs at work, by id."""
    durable: set[str] = attrs.field(factory=set, init=False)
    """Ids of durable runs at work; they are released and not cancelled."""
    cancelled: set[str] = attrs.field(factory=set, init=False)
    """Ids of the runs that were cancelled after admission closed."""
    on_begin: Callable[[Run], None] = attrs.field(default=do_nothing, init=False)
    """Called with each run that begins, before its first event."""
    refuses_nested_runs: bool = attrs.field(default=False, init=False)
    """Whether runs that are started by other runs are rejected too."""
    _submitted: dict[str, RunStream] = attrs.field(factory=dict, init=False)
    _client_named: set[str] = attrs.field(factory=set, init=False)
    _ended: OrderedDict[str, RunStream] = attrs.field(factory=OrderedDict, init=False)
    _idle: anyio.Event | None = attrs.field(default=None, init=False)
    _unread: dict[str, Run] = attrs.field(factory=dict, init=False)
    _all_read: anyio.Event | None = attrs.field(default=None, init=False)

    # -- coming in

    def admit_nowait(self, run_id: str) -> Callable[[], None] | None:
        """Take a place and return the function that releases it; None if none is free.

        Raises:
            RunRejected: no new runs are taken, or one with this id is at work.
        """
        self._refuse_duplicate(run_id)
        if _owner.get() is self and not self.refuses_nested_runs:
            return do_nothing
        if self.admission.state == "open" and self.admission.is_full:
            return None
        if self.admission.state == "starting":
            return None
        self.admission.acquire_nowait()
        return self.admission.release

    async def admit(self, run_id: str) -> Callable[[], None]:
        """Wait for a place and return the function that releases it.

        Raises:
            RunRejected: no new runs are taken, or one with this id is at work.
        """
        if _owner.get() is self and not self.refuses_nested_runs:
            self._refuse_duplicate(run_id)
            return do_nothing
        await self.admission.acquire()
        try:
            self._refuse_duplicate(run_id)
        except RunRejected:
            self.admission.release()
            raise
        return self.admission.release

    def begin(self, run: Run, release_place: Callable[[], None]) -> None:
        """Take ownership of a run and start it in a copy of the caller's context."""
        self.runs[run.run_state.run_id] = run
        if run.request.open_store is not None:
            self.remember_store(run.request.open_store)
        if release_place is not do_nothing and self.admission.limit is not None:
            call_soon, members = self.loop.call_soon, [run.run_state]
            run.run_state.place = RunPlace(
                self.admission.release, self.admission.request_again, call_soon, members
            )
        run.kept_events = KeptEvents(self.keep)
        run.kept_events.attach(run.publisher)
        if self.on_begin is not do_nothing:
            self.on_begin(run)
        variables = copy_context()
        variables.run(_owner.set, self)
        # The run is set in a copy: the caller's own context variables stay unchanged.
        run.release_place = release_place
        run.on_done = self._end_run
        try:
            self.system.dispatcher.start_job(
                lambda: drive_in_context(variables, execute_run(run))
            )
        except BaseException:
            self._end_run(run)
            raise

    def remember_store(self, open_store: OpenStore) -> None:
        """Remember a store, in which listeners may look for runs."""
        if open_store not in self.stores:
            self.stores[open_store] = None
            if len(self.stores) > MAX_ENDED_KNOWN:
                del self.stores[next(iter(self.stores))]

    def _end_run(self, run: Run) -> None:
        run_id = run.run_state.run_id
        if run_id in self._submitted or run_id in self.durable:
            _log_run_end(run)
        self._forget(run)
        if run.kept_events is not None:
            run.kept_events.end()
        if run.is_unread:
            self._unread[run_id] = run
            run.on_read = partial(self._note_read, run_id)
        place = run.run_state.place
        if place is not None and not place.end():
            self.admission.ignore_release()
        run.release_place()

    def _note_read(self, run_id: str) -> None:
        self._unread.pop(run_id, None)
        if self._all_read is not None and not self.unread():
            self._all_read.set()
            self._all_read = None

    def _refuse_duplicate(self, run_id: str) -> None:
        if run_id in self.runs:
            reason = f"a run with the id '{run_id}' is at work"
            raise RunRejected(reason, "Give it an id of its own, or submit() it.")

    def _forget(self, run: Run) -> None:
        run_id = run.run_state.run_id
        del self.runs[run_id]
        stream = self._submitted.pop(run_id, None)
        if stream is not None and run_id in self._client_named:
            self._client_named.discard(run_id)
            self._ended[run_id] = stream
            if len(self._ended) > MAX_ENDED_KNOWN:
                self._ended.popitem(last=False)
        if self._idle is not None and not self.runs:
            self._idle.set()
            self._idle = None

    # -- runs that are kept

    async def submit(self, request: RunRequest, *, is_named: bool) -> RunStream:
        """Wait for a place and start a run, or return the run that has its id.

        Raises:
            RunRejected: no new runs are taken, or the id belongs to another pipe.
        """
        if (existing := self._existing_run(request)) is not None:
            return existing
        await self.admission.acquire()
        try:
            existing = self._existing_run(request)
        except RunRejected:
            self.admission.release()
            raise
        if existing is not None:
            self.admission.release()
            return existing
        return self._start_submitted(request, is_named=is_named)

    def submit_nowait(self, request: RunRequest, *, is_named: bool) -> RunStream:
        """Start a run if a place is free, or return the run that has its id.

        Raises:
            RunRejected: there is no place, no new runs are taken, or another pipe uses
                the id.
        """
        if (existing := self._existing_run(request)) is not None:
            return existing
        self.admission.acquire_nowait()
        return self._start_submitted(request, is_named=is_named)

    def _start_submitted(self, request: RunRequest, *, is_named: bool) -> RunStream:
        stream = RunStream(lambda: request, self)
        stream.begin_submitted(self, self.admission.release)
        self._submitted[request.run_id] = stream
        if is_named:
            self._client_named.add(request.run_id)
        return stream

    def known(self, run_id: str) -> RunStream | None:
        """Return the submitted run with an id, while it is remembered."""
        return self._submitted.get(run_id) or self._ended.get(run_id)

    def _existing_run(self, request: RunRequest) -> RunStream | None:
        """Return the remembered run with the id of the request, if there is one."""
        existing = self.known(request.run_id)
        if existing is None:
            self._refuse_duplicate(request.run_id)
            return None
        if existing.pipe_name != request.plan.name:
            reason = (
                f"the id '{request.run_id}' is a run of pipe '{existing.pipe_name}'"
            )
            raise RunRejected(reason, "Give it an id of its own.")
        return existing

    # -- leaving

    def cancel(self, reason: str) -> None:
        """Cancel every run."""
        if self.admission.state != "open":
            self.cancelled.update(self.runs)
        for run in list(self.runs.values()):
            run.stop(PipelineTerminalStatus.CANCELLED, reason)

    def cancel_others(self, reason: str) -> None:
        """Cancel every run that is not durable."""
        for run_id, run in list(self.runs.items()):
            if run_id not in self.durable:
                if self.admission.state != "open":
                    self.cancelled.add(run_id)
                run.stop(PipelineTerminalStatus.CANCELLED, reason)

    async def wait_idle(self) -> None:
        """Wait until no run is at work."""
        while self.runs:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()

    def unread(self) -> tuple[str, ...]:
        """Return the ids of ended runs that have a reader without FINISH."""
        return tuple(run_id for run_id, run in self._unread.items() if run.is_unread)

    async def wait_read(self) -> None:
        """Wait until the readers of all ended runs have received FINISH."""
        while self.unread():
            self._all_read = self._all_read or anyio.Event()
            await self._all_read.wait()

    def close(self) -> None:
        """Reject all further runs."""
        self.refuses_nested_runs = True
        self.admission.close(CLOSED)


def _log_run_end(run: Run) -> None:
    """Log the end of a submitted run if it failed outside its steps, or timed out.

    A failed step is logged when it fails.  Everything else that ends a run is in FINISH
    only, and a submitted run need not have a reader.  A cancelled run is not logged: the
    caller knows.
    """
    end = run.end
    level = None if end is None else _level_of(end)
    if end is None or level is None:
        return
    run_id = run.run_state.run_id
    _logger.log(
        level,
        "Run '%s' of pipe '%s': %s",
        escape_controls(run_id),
        run.request.plan.name,
        escape_controls(end.headline),
        exc_info=end.exception,
        extra={"run": run_id},
    )


def _level_of(end: PipelineEndData) -> int | None:
    if end.status is PipelineTerminalStatus.TIMEOUT:
        return logging.WARNING
    is_failed = end.status is PipelineTerminalStatus.FAILED
    if is_failed and end.failure_kind is not FailureKind.STEP:
        return logging.ERROR
    return None
