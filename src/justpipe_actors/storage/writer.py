"""The thread that writes the runs of one pipe, all of them in one transaction per turn.

The thread starts with the first run and ends ``LINGER`` seconds after the last run, so
that successive runs share it.  ``WriterWakeup`` decides when it wakes up.

Errors in the thread never fail a run; they are logged as warnings on the logger
``justpipe_actors.persistence``.  If the store cannot be opened, the writer gives it up
immediately.  If a transaction fails, the writer retries each run in its own
transaction, so that an error affects one run only.  If the file is locked, the writer
retries for ``STORE_TIMEOUT`` seconds.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence, Sized
from datetime import UTC, datetime
from typing import cast

import attrs

from ..abc import ChunkStore, LogStore, StorageBackend
from ..records import RunRecord
from .chunk_format import event_texts
from .queries import HEARTBEAT_INTERVAL
from .recorder import STORE_TIMEOUT, Recorder
from .sqlite.connection import is_lock_error


LINGER = 0.25
"""Seconds to wait for more events after the first, and for more runs after the last."""


@attrs.define(eq=False)
class WriterWakeup:
    """Decides when the writer's thread wakes up; all times are on the monotonic clock."""

    condition: threading.Condition = attrs.field(
        factory=threading.Condition, init=False
    )
    """Its lock guards this object and the writer's list of recorders."""
    is_closing: bool = attrs.field(default=False, init=False)
    """Whether the interpreter exits."""
    retry_at: float | None = attrs.field(default=None, init=False)
    """When a store that failed is tried again."""
    _heartbeat_at: float = attrs.field(default=0.0, init=False)
    _linger_until: float | None = attrs.field(default=None, init=False)
    _is_flush_requested: bool = attrs.field(default=False, init=False)
    _sleeps_until: float = attrs.field(default=0.0, init=False)

    # -- from event loops

    def notify(self) -> None:
        """Wake the thread up within ``LINGER`` seconds: an event waits."""
        with self.condition:
            if self._linger_until is None:
                self._linger_until = time.monotonic() + LINGER
                # perf: waking a thread costs more than queueing an event.
                if self._sleeps_until > self._linger_until:
                    self.condition.notify()

    def flush(self) -> None:
        """Wake the thread up at once."""
        with self.condition:
            self._is_flush_requested = True
            self.condition.notify()

    def close(self) -> None:
        """Wake the thread up for its last write."""
        with self.condition:
            self.is_closing = True
            self.condition.notify()

    # -- in the writer's thread

    def wait(self, work: Sized) -> None:
        """Wait until there is something to do, or for ``LINGER`` seconds without work.

        The caller holds the condition's lock.
        """
        ends_at = time.monotonic() + LINGER
        while not self.is_closing:
            now = time.monotonic()
            until = self._next_wakeup_at() if work else ends_at
            if until <= now or (work and self._is_flush_requested):
                break
            self._sleeps_until = until
            self.condition.wait(until - now)
        self._sleeps_until = 0.0
        self._is_flush_requested, self._linger_until = False, None

    def _next_wakeup_at(self) -> float:
        times = (self._linger_until, self.retry_at, self._heartbeat_at)
        return min(time_due for time_due in times if time_due is not None)

    def schedule_heartbeat(self) -> None:
        """Make the next heartbeat due after one interval."""
        self._heartbeat_at = time.monotonic() + HEARTBEAT_INTERVAL

    def is_heartbeat_due(self) -> bool:
        """Tell whether a heartbeat is due; if it is, schedule the next one."""
        is_due = time.monotonic() >= self._heartbeat_at
        if is_due:
            self.schedule_heartbeat()
        return is_due


RETRY_DELAY = 1.0
"""Seconds before a store that failed is tried again."""

_logger = logging.getLogger("justpipe_actors.persistence")


class Writer:
    """Writes what recorders hold into one store.

    Args:
        name: the pipe's, for the thread and for warnings.
        open_store: returns the store; called in the thread, again if it failed.
    """

    def __init__(self, name: str, open_store: Callable[[], StorageBackend]) -> None:
        self._name = name
        self._open_store = open_store
        self._last_warning = ""
        self._reset()

    def _reset(self) -> None:
        """Initialize the thread and the runs, in a new writer and in a forked child."""
        self._pid = os.getpid()
        self._wakeup = WriterWakeup()
        self._recorders: list[Recorder] = []
        self._thread: threading.Thread | None = None
        self._store: StorageBackend | None = None
        self._accepts_chunks = self._accepts_logs = False

    # -- from event loops

    def add_run(self, recorder: Recorder) -> None:
        """Add a run, and start the thread if necessary."""
        if self._pid != os.getpid():
            self._reset()
        with self._wakeup.condition:
            self._recorders.append(recorder)
            if self._thread is None:
                self._start_thread()

    def _start_thread(self) -> None:
        name = f"justpipe_actors writer of {self._name}"
        # A daemon thread: a run that never ends must not block interpreter exit.
        self._thread = threading.Thread(target=self._run_thread, name=name, daemon=True)
        self._wakeup.schedule_heartbeat()
        self._thread.start()
        atexit.register(self._flush_at_exit)

    def notify(self) -> None:
        """Wake the thread up within ``LINGER`` seconds: an event waits."""
        self._wakeup.notify()

    def flush(self) -> None:
        """Wake the thread up at once."""
        self._wakeup.flush()

    def _flush_at_exit(self) -> None:
        """Write the queued events before the interpreter exits."""
        thread = self._thread
        if thread is not None and self._pid == os.getpid():
            self._wakeup.close()
            thread.join(STORE_TIMEOUT)

    # -- in the writer's thread: when to write

    def _run_thread(self) -> None:
        while self._wait():
            try:
                self._write_all(list(self._recorders))
            except BaseException as error:  # noqa: ASYNC103
                # Includes SystemExit: a thread has no caller to pass exceptions to.
                _logger.exception("The writer of pipe %s has failed", self._name)
                self._give_up_all(f"the writer has failed: {error}")
            if self._wakeup.is_closing:
                return

    def _wait(self) -> bool:
        """Sleep until there is something to do; False when no run is left."""
        with self._wakeup.condition:
            self._wakeup.wait(self._recorders)
            if not self._recorders:
                self._thread = None
                atexit.unregister(self._flush_at_exit)
            return self._thread is not None

    # -- in the writer's thread: what to write

    def _write_all(self, recorders: Sequence[Recorder]) -> None:
        self._wakeup.retry_at = None
        try:
            store = self._ensure_store()
        except Exception as error:  # noqa: BLE001 - whatever a store raises
            self._warn_once(error)
            self._give_up_all(None)
            return
        for recorder in recorders:
            recorder.take(allow_references=self._accepts_chunks)
        # A recorder that gave up the store has nothing to write until its run ends.
        self._save(store, [recorder for recorder in recorders if recorder.needs_store])
        if self._wakeup.is_heartbeat_due():
            self._send_heartbeat(
                store,
                [recorder.run_id for recorder in recorders if recorder.is_in_store],
            )

    def _send_heartbeat(self, store: StorageBackend, run_ids: Sequence[str]) -> None:
        try:
            store.touch_runs(run_ids, datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - the next sign will do
            _logger.warning(
                "The heartbeat of pipe %s is not stored: %s", self._name, error
            )

    def _ensure_store(self) -> StorageBackend:
        if self._store is None:
            store = self._open_store()
            store.mark_abandoned()
            self._store, self._last_warning = store, ""
            # perf: `isinstance` with a protocol costs as much as storing a record.
            self._accepts_chunks = isinstance(store, ChunkStore)
            self._accepts_logs = isinstance(store, LogStore)
        return self._store

    def _save(self, store: StorageBackend, recorders: Sequence[Recorder]) -> None:
        """Store all batches in one transaction, or one per run if that fails."""
        end_records = [recorder.finished_record() for recorder in recorders]
        is_in_transaction = False
        try:
            with store.transaction():
                is_in_transaction = True
                for recorder, end_record in zip(recorders, end_records, strict=True):
                    self._write_run(store, recorder, end_record)
        except Exception as error:  # noqa: BLE001 - whatever a store raises
            if is_in_transaction and len(recorders) > 1:
                for recorder in recorders:
                    self._save(store, [recorder])
                return
            for recorder in recorders:
                self._handle_failure(recorder, error)
            return
        for recorder, end_record in zip(recorders, end_records, strict=True):
            recorder.on_saved()
            if end_record is not None:
                self._remove(recorder)

    def _write_run(
        self, store: StorageBackend, recorder: Recorder, end_record: RunRecord | None
    ) -> None:
        """Store one run's batch and, if the run has ended, its final record."""
        if end_record is not None:
            store.save_run(end_record)
        elif not recorder.is_in_store and recorder.record is not None:
            store.begin_run(recorder.record)
        chunks, run_id = recorder.pending_chunks, recorder.run_id
        if self._accepts_chunks:
            cast("ChunkStore", store).append_chunks(run_id, chunks)
        elif chunks:
            texts = [text for chunk in chunks for text in event_texts(run_id, chunk)]
            store.append_events(run_id, texts)
        if recorder.pending_logs and self._accepts_logs:
            cast("LogStore", store).append_logs(run_id, recorder.pending_logs)

    def _handle_failure(self, recorder: Recorder, error: Exception) -> None:
        now = time.monotonic()
        self._wakeup.retry_at = now + RETRY_DELAY
        if recorder.is_given_up:
            # The record of the run could not be stored either.
            if recorder.end_record is not None:
                self._remove(recorder)
            return
        recorder.failing_since = recorder.failing_since or now
        is_late = (
            now - recorder.failing_since >= STORE_TIMEOUT or self._wakeup.is_closing
        )
        if is_late or not is_lock_error(error):
            recorder.give_up(f"the store failed: {error}")
            # Retry at once: only the number of missing events remains to be stored.
            self._wakeup.retry_at = now

    def _give_up_all(self, reason: str | None) -> None:
        """Give up the store for all runs, and close the recorders of ended runs."""
        for recorder in list(self._recorders):
            recorder.give_up(reason)
            recorder.take(allow_references=False)
            recorder.on_saved()
            if recorder.end_record is not None:
                self._remove(recorder)

    def _remove(self, recorder: Recorder) -> None:
        with self._wakeup.condition:
            self._recorders.remove(recorder)
        recorder.close()

    def _warn_once(self, error: Exception) -> None:
        if str(error) != self._last_warning:
            self._last_warning = str(error)
            _logger.warning(
                "Pipe %s runs without persistence, its store cannot be opened: %s",
                self._name,
                error,
            )
