"""The recorder of one run: queues events on the event loop for the writer's thread.

**Backpressure first, then loss.**  While the queue is full, the run's producers wait,
as they do for any observer, so memory is bounded and no event is lost.  If the store
accepts nothing for ``STORE_TIMEOUT`` seconds, the recorder gives up the store for this
run: the producers continue, later events are only counted, and the run's record has
their number.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
import attrs

from ..abc import Wake
from ..events import Event, EventType
from ..logs import LogBuffer, LogEntry, log_buffers
from ..outcomes import PipelineEndData
from ..records import EventChunk, RunRecord
from .chunk_encoder import Encoder
from .event_columns import (
    IMMUTABLE_TYPES,
    EventColumns,
    columns_of,
    encode_meta,
    snapshot_value,
)
from .redaction import Redaction
from .run_records import RunSummaryBuilder, final_record, initial_record, waiting_record


if TYPE_CHECKING:
    from .writer import Writer


MAX_QUEUED_BYTES = 8_000_000
"""Approximate number of bytes that may be queued for the writer."""

MAX_QUEUED_EVENTS = 1024
"""Maximum number of events in the queue's list, and in the columns made of it."""

LONG_TEXT = 500
"""Shorter text payloads do not count in the size of the queue."""

_logger = logging.getLogger("justpipe_actors.persistence")

_STATE_EVENTS = (EventType.START, EventType.STEP_END)
_EVENT_BYTES = 250  # approximate size of an event without its payload and meta
_BATCH_BYTES = (
    MAX_QUEUED_BYTES // 16
)  # size of payloads and metas at which a list becomes columns


@attrs.define(eq=False)
class EventQueue:
    """The events of one run that the writer's thread has not taken.

    The event loop appends to a list; both sides turn the list into columns.
    """

    stores_states: bool
    """Whether the payloads of START and STEP_END are stored at all."""
    tokens_are_unchanged: bool = attrs.field(default=False, init=False)
    """Whether no hook and no redaction changes tokens."""
    events: list[Event] = attrs.field(factory=list, init=False)
    """Events that are not in columns yet, oldest first."""
    lost_events: int = attrs.field(default=0, init=False)
    """Events that were dropped, or that hooks replaced by a value that is no event."""
    _batches: list[EventColumns] = attrs.field(factory=list, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    # Keyed by `id(event)`: valid because the events are still in the list.
    _payloads: dict[int, object] = attrs.field(factory=dict, init=False)
    _metas: dict[int, str] = attrs.field(factory=dict, init=False)
    # Only the event loop changes the first; the lock guards the others.
    _added_bytes: int = attrs.field(default=0, init=False)
    _batched_bytes: int = attrs.field(default=0, init=False)
    _waiting_bytes: int = attrs.field(default=0, init=False)
    _waiting_events: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self.events) + self._waiting_events

    @property
    def queued_bytes(self) -> int:
        """Approximate number of queued bytes."""
        return (
            len(self) * _EVENT_BYTES
            + self._waiting_bytes
            + self._added_bytes
            - self._batched_bytes
        )

    # -- the event loop's side

    def add(self, event: Event) -> bool:
        """Add an event and its copy; tell whether the list must become columns."""
        payload, meta = event.payload, event.meta
        if payload is not None and (
            type(payload) is not str or len(payload) >= LONG_TEXT
        ):
            stored = payload
            if not self.stores_states and event.type in _STATE_EVENTS:
                stored = None  # a large state that is not stored is not copied either
            elif type(payload) not in IMMUTABLE_TYPES:
                stored = snapshot_value(payload)
            self._payloads[id(event)] = stored
            if isinstance(stored, (bytes, str)):
                self._added_bytes += len(stored)
        # A meta with only the key `framework` never changes: no copy needed.
        if meta is not None and (len(meta) > 1 or "framework" not in meta):
            self._metas[id(event)] = text = encode_meta(meta)
            self._added_bytes += len(text)
        self.events.append(event)
        return self._added_bytes - self._batched_bytes >= _BATCH_BYTES

    @property
    def is_batch_full(self) -> bool:
        """Whether the list must be turned into columns."""
        return (
            len(self.events) >= MAX_QUEUED_EVENTS
            or self._added_bytes - self._batched_bytes >= _BATCH_BYTES
        )

    # -- both sides

    def build_columns(self) -> None:
        """Turn the list of events into columns."""
        with self._lock:
            # The loop may append meanwhile, so remove only the events converted here.
            events = self.events[:]
            put = self._added_bytes
            try:
                self._batches += list(
                    columns_of(
                        events,
                        self._payloads,
                        self._metas,
                        tokens_are_unchanged=self.tokens_are_unchanged,
                    )
                )
            except Exception as error:  # noqa: BLE001 - whatever hooks have put in them
                self.lost_events += len(events)
                for event in events:
                    self._payloads.pop(id(event), None)
                    self._metas.pop(id(event), None)
                _logger.warning("Lost %d events: %s", len(events), error)
            else:
                self._waiting_events += len(events)
                self._waiting_bytes += put - self._batched_bytes
            self._batched_bytes = put
            del self.events[: len(events)]

    # -- the writer's side

    def take(self) -> list[EventColumns]:
        """Remove and return all queued events."""
        self.build_columns()
        with self._lock:
            return self._take_batches()

    def drop(self) -> None:
        """Drop all queued events; safe to call from the loop and the writer."""
        self.build_columns()
        with self._lock:
            self.lost_events += sum(map(len, self._take_batches()))

    def _take_batches(self) -> list[EventColumns]:
        taken, self._batches = self._batches, []
        self._waiting_events = self._waiting_bytes = 0
        return taken


STORE_TIMEOUT = 10.0
"""Seconds that a run waits for a store that accepts nothing."""

_STEP_START, _STEP_END = EventType.STEP_START, EventType.STEP_END

_logger = logging.getLogger("justpipe_actors.persistence")


def _ignore_backpressure() -> None:
    """Do nothing: the run asks the recorder itself."""


@attrs.define(eq=False)
class Recorder:
    """Records one run; implements ``abc.RunRecorder``."""

    run_id: str
    writer: Writer
    """Writes what this recorder holds, in a thread."""
    encoder: Encoder
    """Turns its events into chunks; used by the writer's thread only."""
    queue: EventQueue
    """Events that the writer has not taken."""
    flush_every: int
    """Number of waiting events at which the writer is asked to flush."""
    redaction: Redaction | None = None
    """Rewrites events before they are stored."""
    fingerprint: str | None = None
    """Fingerprint of the pipe's definition."""
    record: RunRecord | None = attrs.field(default=None, init=False)
    """Record of the running run; None before it has begun."""
    end_record: RunRecord | None = attrs.field(default=None, init=False)
    """Record of the ended run; no event follows once it is set."""
    is_given_up: bool = attrs.field(default=False, init=False)
    """Whether events are only counted from here on."""
    pending_chunks: list[EventChunk] = attrs.field(factory=list, init=False)
    """Chunks that the writer has taken and not yet stored."""
    pending_logs: list[LogEntry] = attrs.field(factory=list, init=False)
    """Log records that the writer has taken and not yet stored."""
    is_in_store: bool = attrs.field(default=False, init=False)
    """Whether the store has a record of the run."""
    failing_since: float | None = attrs.field(default=None, init=False)
    """Monotonic time of the first failed write in a row; None after a success."""
    unstored_events: int = attrs.field(default=0, init=False)
    """Events that the writer has taken and could not store."""
    is_full: bool = attrs.field(default=False, init=False)
    """Whether producers must call ``wait_writable``, which decides if they wait."""
    pause_producers: Callable[[], None] = attrs.field(
        default=_ignore_backpressure, init=False
    )
    """Called when ``is_full`` becomes true."""
    resume_producers: Callable[[], None] = attrs.field(
        default=_ignore_backpressure, init=False
    )
    """Called when ``is_full`` becomes false."""
    on_abort: Callable[[BaseException], None] = attrs.field(
        default=lambda error: None, init=False
    )
    """Called with an interrupt that the redaction raises."""
    is_hooked: bool = attrs.field(default=False, init=False)
    """Whether users' hooks may have rewritten events."""
    journal: str | None = attrs.field(default=None, init=False)
    """Location of the journal of a durable run."""
    is_writer_notified: bool = attrs.field(default=False, init=False)
    """Whether the writer was notified of queued events."""
    is_flush_requested: bool = attrs.field(default=False, init=False)
    """Whether the writer was asked to flush."""
    _check_at: int = attrs.field(default=1, init=False)
    _events: list[Event] = attrs.field(init=False)
    _wake: Wake = attrs.field(default=lambda func: None, init=False)
    _is_take_postponed: bool = attrs.field(default=False, init=False)
    _logs: LogBuffer | None = attrs.field(default=None, init=False)
    _summary: RunSummaryBuilder = attrs.field(factory=RunSummaryBuilder, init=False)
    _space_available: anyio.Event | None = attrs.field(default=None, init=False)
    _end_stored: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._events = self.queue.events

    # -- from the run

    def begin(self, wake: Wake) -> None:
        """Record the beginning of the run, and how to call into its event loop."""
        self._wake = wake
        self.queue.tokens_are_unchanged = not self.is_hooked and self.redaction is None
        self.record = initial_record(
            self.run_id, self.fingerprint, datetime.now(UTC), self.journal
        )
        self._logs = log_buffers.open(self.run_id, self.writer.notify)
        self.writer.add_run(self)

    def put(self, event: Event) -> None:
        """Queue an event with a copy of its current payload."""
        if self.redaction is not None:
            event, interrupt = self.redaction.apply(event)
            if interrupt is not None:
                self.on_abort(interrupt)
        event_type = event.type
        if event_type is not _STEP_START and event_type is not _STEP_END:
            self._summary.add(event, self.run_id)
        if self.queue.add(event) or len(self._events) >= self._check_at:
            self._check_queue()

    def put_token(self, event: Event, payload: object) -> None:
        """Queue a token; a plain token is appended without further checks."""
        if type(payload) is str and len(payload) < LONG_TEXT and self.redaction is None:
            self._events.append(event)
            if len(self._events) >= self._check_at:
                self._check_queue()
        else:
            self.put(event)

    def _check_queue(self) -> None:
        """Do the periodic work: close batches, notify the writer, pause producers.

        The writer's thread may take the queue at any time and then needs a notification
        of the next event.  So this method reads ``_check_at`` and the two flags in the
        reverse of the order in which the writer resets them, and after it sets a flag,
        it makes a call that lets the writer take the queue again.
        """
        queue = self.queue
        if self.is_given_up:
            queue.drop()
            self._check_at = MAX_QUEUED_EVENTS
            return
        if queue.is_batch_full:
            queue.build_columns()
        missing = (
            MAX_QUEUED_EVENTS
            if self.is_flush_requested
            else self.flush_every - len(queue)
        )
        self._check_at = len(self._events) + max(1, min(missing, MAX_QUEUED_EVENTS))
        if not self.is_writer_notified:
            self.is_writer_notified = True
            self.writer.notify()
        if not self.is_flush_requested and len(queue) >= self.flush_every:
            self.is_flush_requested = True
            self.writer.flush()
        if queue.queued_bytes >= MAX_QUEUED_BYTES:
            self.is_full = True
            self.pause_producers()

    async def wait_writable(self) -> None:
        """Wait until the queue has room; give up the store after ``STORE_TIMEOUT``."""
        with anyio.move_on_after(STORE_TIMEOUT):  # noqa: ASYNC912 - often there is room
            while self._is_full():
                self._space_available = space = self._space_available or anyio.Event()
                # Check again: the writer may have made room before the event existed.
                if self._is_full():
                    self.writer.flush()
                    await space.wait()
        if self._is_full():
            self.give_up(f"the store took nothing for {STORE_TIMEOUT:g} seconds")
        self.is_full = False
        self.resume_producers()

    def _is_full(self) -> bool:
        return self.queue.queued_bytes >= MAX_QUEUED_BYTES and not self.is_given_up

    async def finish(self, end: PipelineEndData) -> None:
        """Record the end of the run, and wait until it is stored or a timeout ends."""
        if self.record is None:
            return
        self.end_record = final_record(
            self.record, end, self._summary, datetime.now(UTC)
        )
        self.writer.flush()
        if self.is_given_up:
            return
        with anyio.move_on_after(STORE_TIMEOUT):
            await self._end_stored.wait()
        if not self._end_stored.is_set():
            self.give_up(f"its end was not stored within {STORE_TIMEOUT:g} seconds")

    async def release(self) -> None:
        """Record that this process releases the run, and wait until that is stored."""
        if self.record is None or self.end_record is not None:
            return
        self.end_record = waiting_record(self.record, datetime.now(UTC))
        self.writer.flush()
        if not self.is_given_up:
            with anyio.move_on_after(STORE_TIMEOUT):
                await self._end_stored.wait()

    def give_up(self, reason: str | None) -> None:
        """Stop storing events of this run; the run continues.  Safe from any thread."""
        if not self.is_given_up:
            self.is_given_up = True
            if reason is not None:
                _logger.warning("Run %s is not stored in full: %s", self.run_id, reason)

    # -- from the writer's thread

    def take(self, *, allow_references: bool) -> None:
        """Encode the queued events as chunks, unless earlier chunks are not stored yet.

        Args:
            allow_references: whether a payload may be a reference to an earlier event.
        """
        if self.is_given_up:
            self._drop_pending()
        elif self.pending_chunks:
            self._is_take_postponed = True
        else:
            self.is_writer_notified = self.is_flush_requested = False
            self._check_at = 1
            self._encode_batches(self.queue.take(), allow_references=allow_references)
        if self._logs is not None and not self.pending_logs:
            self.pending_logs = self._logs.take()

    def _encode_batches(
        self, batches: Sequence[EventColumns], *, allow_references: bool
    ) -> None:
        try:
            self.pending_chunks = [
                self.encoder.chunk(columns, allow_references=allow_references)
                for columns in batches
            ]
        except Exception as error:  # noqa: BLE001 - other runs go on
            self.unstored_events += sum(map(len, batches))
            self.give_up(f"its events cannot be written down: {error}")

    def _drop_pending(self) -> None:
        chunks, self.pending_chunks = self.pending_chunks, []
        self.queue.drop()
        self.unstored_events += sum(chunk.last - chunk.first + 1 for chunk in chunks)

    @property
    def needs_store(self) -> bool:
        """Whether this recorder has anything to write into the store."""
        return not self.is_given_up or self.end_record is not None

    def finished_record(self) -> RunRecord | None:
        """Return the record of the ended run, once all its events are stored."""
        if self.end_record is None or self.queue:
            return None
        return replace(
            self.end_record, lost_events=self.unstored_events + self.queue.lost_events
        )

    def on_saved(self) -> None:
        """Mark the taken chunks as stored."""
        self.pending_chunks, self.failing_since, self.is_in_store = [], None, True
        self.pending_logs = []
        if self._space_available is not None:
            self._wake(self._signal_space)
        if self._is_take_postponed:
            self._is_take_postponed = False
            self.writer.flush()

    def close(self) -> None:
        """Wake the task that waits for the end of the run to be stored."""
        if self._logs is not None:
            log_buffers.close(self.run_id)
        self._wake(self._end_stored.set)

    def _signal_space(self) -> None:
        if self._space_available is not None:
            self._space_available.set()
            self._space_available = None
