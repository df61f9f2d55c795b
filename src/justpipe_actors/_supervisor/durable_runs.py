"""The durable runs of one supervisor: submission, claims, signals and release.

::

    submit ──> journal row ──┬─ a place is free ────> at work
                             └─ no place is free ───> claimed in a later turn
    claim ──> rows read in the journal's thread ──> request, RunJournal ──> at work

All blocking calls run in the thread of the ``JournalWriter``; this class is used in the
event loop only.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

import anyio
import attrs

from .._engine.answering import apply_answer
from .._engine.journal_port import BatchDraft, BatchEnd
from .._engine.run_journal import RunJournal
from .._engine.value_codec import StorableValues
from .._run.durable_run import (
    load_outcome,
    lost,
    rearm_timers,
    request_release,
)
from .._run.run import Run, RunRequest, check_run_id
from .._util.lazy_classes import define
from .._util.stored_state import parts_of
from ..abc import Claim, Journal, NewRun, RunRow, Signal, StorageBackend, Submitted
from ..errors import JournalUnusableError, RunRejected, RunReleased, RunStuck
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from . import stored_runs
from .durable_stream import DurableStream
from .early_signals import EarlySignals
from .journal_writer import JournalWriter
from .journaled_history import complete_histories, is_private
from .leases import LeaseKeeper, Turn
from .plan_version import version_of
from .questions import begin_answer
from .stored_results import load_result
from .taking_up import TakenUp, load, open_run_journal, refusal_of, request_of


if TYPE_CHECKING:
    from ..pipe import Pipe
    from .active_runs import ActiveRuns
    from .catalog import Catalog


MAX_ENDED_KNOWN = 128
"""Maximum number of ended runs with events that are kept in this process."""

READ_AGAIN = 1.0
"""Seconds before a claimed run that could not be read is read again."""

_logger = logging.getLogger("justpipe_actors.journal")


@define(eq=False, repr=False)
class DurableRuns:
    """Submits, claims, runs and releases the durable runs of one supervisor."""

    journal: Journal
    active_runs: ActiveRuns
    """The runs at work."""
    catalog: Catalog
    """The pipes by name."""
    writer: JournalWriter = attrs.field(init=False)
    """Calls the journal in its own thread."""
    keeper: LeaseKeeper = attrs.field(init=False)
    """Renews the leases and claims runs."""
    values: StorableValues = attrs.field(init=False)
    """Converts values to JSON values and back."""
    released: set[str] = attrs.field(factory=set, init=False)
    """Ids of the runs that were released by the drain."""
    _streams: WeakValueDictionary[str, DurableStream] = attrs.field(
        factory=WeakValueDictionary, init=False
    )
    _kept: dict[str, DurableStream] = attrs.field(factory=dict, init=False)
    _ended: deque[DurableStream] = attrs.field(
        factory=lambda: deque(maxlen=MAX_ENDED_KNOWN), init=False
    )
    _at_work: dict[int, Run] = attrs.field(factory=dict, init=False)
    _early: EarlySignals = attrs.field(factory=EarlySignals, init=False)
    _is_open: bool = attrs.field(default=False, init=False)
    _stopped: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        loop = self.active_runs.loop
        self.writer = JournalWriter(self.journal, loop.call_soon)
        self.keeper = LeaseKeeper(
            self.journal,
            self.writer,
            self.handle_turn,
            self._pipe_names,
            self._free_places,
        )
        self.values = StorableValues(self.journal.types)

    # -- opening and closing

    async def start(self) -> None:
        """Open the journal and become one of its workers.

        Raises:
            DefinitionError: two pipes share a name, or a pipe has no explicit name.
        """
        self.catalog.check_durable()
        self.writer.start()
        try:
            await self.keeper.start()
        except BaseException:
            await self.writer.aclose(0)  # noqa: ASYNC102 - bounded by its zero seconds
            raise
        self.writer.post(partial(complete_histories, self.journal, self._histories()))

    def _histories(self) -> list[StorageBackend]:
        """Return the stores that keep the events of the supervisor's pipes."""
        pipes = (self.catalog.find(name) for name in self.catalog.names())
        return [pipe.open_history() for pipe in pipes if pipe.persist]

    def open(self) -> None:
        """Start claiming runs."""
        self._is_open = True
        self.keeper.hurry()

    def stop_claiming(self) -> None:
        """Stop claiming runs."""
        self._is_open = False
        self._stopped.set()

    async def aclose(self) -> None:
        """Release the leases that this worker still holds, and end the threads."""
        await self.keeper.aclose()
        await self.keeper.leave()
        await self.writer.aclose(self.journal.lease)

    def _pipe_names(self) -> Sequence[str]:
        return self.catalog.names() if self._is_open else ()

    def _free_places(self) -> int | None:
        if not self._is_open:
            return 0
        return self.active_runs.admission.free_places

    # -- submitting

    async def submit(
        self, request: RunRequest, pipe: Pipe[Any, Any], context: object
    ) -> DurableStream:
        """Store a run unless its id exists, and start it if a place is free.

        Args:
            request: the request for the run.
            pipe: the pipe of the run.
            context: the context that the caller passed; a context that the supervisor
                made is not stored.

        Raises:
            DefinitionError: the pipe has no explicit name, or the supervisor does not
                have it.
            NotStorable: the state or the context cannot be stored.
            RunRejected: no new runs are taken, or the id is in use by
                another pipe.
        """
        check_run_id(request.run_id)
        self.catalog.check_submitted(pipe)
        given = self._dump_input(request, context)
        new = NewRun(
            run_id=request.run_id,
            pipe=request.plan.name,
            fingerprint=version_of(request.plan),
            input=json.dumps(given),
        )
        has_place = self.active_runs.admission.take_place()
        with self._early.starting():
            submitted = await self._store_new(new, has_place=has_place)
            if submitted.claim is not None:
                return self._begin(request, submitted.claim)
        if has_place:
            self.active_runs.admission.release()
        if submitted.is_forgotten:
            reason = f"a run with the id '{request.run_id}' ended long ago"
            remedy = "Give it an id of its own, or forget it with 'runs --forget'."
            raise RunRejected(reason, remedy)
        if not submitted.is_new:
            self._check_same(submitted.run, new)
        return self.stream_of(submitted.run, request.capacity)

    async def _store_new(self, new: NewRun, *, has_place: bool) -> Submitted:
        """Store a run, and claim it if it has a place.

        If the caller is cancelled, the place is released.  The run may have been stored
        and claimed nevertheless, and is then taken up without its caller.
        """
        worker = self.keeper.worker if has_place else None
        claims: list[Claim] = []

        def store() -> Submitted:
            submitted = self.journal.submit(new, worker)
            if submitted.claim is not None:
                claims.append(submitted.claim)
            return submitted

        try:
            return await self.writer.call(store)
        except BaseException:
            if has_place:
                self.active_runs.admission.release()
            writer = self.writer
            writer.post(
                partial(writer.call_soon, partial(self._take_up_claimed, claims))
            )
            raise

    def _dump_input(self, request: RunRequest, context: object) -> dict[str, Any]:
        plan = request.plan
        return {
            "state": self.values.dump_state(plan, request.state),
            "context": self.values.dump_context(plan, context),
            "start": request.start,
            "timeout": request.timeout,
            "capacity": request.capacity,
        }

    def _check_same(self, row: RunRow, new: NewRun) -> None:
        if row.pipe != new.pipe:
            reason = f"the id '{row.run_id}' is a run of pipe '{row.pipe}'"
            raise RunRejected(reason, "Give it an id of its own.")
        if json.loads(row.input) != json.loads(new.input):
            warnings.warn(
                f"Run '{row.run_id}' was submitted before with another input, which "
                "counts; give this one an id of its own.",
                stacklevel=4,
            )

    def _begin(self, request: RunRequest, claim: Claim) -> DurableStream:
        stream = self.stream_of(claim.run, request.capacity)
        taken = TakenUp(
            claim,
            {"timeout": request.timeout},
            None,
            None,
            has_state=False,
            fold={},
            signals=[],
        )
        self._take_up(stream, request, taken)
        return stream

    # -- runs as streams

    def stream_of(self, row: RunRow, capacity: int = 1000) -> DurableStream:
        """Return the stream of a run at work here, at work elsewhere, or ended."""
        stream = self._streams.get(row.run_id)
        if stream is None:
            cancel = partial(self.cancel_soon, row.run_id)
            stream = DurableStream(
                row.run_id,
                row.pipe,
                capacity,
                cancel,
                partial(begin_answer, self),
                partial(
                    load_result, self.writer, self.catalog, self.values, row.run_id
                ),
            )
            self._streams[row.run_id] = stream
        self._update_stream(stream, row)
        return stream

    def known(self, run_id: str) -> DurableStream | None:
        """Return the stream of a run of this supervisor."""
        return self._streams.get(run_id)

    async def find(self, run_id: str) -> DurableStream | None:
        """Return the stream of any run of the journal."""
        row = await self.writer.call(self.journal.find, run_id)
        return None if row is None else self.stream_of(row)

    def _update_stream(self, stream: DurableStream, row: RunRow) -> None:
        """Update a stream from the row of its run, which is not at work here."""
        if not stream.is_waited_for:
            return
        if row.outcome is not None:
            stream.resolve(load_outcome(json.loads(row.outcome)))
            self._streams.pop(row.run_id, None)
        elif row.status == "stuck":
            stream.fail(RunStuck(row.run_id, row.problem or "it could not go on"))

    def cancel_soon(self, run_id: str, reason: str) -> None:
        """Store a cancellation for a run in any process; do not wait."""

        def job() -> None:
            try:
                self.writer.when_free(self.journal.cancel, run_id, reason)
            except Exception:
                _logger.exception("The cancellation of run %s is not stored", run_id)

        self.writer.post(job)
        self.keeper.hurry()

    async def cancel(self, run_id: str, reason: str) -> bool:
        """Store a cancellation for a run in any process; False if it is not at work."""
        is_open = await self.writer.call(self.journal.cancel, run_id, reason)
        self.keeper.hurry()
        return is_open

    async def begin_stored(
        self, make: Callable[..., RunRow], *args: Any
    ) -> DurableStream:
        """Prepare a run in the journal with ``make``, and return its stream.

        Raises:
            UnknownRunError: there is no such run.
            RunRejected: the run is in a state that does not allow it.
        """
        row = await self.writer.call(make, self.journal, *args)
        self._streams.pop(row.run_id, None)  # the stream of a stuck run has ended
        self.keeper.hurry()
        return self.stream_of(row)

    async def fork(
        self, run_id: str, at: int | None, state: Any, new_id: str | None
    ) -> DurableStream:
        """Start a run that continues from a commit of another run."""
        text: str | None = None
        if state is not None:
            row = await self.writer.call(stored_runs.find_run, self.journal, run_id)
            plan = self.catalog.find(row.pipe).plan()
            plain = self.values.dump_state(plan, state)
            text = json.dumps({"p": parts_of(plain)})
        make = partial(stored_runs.fork, at=at, state=text, new_id=new_id)
        return await self.begin_stored(make, run_id)

    # -- turns (handled in the event loop)

    def handle_turn(self, turn: Turn) -> None:
        """Handle what a turn of this worker has found."""
        if turn.has_clock_jumped:
            self._arm_timers()
        if turn.is_lost:
            self._lose_runs()
        self._take_up_claimed(turn.claims)
        self._pass_on(turn.signals)
        if turn.is_complete:
            self._look_up_awaited()

    def _take_up_claimed(self, claims: Sequence[Claim]) -> None:
        """Take up the runs that this worker has leased."""
        for claim in claims:
            if self._is_open:
                spawn = self.active_runs.system.spawn
                # A run that waited may have taken the place for which it was claimed.
                self.active_runs.admission.request_again(
                    partial(spawn, self._load, claim)
                )

    def _pass_on(self, signals: Sequence[Signal]) -> None:
        """Pass signals to the runs at work."""
        for signal in signals:
            run = self._at_work.get(signal.run)
            if run is None:
                self._early.keep(signal)
            else:
                self._apply(run, signal)

    def _arm_timers(self) -> None:
        """Start the timers of all runs again: due times are on the journal's clock."""
        for run in list(self._at_work.values()):
            rearm_timers(run)

    def _lose_runs(self) -> None:
        """Release all runs: other workers may have claimed them."""
        for run in list(self._at_work.values()):
            journal = run.run_state.journal
            if journal is not None:
                journal.stream.seal()
                lost(run)

    def _look_up_awaited(self) -> None:
        """Look up the runs that are awaited here and are not at work here."""
        waited = [name for name, one in self._streams.items() if one.is_waited_for]
        if waited:
            self.writer.post(partial(self._read_awaited, waited))

    def _read_awaited(self, run_ids: list[str]) -> None:
        """Read rows in the journal's thread, and update the streams in the event loop."""
        try:
            rows = [self.journal.find(run_id) for run_id in run_ids]
        except Exception as error:  # noqa: BLE001 - the next turn tries again
            _logger.warning("The journal cannot be read: %s", error)
            return
        found = [row for row in rows if row is not None and row.status != "running"]
        self.writer.call_soon(partial(self._update_streams, found))

    def _update_streams(self, rows: list[RunRow]) -> None:
        for row in rows:
            if (stream := self._streams.get(row.run_id)) is not None:
                self._update_stream(stream, row)

    def _apply(self, run: Run, signal: Signal) -> None:
        journal = run.run_state.journal
        assert journal is not None
        if journal.stream.is_releasing:
            return  # it stays in the journal for the next owner of the run
        if signal.kind == "cancel":
            reason = json.loads(signal.body) if signal.body else "Cancelled"
            journal.stream.consumed.append(signal.id)
            run.stop(PipelineTerminalStatus.CANCELLED, str(reason))
        elif signal.kind == "answer":
            apply_answer(run.run_state, signal)

    # -- taking up

    async def _load(self, claim: Claim) -> None:
        """Read a claimed run and continue it."""
        with self._early.starting():
            await self._load_claimed(claim)

    async def _load_claimed(self, claim: Claim) -> None:
        release = self.active_runs.admission.release
        try:
            await self._wait_cleaned_up(claim.run.id)
            taken = await self._read(claim)
            if taken is None:
                release()
                return
            stream = self.stream_of(claim.run, taken.input.get("capacity", 1000))
            attempts = self.journal.attempts
            problem = refusal_of(taken, self.catalog, self.values, attempts)
            if problem is not None:
                release()
                self._give_up(stream, claim, problem)
                return
            if not self._is_open:
                release()
                return  # leaving the journal releases the lease
            request = request_of(taken, self.catalog, self.values)
        except Exception as error:
            _logger.exception("Run %s cannot be taken up", claim.run.run_id)
            release()
            stream = self.stream_of(claim.run)
            self._give_up(stream, claim, f"{type(error).__name__}: {error}")
            return
        self._take_up(stream, request, taken)

    async def _wait_cleaned_up(self, row: int) -> None:
        """Wait until a run that was parked or lost here has ended its cleanup.

        An answer or a due time may make the run ready during the cleanup.  This worker
        may also claim a run that it had under its former number, if it was declared
        dead.
        """
        while (run := self._at_work.get(row)) is not None:
            await run.done.wait()

    async def _read(self, claim: Claim) -> TakenUp | None:
        """Read a claimed run; None if the supervisor closes before it can be read."""
        problem = ""
        while True:
            try:
                return await self.writer.call(load, self.journal, claim)
            except JournalUnusableError as error:
                if problem != (problem := error.problem):
                    text = "Run %s cannot be read and stands still: %s"
                    _logger.warning(text, claim.run.run_id, problem)
            with anyio.move_on_after(READ_AGAIN):
                await self._stopped.wait()
                return None

    def _take_up(
        self, stream: DurableStream, request: RunRequest, taken: TakenUp
    ) -> None:
        row = taken.claim.run
        if taken.claim.deaths:
            _logger.info(
                "Run '%s' of pipe '%s' is taken up: the process that had it has died",
                row.run_id,
                request.plan.name,
                extra={"run": row.run_id},
            )
        deadline: float | None = None
        if request.timeout is not None:
            deadline = row.created + request.timeout
            left = max(deadline - self.journal.now(), 0.0)
            request = attrs.evolve(request, time_left=left)
        request = attrs.evolve(
            request,
            open_journal=partial(self._open_journal, taken, deadline),
            journal=None if is_private(self.journal) else self.journal.location,
        )
        run = stream.take_up(
            request, self.active_runs, partial(self._released_place, row.id)
        )
        self._at_work[row.id] = run
        self._kept[request.run_id] = stream
        self.active_runs.durable.add(request.run_id)
        for signal in (*taken.signals, *self._early.of(row.id, taken.signals)):
            self._apply(run, signal)
        if not self._is_open:
            request_release(run, "the supervisor is draining")

    def _released_place(self, row: int) -> None:
        run = self._at_work.pop(row, None)
        self.active_runs.admission.release()
        if run is None:
            return
        run_id = run.run_state.run_id
        self.active_runs.durable.discard(run_id)
        if run.released is not None and run.end is None:
            self.released.add(run_id)
        stream = self._kept.pop(run_id, None)
        if stream is not None and run.is_parked:
            stream.park()
        elif stream is not None:
            self._ended.append(stream)
        if self._is_open:
            self.keeper.hurry()

    def _open_journal(
        self, taken: TakenUp, deadline: float | None, run: Run
    ) -> RunJournal:
        return open_run_journal(
            taken,
            run,
            self.journal,
            put=self.writer.put,
            values=self.values,
            find_pipe=self.catalog.find,
            deadline=deadline,
        )

    def _give_up(self, stream: DurableStream, claim: Claim, problem: str) -> None:
        """Mark a run as stuck: it is not claimed again until a person redrives it."""
        draft = BatchDraft(
            run=claim.run.id,
            n=claim.n + 1,
            kind="release",
            delta={},
            status="stuck",
            problem=problem,
        )

        def batch_ended(end: BatchEnd) -> None:
            if end is BatchEnd.STORED:
                stream.fail(RunStuck(claim.run.run_id, problem))

        self.writer.put(draft, batch_ended)
        _logger.error("Run %s is stuck: %s", claim.run.run_id, problem)

    # -- releasing

    def release_all(self, reason: str) -> None:
        """Release each durable run as soon as none of its user code is running."""
        self.stop_claiming()
        for run in list(self._at_work.values()):
            request_release(run, reason)
        for stream in list(self._streams.values()):
            if stream.is_waited_for:
                stream.fail(RunReleased(stream.run_id, reason))

    def release_now(self, reason: str) -> None:
        """Release all durable runs without waiting for their user code."""
        self.release_all(reason)
        for run in list(self._at_work.values()):
            journal = run.run_state.journal
            if journal is not None:
                journal.stream.rest.set()


def outcome_of(row: RunRow) -> PipelineEndData | None:
    """Return the outcome of a run; None if it has not ended."""
    if row.outcome is None:
        return None
    return load_outcome(cast("object", json.loads(row.outcome)))
