"""The batches of one durable run and its children: when they are taken and stored.

::

    touch ... touch -> request -> [loop turn ends] -> take -> writer thread -> stored
                                                       |                        |
                                       what changed, the outbox     the outbox is delivered

A commit of the engine is one synchronous stretch, and a batch is taken in a callback of
the event loop.  A callback never runs inside such a stretch, so every batch is a
consistent cut of the whole run, whatever is in flight.  At most one batch of a run is on
its way; what changes meanwhile is in the next one.

In ``sync`` mode a message is delivered when the batch with the change that sent it is
stored.  In ``group`` mode it is delivered at once, and batches follow within
``GROUP_INTERVAL``.

Rejected: a batch per invocation.  It would have to wait for the disk once per step of
every branch, while one batch can hold the commits of all branches.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Literal

import anyio
import attrs

from .._util.lazy_classes import define
from .._util.stored_state import StateChange
from .journal_port import (
    BatchDraft,
    BatchEnd,
    JsonValue,
    LastRow,
    OnBatchEnd,
    PutBatch,
)
from .value_codec import StorableValues


if TYPE_CHECKING:
    from .._plan.plan import Plan
    from ..abc.journal_records import NewAsk, Signal
    from .messages import Message
    from .run_journal import RunJournal
    from .timers import TimerHandle, TimerQueue


GROUP_INTERVAL = 0.01
"""Seconds between two batches of a run in ``group`` mode."""

COPY_SHARE = 10
"""Shortest wait before the next batch of a run at work, in times that the last one took."""

COPY_TRIES = 5
"""Attempts to copy a state while a thread changes it."""

SNAPSHOT_EVERY = 500
"""Commits after which a batch holds everything instead of what changed."""

UNCHANGED = LastRow()
"""The last row of a commit: the status of the run stays the same."""

check_fold = False
"""Whether each batch is checked against the run; tests switch it on."""


class FoldMismatch(AssertionError):
    """Reading the stored rows would not give the run: a change was not recorded."""


@define(eq=False, repr=False)
class BatchStream:
    """The stream of rows of one durable run, its children included."""

    run: int
    """The journal's number of the run."""
    n: int
    """Number of the last row."""
    incarnation: int
    """Number of times that a process has started or resumed the run."""
    holds: bool
    """Whether messages wait until their batch is stored (``sync`` mode)."""
    put: PutBatch
    """Hands a batch to the journal's writer."""
    codec: StorableValues
    """Turns values into JSON values."""
    call_soon: Callable[[Callable[[], None]], None]
    """Calls a function in the event loop."""
    now: Callable[[], float]
    """The loop's clock, in seconds."""
    wall_now: Callable[[], float]
    """The journal's clock, in seconds since the epoch."""
    timers: TimerQueue
    """Calls a function at a time, to take a delayed batch."""
    find_pipe: Callable[[str], object]
    """Returns the pipe of a name, for child runs that a step has started."""
    on_lost: Callable[[], None]
    """Called when another worker has taken the run over."""
    on_parked: Callable[[], None]
    """Called when the run was released because it has only waits left."""
    on_broken: Callable[[Exception], None]
    """Called when no batch can be taken because the state cannot be stored."""
    members: list[RunJournal] = attrs.field(factory=list, init=False)
    """The journals of the run and of its children at work; the run's own is first."""
    verifies: bool = False
    """Whether each stored state is loaded and compared with the original."""
    version_of: Callable[[Plan], str] = attrs.field(default=lambda plan: "")
    """Returns the version of a plan, which is recorded with a child run's state."""
    deadline: float | None = None
    """When the run times out, on the journal's clock in seconds; None is never."""
    is_requested: bool = attrs.field(default=False, init=False)
    """Whether the next batch is scheduled."""
    is_sealed: bool = attrs.field(default=False, init=False)
    """Whether recording has stopped: the run was lost or released, or has ended."""
    rest: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    """Set when the run is being released and no user code of it is at work."""
    is_releasing: bool = attrs.field(default=False, init=False)
    """Whether delivery has stopped, because the run is being released."""
    answers: dict[str, Signal] = attrs.field(factory=dict, init=False)
    """Answers to questions that their steps have not asked again yet."""
    consumed: list[int] = attrs.field(factory=list, init=False)
    """Signals that the next batch marks as consumed, together with their effect."""
    asks: list[NewAsk] = attrs.field(factory=list, init=False)
    """Questions that the next batch opens."""
    asks_gone: list[str] = attrs.field(factory=list, init=False)
    """Questions that the next batch closes."""
    new_items: list[tuple[int, int, list[JsonValue]]] = attrs.field(
        factory=list, init=False
    )
    """Map items that the next batch stores."""
    maps_gone: list[int] = attrs.field(factory=list, init=False)
    """Maps that lose their stored items in the next batch."""
    ended_steps: dict[str, None] = attrs.field(factory=dict, init=False)
    """Steps that have ended since the last batch; named if it cannot be taken."""
    item_lists: int = 0
    """Lists of map items stored so far; the last one has this number."""
    _outbox: list[tuple[RunJournal, Message]] = attrs.field(factory=list, init=False)
    _in_flight: int = attrs.field(default=0, init=False)
    _waiters: list[anyio.Event] = attrs.field(factory=list, init=False)
    _announcements: list[Callable[[], None]] = attrs.field(factory=list, init=False)
    _has_changed: bool = attrs.field(default=False, init=False)
    _timer: TimerHandle | None = attrs.field(default=None, init=False)
    _is_busy: bool = attrs.field(default=False, init=False)
    _is_closing: bool = attrs.field(default=False, init=False)
    _is_broken: bool = attrs.field(default=False, init=False)
    _not_before: float = attrs.field(default=0.0, init=False)
    _since_snapshot: int = attrs.field(default=0, init=False)
    _quiet: anyio.Event | None = attrs.field(default=None, init=False)
    _fold: dict[str, JsonValue] = attrs.field(factory=dict, init=False)

    @property
    def root(self) -> RunJournal:
        """The journal of the run itself."""
        return self.members[0]

    @property
    def held(self) -> int:
        """Messages that wait until their batch is stored."""
        return len(self._outbox) + self._in_flight

    # -- changes

    def request(self) -> None:
        """Schedule a batch because something has changed."""
        self._has_changed = True
        if self.is_requested or self._is_busy or self._is_closing or self.is_sealed:
            return
        self.is_requested = True
        if self.holds:
            self.call_soon(self._flush)
        else:
            due = self.now() + GROUP_INTERVAL
            self._timer = self.timers.start(due, self._flush, name="journal")

    def post(self, journal: RunJournal, message: Message) -> None:
        """Deliver a message when the batch that holds it is stored."""
        if self.is_sealed or self._is_broken:
            journal.deliver(
                message
            )  # no batch follows; a message must not keep its token
        elif self.holds or self.is_releasing:
            self._outbox.append((journal, message))
        else:
            journal.deliver(message)

    async def wait_stored(self) -> None:
        """Wait until all changes so far are stored."""
        if self.is_sealed:
            return
        waiter = anyio.Event()
        self._waiters.append(waiter)
        self.request()
        await waiter.wait()

    def announce_stored(self, announce: Callable[[], None]) -> None:
        """Call a function once all changes so far are stored.

        It is called before the run may be released because it has nothing to do.
        """
        self._announcements.append(announce)
        self.request()

    # -- batches

    def _flush(self) -> None:
        self.is_requested = False
        if self._is_busy or self._is_closing or self.is_sealed:
            return
        if self.holds and self.now() < self._not_before and self._is_at_work():
            self.is_requested = True
            self._timer = self.timers.start(
                self._not_before, self._flush, name="journal"
            )
            return
        self._store("commit")

    def _stop_timer(self) -> None:
        """Cancel the delayed batch, because one is taken now or no more are taken."""
        timer, self._timer = self._timer, None
        if timer is not None:
            self.is_requested = False
            self.timers.stop(timer)

    def _is_at_work(self) -> bool:
        """Return whether any work can continue before the next batch is stored."""
        queued = -len(self._outbox)
        for member in self.members:
            count = member.count_queued()
            if count is None:
                return True
            queued += count
        return queued > 0

    def _store(
        self,
        kind: Literal["commit", "release", "end"],
        last: LastRow = UNCHANGED,
        *,
        on_end: OnBatchEnd | None = None,
        revise: Callable[[], LastRow] | None = None,
    ) -> None:
        self._stop_timer()
        began = self.now()
        try:
            delta, state, is_whole = self._take(may_be_whole=kind == "commit")
        except Exception as error:  # noqa: BLE001 - the user's objects may raise anything
            self._give_up(error)
            if kind == "commit":
                return
            delta, state, is_whole = {}, None, False
            last = last if revise is None else revise()
        self._not_before = self.now() + COPY_SHARE * (self.now() - began)
        draft = self._new_draft("snapshot" if is_whole else kind, last, delta, state)
        self._is_busy = True
        self._has_changed = False
        outbox, self._outbox = self._outbox, []
        waiters, self._waiters = self._waiters, []
        announcements, self._announcements = self._announcements, []
        self._in_flight = len(outbox)

        def batch_ended(end: BatchEnd) -> None:
            if end is BatchEnd.STORED:
                for announce in announcements:
                    announce()
            self._batch_ended(outbox, waiters, end)
            if on_end is not None:
                on_end(end)

        self.put(draft, batch_ended)

    def _new_draft(
        self,
        kind: Literal["commit", "snapshot", "release", "end"],
        last: LastRow,
        delta: dict[str, JsonValue],
        state: StateChange | None,
    ) -> BatchDraft:
        """Return the next batch, with all that was added since the previous one."""
        self.n += 1
        draft = BatchDraft(
            run=self.run,
            n=self.n,
            kind=kind,
            delta=delta,
            state=state,
            items=tuple(self.new_items),
            maps_gone=tuple(self.maps_gone),
            asks=tuple(self.asks),
            asks_gone=tuple(self.asks_gone),
            consumed=tuple(self.consumed),
            status=last.status,
            wake_at=last.wake_at,
            outcome=last.outcome,
            problem=last.problem,
        )
        for kept in (self.new_items, self.maps_gone, self.asks, self.asks_gone):
            kept.clear()
        self.consumed.clear()
        self.ended_steps.clear()
        return draft

    def _take(
        self, *, may_be_whole: bool
    ) -> tuple[dict[str, JsonValue], StateChange | None, bool]:
        """Return the changed entities with their present values, or all when it is due.

        Raises:
            NotStorable: a part of a state cannot be stored; nothing was taken.
        """
        if self.root.is_untouched:
            return {}, None, False
        self._since_snapshot += 1
        is_whole = may_be_whole and self._since_snapshot >= SNAPSHOT_EVERY
        state = self._take_state(is_whole=is_whole)
        for member in self.members[1:]:
            if member.child_state is not None:
                member.child_state.dump()
        delta: dict[str, JsonValue] = {}
        for member in self.members:
            delta.update(member.collect())
        if check_fold:
            self._check(delta)
        if is_whole:
            self._since_snapshot = 0
            delta = {}
            for member in self.members:
                delta.update(member.dump_all())
        return delta, state, is_whole

    def _take_state(self, *, is_whole: bool) -> StateChange | None:
        """Return the changes of the state; a thread may change it meanwhile."""
        for _ in range(COPY_TRIES - 1):
            try:
                return self.root.take_state(is_whole=is_whole)
            except RuntimeError:  # a container changed its size during iteration
                continue
        return self.root.take_state(is_whole=is_whole)

    def _check(self, delta: dict[str, JsonValue]) -> None:
        """Check that the stored rows restore the present run; see ``check_fold``."""
        apply_delta(self._fold, delta)
        whole: dict[str, JsonValue] = {}
        for member in self.members:
            whole.update(member.dump_all())
        wrong = {
            key: (self._fold.get(key), whole.get(key))
            for key in self._fold.keys() | whole.keys()
            if self._fold.get(key) != whole.get(key)
        }
        if wrong:
            msg = (
                f"The rows of run {self.run} differ from the run (stored, is): {wrong}"
            )
            raise FoldMismatch(msg)

    def begin_fold(self, fold: dict[str, JsonValue]) -> None:
        """Also check batches against the entities that were stored before."""
        self._fold = dict(fold)

    def _batch_ended(
        self,
        outbox: list[tuple[RunJournal, Message]],
        waiters: list[anyio.Event],
        end: BatchEnd,
    ) -> None:
        self._is_busy = False
        self._in_flight = 0
        for journal, message in outbox:
            # An interrupted run's message, too: taking it releases its token.
            journal.deliver(message)
        for waiter in waiters:
            waiter.set()
        if end is BatchEnd.REFUSED:
            self.seal()
            self.on_lost()
        elif self._has_changed:
            self.request()
        else:
            self.park()
        quiet, self._quiet = self._quiet, None
        if quiet is not None:
            quiet.set()

    def _give_up(self, error: Exception) -> None:
        """Stop recording, and release everything that waits for a batch."""
        for member in self.members:
            member.touched.clear()
        self._is_closing = self._is_broken = True
        outbox, self._outbox = self._outbox, []
        self.on_broken(error)
        for journal, message in outbox:
            journal.deliver(message)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set()

    # -- the end

    def park(self) -> bool:
        """Release a run that has only waits between steps left; return whether it was.

        The decision and the release row are made in one callback.  Signals that arrive
        while the row is being stored are not recorded, so the worker that resumes the
        run still finds them undelivered.
        """
        if self.is_releasing or self._is_closing or self.held or self._waiters:
            return False
        waits = [member.waits_left() for member in self.members]
        if None in waits or not any(waits):
            return False
        dues = [due for left in waits if left is not None for due in left]
        if self.deadline is not None:
            dues.append(self.deadline)
        self.is_releasing = self._is_closing = True

        def batch_ended(end: BatchEnd) -> None:
            if end is BatchEnd.STORED:
                self.seal()
                self.on_parked()

        wake_at = min(dues, default=inf)
        last = LastRow("waiting", wake_at=None if wake_at == inf else wake_at)
        self._store("release", last, on_end=batch_ended)
        return True

    def check_rest(self) -> None:
        """Set ``rest`` if the run is being released and no user code is at work."""
        if self.is_releasing and not any(
            not invocation.is_resting
            for member in self.members
            for invocation in member.run_state.active_invocations
        ):
            self.rest.set()

    def seal(self) -> None:
        """Stop recording and delivering."""
        self.is_sealed = True
        self._stop_timer()
        outbox, self._outbox = self._outbox, []
        for journal, message in outbox:
            journal.deliver(message)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set()

    async def close(
        self,
        kind: Literal["release", "end"],
        last: LastRow,
        revise: Callable[[], LastRow] | None = None,
    ) -> bool:
        """Store the last row of this owner; False when the run was lost before.

        Waits as long as storing fails: a run that ended without a row would begin
        anew in the next process.

        Args:
            kind: a release, or the end of the run.
            last: how the run stands from then on.
            revise: called when the state cannot be stored, which fails the run; returns
                how it stands then.
        """
        self._is_closing = True
        await self.wait_idle()
        if self.is_sealed:
            return False
        done = anyio.Event()
        ends: list[BatchEnd] = []

        def batch_ended(end: BatchEnd) -> None:
            ends.append(end)
            done.set()

        self._store(kind, last, on_end=batch_ended, revise=revise)
        await done.wait()
        self.is_sealed = True
        return ends[0] is BatchEnd.STORED

    async def wait_idle(self) -> None:
        """Wait until no batch is being stored."""
        while self._is_busy:
            if self._quiet is None:
                self._quiet = anyio.Event()
            await self._quiet.wait()


def apply_delta(fold: dict[str, JsonValue], delta: dict[str, JsonValue]) -> None:
    """Apply one row to a run's entities: new values, and None for removed ones."""
    for key, value in delta.items():
        if value is None:
            fold.pop(key, None)
        else:
            fold[key] = value
