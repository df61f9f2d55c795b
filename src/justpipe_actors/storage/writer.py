"""The thread that writes the runs of one pipe, all of them in one transaction per turn.

It begins with the first run and ends a moment after the last, so that runs that follow
each other share it.  ``alarm`` says when it wakes up.

Nothing it does can fail a run: what goes wrong is a warning on the logger
``justpipe_actors.persistence``.  A store that cannot be opened is given up at once.  A
transaction that fails is tried run by run, so that one run's trouble stays its own; if a
file is locked, again for ``PATIENCE`` seconds.
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

from ..abc import ChunkStore, StorageBackend
from ..records import RunRecord
from .chunk_format import event_texts
from .queries import BEAT
from .recorder import PATIENCE, Recorder
from .sqlite.connection import may_heal


LINGER = 0.25
"""Seconds that the first event to wait may wait for others, and the thread for a run."""


@attrs.define(eq=False)
class Alarm:
    """One thread's; all moments are on the monotonic clock."""

    bell: threading.Condition = attrs.field(factory=threading.Condition, init=False)
    """Held by whoever looks at this, or changes what the thread works on."""
    is_closing: bool = attrs.field(default=False, init=False)
    """Whether the interpreter is about to go."""
    retry_at: float | None = attrs.field(default=None, init=False)
    """When a store that failed is tried again."""
    _beat_at: float = attrs.field(default=0.0, init=False)
    _linger_until: float | None = attrs.field(default=None, init=False)
    _is_urgent: bool = attrs.field(default=False, init=False)
    _sleeps_until: float = attrs.field(default=0.0, init=False)

    # -- from event loops

    def stir(self) -> None:
        """Say that something waits."""
        with self.bell:
            if self._linger_until is None:
                self._linger_until = time.monotonic() + LINGER
                # To wake a thread costs more than to take an event in.
                if self._sleeps_until > self._linger_until:
                    self.bell.notify()

    def hurry(self) -> None:
        """Say that something should not wait any longer."""
        with self.bell:
            self._is_urgent = True
            self.bell.notify()

    def close(self) -> None:
        """Say that this is the last moment."""
        with self.bell:
            self.is_closing = True
            self.bell.notify()

    # -- in the thread

    def wait(self, work: Sized) -> None:
        """Sleep, the bell held, until there is something to do, or no work for long."""
        ends_at = time.monotonic() + LINGER
        while not self.is_closing:
            now = time.monotonic()
            until = self._due() if work else ends_at
            if until <= now or (work and self._is_urgent):
                break
            self._sleeps_until = until
            self.bell.wait(until - now)
        self._sleeps_until = 0.0
        self._is_urgent, self._linger_until = False, None

    def _due(self) -> float:
        moments = (self._linger_until, self.retry_at, self._beat_at)
        return min(moment for moment in moments if moment is not None)

    def set_beat(self) -> None:
        """Let the next sign of life be due after one beat."""
        self._beat_at = time.monotonic() + BEAT

    def is_beat_due(self) -> bool:
        """Tell whether it is time for a sign of life; the next one is set."""
        is_due = time.monotonic() >= self._beat_at
        if is_due:
            self.set_beat()
        return is_due


RETRY = 1.0
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
        self._warned = ""
        self._start_over()

    def _start_over(self) -> None:
        """Know of nothing: as a new writer, and as one in a forked child."""
        self._process = os.getpid()
        self._alarm = Alarm()
        self._recorders: list[Recorder] = []
        self._thread: threading.Thread | None = None
        self._store: StorageBackend | None = None
        self._takes_chunks = False

    # -- from event loops

    def open(self, recorder: Recorder) -> None:
        """Write for one more run."""
        if self._process != os.getpid():
            self._start_over()
        with self._alarm.bell:
            self._recorders.append(recorder)
            if self._thread is None:
                self._start_thread()

    def _start_thread(self) -> None:
        name = f"justpipe_actors writer of {self._name}"
        # A daemon: a run that never ends must not keep the program from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._alarm.set_beat()
        self._thread.start()
        atexit.register(self._leave)

    def stir(self) -> None:
        """Say that something waits."""
        self._alarm.stir()

    def hurry(self) -> None:
        """Say that something should not wait any longer."""
        self._alarm.hurry()

    def _leave(self) -> None:
        """Write what waits before the interpreter is gone."""
        thread = self._thread
        if thread is not None and self._process == os.getpid():
            self._alarm.close()
            thread.join(PATIENCE)

    # -- in the thread: when

    def _work(self) -> None:
        while self._wait():
            try:
                self._turn(list(self._recorders))
            except BaseException as error:  # noqa: ASYNC103
                # Even SystemExit, if a store raises it: a thread has nobody to pass it to.
                _logger.exception("The writer of pipe %s has failed", self._name)
                self._abandon(f"the writer has failed: {error}")
            if self._alarm.is_closing:
                return

    def _wait(self) -> bool:
        """Sleep until there is something to do; False when no run is left."""
        with self._alarm.bell:
            self._alarm.wait(self._recorders)
            if not self._recorders:
                self._thread = None
                atexit.unregister(self._leave)
            return self._thread is not None

    # -- in the thread: what

    def _turn(self, recorders: Sequence[Recorder]) -> None:
        self._alarm.retry_at = None
        try:
            store = self._opened()
        except Exception as error:  # noqa: BLE001 - whatever a store raises
            self._warn_once(error)
            self._abandon(None)
            return
        for recorder in recorders:
            recorder.take(may_refer=self._takes_chunks)
        # One that was given up is left alone until it ends.
        self._save(store, [one for one in recorders if one.is_wanted])
        if self._alarm.is_beat_due():
            self._give_sign(store, [one.run_id for one in recorders if one.is_begun])

    def _give_sign(self, store: StorageBackend, names: Sequence[str]) -> None:
        try:
            store.touch_runs(names, datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - the next sign will do
            _logger.warning("Pipe %s gave no sign of life: %s", self._name, error)

    def _opened(self) -> StorageBackend:
        if self._store is None:
            store = self._open_store()
            store.mark_abandoned()
            self._store, self._warned = store, ""
            # Once: asking a protocol costs as much as storing a run's record.
            self._takes_chunks = isinstance(store, ChunkStore)
        return self._store

    def _save(self, store: StorageBackend, recorders: Sequence[Recorder]) -> None:
        """Store what was taken, all together; apart, if that fails inside."""
        finals = [recorder.final() for recorder in recorders]
        is_inside = False
        try:
            with store.transaction():
                is_inside = True
                for recorder, final in zip(recorders, finals, strict=True):
                    self._write(store, recorder, final)
        except Exception as error:  # noqa: BLE001 - whatever a store raises
            if is_inside and len(recorders) > 1:
                for recorder in recorders:
                    self._save(store, [recorder])
                return
            for recorder in recorders:
                self._failed(recorder, error)
            return
        for recorder, final in zip(recorders, finals, strict=True):
            recorder.saved()
            if final is not None:
                self._part(recorder)

    def _write(
        self, store: StorageBackend, recorder: Recorder, final: RunRecord | None
    ) -> None:
        """Store what was taken of one run, and how it ended."""
        if final is not None:
            store.save_run(final)
        elif not recorder.is_begun and recorder.record is not None:
            store.begin_run(recorder.record)
        chunks, run_id = recorder.pending, recorder.run_id
        if self._takes_chunks:
            cast("ChunkStore", store).append_chunks(run_id, chunks)
        elif chunks:
            texts = [text for chunk in chunks for text in event_texts(run_id, chunk)]
            store.append_events(run_id, texts)

    def _failed(self, recorder: Recorder, error: Exception) -> None:
        now = time.monotonic()
        self._alarm.retry_at = now + RETRY
        if recorder.is_given_up:
            # Not even its record could be stored.
            if recorder.outcome is not None:
                self._part(recorder)
            return
        recorder.failing_since = recorder.failing_since or now
        is_late = now - recorder.failing_since >= PATIENCE or self._alarm.is_closing
        if is_late or not may_heal(error):
            recorder.give_up(f"the store failed: {error}")
            # At once: what is left to do is to note that events are missing.
            self._alarm.retry_at = now

    def _abandon(self, reason: str | None) -> None:
        """Give all runs up; those that have ended are done with."""
        for recorder in list(self._recorders):
            recorder.give_up(reason)
            recorder.take(may_refer=False)
            recorder.saved()
            if recorder.outcome is not None:
                self._part(recorder)

    def _part(self, recorder: Recorder) -> None:
        with self._alarm.bell:
            self._recorders.remove(recorder)
        recorder.close()

    def _warn_once(self, error: Exception) -> None:
        if str(error) != self._warned:
            self._warned = str(error)
            _logger.warning(
                "Pipe %s runs without persistence, its store cannot be opened: %s",
                self._name,
                error,
            )
