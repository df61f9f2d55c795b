"""One run on its way into a store, seen from the event loop.

**It waits first, and drops later.**  While too much waits, whoever produces for the user
waits too, as for any observer, so memory is bounded and nothing is lost.  A store that
takes nothing for ``PATIENCE`` seconds is given up for this run: producers go on, later
events are counted and not kept, and the run's record says how many.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import anyio
import attrs

from ..abc import Wake
from ..abc.storage import Shut
from ..events import Event, EventType
from ..outcomes import PipelineEndData
from ..records import EventChunk, RunRecord
from .chunk_encoder import Encoder
from .event_columns import ATOMS, Stretch, copied, meta_text, stretches_of
from .redaction import Redaction
from .run_records import Words, begun, ended


HEAVIEST = 8_000_000
"""Bytes that may wait for the writer, roughly."""

LONGEST = 1024
"""Events that are held as such, and in one stretch."""

LONG = 500
"""Characters from which a text is weighed by itself."""

_logger = logging.getLogger("justpipe_actors.persistence")

_WITH_STATE = (EventType.START, EventType.STEP_END)
_EVENT = 250  # bytes that an event takes beside what is weighed, roughly
_HEAVY = HEAVIEST // 16  # bytes of what is weighed, after which a list is closed


@attrs.define(eq=False)
class Backlog:
    """One run's."""

    keeps_states: bool
    """Whether the payloads of START and STEP_END are stored at all."""
    knows_kin: bool = attrs.field(default=False, init=False)
    """Whether its tokens are as their step said them."""
    events: list[Event] = attrs.field(factory=list, init=False)
    """What is not closed yet, oldest first."""
    lost: int = attrs.field(default=0, init=False)
    """Events that were dropped, or that hooks have made into something that is none."""
    _closed: list[Stretch] = attrs.field(factory=list, init=False)
    _closing: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    # By the identity of events that are still in the list.
    _payloads: dict[int, object] = attrs.field(factory=dict, init=False)
    _metas: dict[int, str] = attrs.field(factory=dict, init=False)
    # The loop changes the first, and whoever holds the lock the others.
    _put: int = attrs.field(default=0, init=False)
    _weighed: int = attrs.field(default=0, init=False)
    _waiting: int = attrs.field(default=0, init=False)
    _count: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self.events) + self._count

    @property
    def weight(self) -> int:
        """Bytes that wait, roughly."""
        return len(self) * _EVENT + self._waiting + self._put - self._weighed

    # -- the event loop's side

    def add(self, event: Event) -> bool:
        """Add an event, its copy beside it; tell whether the list has become heavy."""
        payload, meta = event.payload, event.meta
        if payload is not None and (type(payload) is not str or len(payload) >= LONG):
            kept = payload
            if not self.keeps_states and event.type in _WITH_STATE:
                kept = None  # a large state that is not stored is not copied either
            elif type(payload) not in ATOMS:
                kept = copied(payload)
            self._payloads[id(event)] = kept
            if isinstance(kept, (bytes, str)):
                self._put += len(kept)
        # The usual one holds the framework's figures only, which nobody changes.
        if meta is not None and (len(meta) > 1 or "framework" not in meta):
            self._metas[id(event)] = text = meta_text(meta)
            self._put += len(text)
        self.events.append(event)
        return self._put - self._weighed >= _HEAVY

    @property
    def is_long(self) -> bool:
        """Whether it is time to close the list."""
        return len(self.events) >= LONGEST or self._put - self._weighed >= _HEAVY

    # -- both sides

    def close(self) -> None:
        """Make stretches of the events."""
        with self._closing:
            # What is appended meanwhile stays: only this many are removed.
            events = self.events[:]
            put = self._put
            try:
                self._closed += list(
                    stretches_of(
                        events,
                        self._payloads,
                        self._metas,
                        knows_kin=self.knows_kin,
                    )
                )
            except Exception as error:  # noqa: BLE001 - whatever hooks have put in them
                self.lost += len(events)
                for event in events:
                    self._payloads.pop(id(event), None)
                    self._metas.pop(id(event), None)
                _logger.warning("Lost %d events: %s", len(events), error)
            else:
                self._count += len(events)
                self._waiting += put - self._weighed
            self._weighed = put
            del self.events[: len(events)]

    # -- the writer's side

    def take(self) -> list[Stretch]:
        """Take all that waits."""
        self.close()
        with self._closing:
            return self._taken()

    def drop(self) -> None:
        """Forget all that waits; from both sides."""
        self.close()
        with self._closing:
            self.lost += sum(map(len, self._taken()))

    def _taken(self) -> list[Stretch]:
        taken, self._closed = self._closed, []
        self._count = self._waiting = 0
        return taken


R_contra = TypeVar("R_contra", contravariant=True)
"""Recorders, which know their scribe and not the other way round."""


class Scribe(Protocol[R_contra]):
    """Who writes what recorders hold."""

    def open(self, recorder: R_contra) -> None:
        """Write for one more run."""

    def stir(self) -> None:
        """Hear that something waits."""

    def hurry(self) -> None:
        """Hear that something should not wait any longer."""


PATIENCE = 10.0
"""Seconds that a run waits for a store that takes nothing."""

_STEP_START, _STEP_END = EventType.STEP_START, EventType.STEP_END

_logger = logging.getLogger("justpipe_actors.persistence")


def _shut_nothing(*, is_shut: bool) -> None:
    """Hold up nobody: the run asks the recorder itself."""


@attrs.define(eq=False)
class Recorder:
    """Writes one run down; ``abc.RunRecorder`` says what its run expects."""

    run_id: str
    """The run."""
    writer: Scribe[Recorder]
    """Who writes."""
    encoder: Encoder
    """Turns its events into chunks; used by the writer's thread only."""
    backlog: Backlog
    """What it has said and the writer has not taken."""
    flush_every: int
    """Events that wait when the writer is told to hurry."""
    redaction: Redaction | None = None
    """Rewrites events before they are stored."""
    fingerprint: str | None = None
    """Names the definition that runs."""
    record: RunRecord | None = attrs.field(default=None, init=False)
    """The run as it runs; None before it has begun."""
    outcome: RunRecord | None = attrs.field(default=None, init=False)
    """The run as it ended; no event follows once it is there."""
    is_given_up: bool = attrs.field(default=False, init=False)
    """Whether events are only counted from here on."""
    pending: list[EventChunk] = attrs.field(factory=list, init=False)
    """What the writer has taken and not yet stored."""
    is_begun: bool = attrs.field(default=False, init=False)
    """Whether the store knows of the run."""
    failing_since: float | None = attrs.field(default=None, init=False)
    """When the store began to refuse it, on a monotonic clock."""
    missed: int = attrs.field(default=0, init=False)
    """Events that the writer has taken and could not store."""
    is_full: bool = attrs.field(default=False, init=False)
    """Whether producers should ask for room; whether there is, only asking tells."""
    shut: Shut = attrs.field(default=_shut_nothing, init=False)
    """Told whenever ``is_full`` changes."""
    on_abort: Callable[[BaseException], None] = attrs.field(
        default=lambda error: None, init=False
    )
    """Told of an interrupt that the redaction raises."""
    is_hooked: bool = attrs.field(default=False, init=False)
    """Whether users' hooks may have rewritten events."""
    is_stirred: bool = attrs.field(default=False, init=False)
    """Whether the writer knows that something waits."""
    is_hurried: bool = attrs.field(default=False, init=False)
    """Whether the writer knows that much waits."""
    _due: int = attrs.field(default=1, init=False)
    _events: list[Event] = attrs.field(init=False)
    _wake: Wake = attrs.field(default=lambda func: None, init=False)
    _is_behind: bool = attrs.field(default=False, init=False)
    _words: Words = attrs.field(factory=Words, init=False)
    _room: anyio.Event | None = attrs.field(default=None, init=False)
    _stored: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._events = self.backlog.events

    # -- from the run

    def begin(self, wake: Wake) -> None:
        """Hear that the run begins, and how to call into its loop."""
        self._wake = wake
        self.backlog.knows_kin = not self.is_hooked and self.redaction is None
        self.record = begun(self.run_id, self.fingerprint, datetime.now(UTC))
        self.writer.open(self)

    def put(self, event: Event) -> None:
        """Keep an event as it is at this moment."""
        if self.redaction is not None:
            event, interrupt = self.redaction.apply(event)
            if interrupt is not None:
                self.on_abort(interrupt)
        kind = event.type
        if kind is not _STEP_START and kind is not _STEP_END:
            self._words.note(event, self.run_id)
        if self.backlog.add(event) or len(self._events) >= self._due:
            self._reach_due()

    def put_kin(self, event: Event, payload: object) -> None:
        """Keep an event of a kin: mostly a token, and then this is all."""
        if type(payload) is str and len(payload) < LONG and self.redaction is None:
            self._events.append(event)
            if len(self._events) >= self._due:
                self._reach_due()
        else:
            self.put(event)

    def _reach_due(self) -> None:
        """See to what is not worth seeing to at each event.

        The writer's thread takes at any moment and then wants to hear of the next event.
        So what it resets (``_due`` and the two flags) is looked at in the other order
        here, and each flag that is set is followed by a call that makes it take again.
        """
        backlog = self.backlog
        if self.is_given_up:
            backlog.drop()
            self._due = LONGEST
            return
        if backlog.is_long:
            backlog.close()
        missing = LONGEST if self.is_hurried else self.flush_every - len(backlog)
        self._due = len(self._events) + max(1, min(missing, LONGEST))
        if not self.is_stirred:
            self.is_stirred = True
            self.writer.stir()
        if not self.is_hurried and len(backlog) >= self.flush_every:
            self.is_hurried = True
            self.writer.hurry()
        if backlog.weight >= HEAVIEST:
            self.is_full = True
            self.shut(is_shut=True)

    async def wait_room(self) -> None:
        """Wait until there is room, or give the store up."""
        with anyio.move_on_after(PATIENCE):  # noqa: ASYNC912 - often there is room
            while self._is_crowded():
                self._room = room = self._room or anyio.Event()
                # Once more: the writer may not have seen that somebody waits.
                if self._is_crowded():
                    self.writer.hurry()
                    await room.wait()
        if self._is_crowded():
            self.give_up(f"the store took nothing for {PATIENCE:g} seconds")
        self.is_full = False
        self.shut(is_shut=False)

    def _is_crowded(self) -> bool:
        return self.backlog.weight >= HEAVIEST and not self.is_given_up

    async def finish(self, end: PipelineEndData) -> None:
        """Hear how the run ended, and wait until that is stored, but not for ever."""
        if self.record is None:
            return
        self.outcome = ended(self.record, end, self._words, datetime.now(UTC))
        self.writer.hurry()
        if self.is_given_up:
            return
        with anyio.move_on_after(PATIENCE):
            await self._stored.wait()
        if not self._stored.is_set():
            self.give_up(f"its end was not stored within {PATIENCE:g} seconds")

    def give_up(self, reason: str | None) -> None:
        """Store no more events of this run; it goes on without.  From any thread."""
        if not self.is_given_up:
            self.is_given_up = True
            if reason is not None:
                _logger.warning("Run %s is not stored in full: %s", self.run_id, reason)

    # -- from the writer's thread

    def take(self, *, may_refer: bool) -> None:
        """Turn what waits into chunks, unless earlier ones are still to be stored.

        Args:
            may_refer: whether a payload may be told by naming an earlier event.
        """
        if self.is_given_up:
            self._drop()
        elif self.pending:
            self._is_behind = True
        else:
            self.is_stirred = self.is_hurried = False
            self._due = 1
            self._encode(self.backlog.take(), may_refer=may_refer)

    def _encode(self, stretches: Sequence[Stretch], *, may_refer: bool) -> None:
        try:
            self.pending = [
                self.encoder.chunk(one, may_refer=may_refer) for one in stretches
            ]
        except Exception as error:  # noqa: BLE001 - other runs go on
            self.missed += sum(map(len, stretches))
            self.give_up(f"its events cannot be written down: {error}")

    def _drop(self) -> None:
        chunks, self.pending = self.pending, []
        self.backlog.drop()
        self.missed += sum(chunk.last - chunk.first + 1 for chunk in chunks)

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything the store should be asked for."""
        return not self.is_given_up or self.outcome is not None

    def final(self) -> RunRecord | None:
        """Return how the run ended, once nothing of it waits any more."""
        if self.outcome is None or self.backlog:
            return None
        return replace(self.outcome, lost_events=self.missed + self.backlog.lost)

    def saved(self) -> None:
        """Hear that what was taken is stored."""
        self.pending, self.failing_since, self.is_begun = [], None, True
        if self._room is not None:
            self._wake(self._free)
        if self._is_behind:
            self._is_behind = False
            self.writer.hurry()

    def close(self) -> None:
        """Hear that nothing more will be stored."""
        self._wake(self._stored.set)

    def _free(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
