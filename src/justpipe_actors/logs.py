"""Log records of runs: ``LogCapture`` keeps them, a run's recorder stores them.

::

    logger ──> LogCapture ──> LogBuffer of the run ──> recorder ──> table ``logs``
                                      └───────────────> dashboard, for a run without store

A record belongs to the run and the step that the logging code is part of.  Context
variables identify them, also in threads of ``placement="thread"``; the records of
worker processes have them as fields.  Other records are ignored.

Memory is bounded: a buffer keeps the last ``KEPT_ENTRIES`` records, and the last
``KEPT_RUNS`` runs without a store have one.  Without a ``LogCapture`` no run has a buffer.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

import attrs

from ._util.text import mask_secrets
from .meta import RunNotes, current_run_notes, current_step_notes


KEPT_ENTRIES = 1_000
"""Log records that one run keeps in memory; older ones are dropped."""

KEPT_RUNS = 200
"""Runs without a store that keep their log records."""

STORED_ENTRIES = 10_000
"""Log records that are stored of one run; the oldest are dropped."""

TEXT_LIMIT = 8_000
"""Characters of one message."""

TRACEBACK_LIMIT = 32_000
"""Characters of one traceback, of which the end is kept."""


@attrs.frozen
class LogEntry:
    """One log record of a run."""

    timestamp: float
    """When it was made, in seconds since the epoch."""
    level: int
    """As in ``logging``."""
    logger: str
    """Name of the logger."""
    text: str
    """The message, masked and cut."""
    step: str | None = None
    """The step, as events name it; None outside of steps."""
    invocation_id: str | None = None
    """The invocation, as events name it; None outside of steps."""
    attempt: int = 1
    """The attempt of the step."""
    traceback: str | None = None
    """The exception that was logged, masked and cut; None without one."""
    number: int = 0
    """Its number within the run, ascending from 1; 0 until it is kept."""


def _do_nothing() -> None:
    """Do nothing: the run has no store."""


@attrs.define(eq=False)
class LogBuffer:
    """The last log records of one run; safe to use from any thread."""

    notify: Callable[[], None] = _do_nothing
    """Called when the first record waits for ``take``."""
    _entries: deque[LogEntry] = attrs.field(
        factory=lambda: deque(maxlen=KEPT_ENTRIES), init=False
    )
    _count: int = attrs.field(default=0, init=False)
    _waiting: int = attrs.field(default=0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def add(self, entry: LogEntry) -> None:
        """Keep a record, and drop the oldest one if there are too many."""
        with self._lock:
            self._count += 1
            self._entries.append(attrs.evolve(entry, number=self._count))
            self._waiting += 1
            is_first = self._waiting == 1
        if is_first:
            self.notify()

    def newer(self, after: int) -> list[LogEntry]:
        """Return the kept records with a number above one."""
        with self._lock:
            return [entry for entry in self._entries if entry.number > after]

    def take(self) -> list[LogEntry]:
        """Return the records that have come since the last call and are still kept."""
        with self._lock:
            waiting, self._waiting = self._waiting, 0
            return list(self._entries)[-waiting:] if waiting else []

    @property
    def last_number(self) -> int:
        """Number of the newest record; 0 if there is none."""
        return self._count


@attrs.define(eq=False)
class LogBuffers:
    """The buffers of all runs of this process."""

    _stored: dict[str, LogBuffer] = attrs.field(factory=dict, init=False)
    _kept: OrderedDict[str, LogBuffer] = attrs.field(factory=OrderedDict, init=False)
    _captures: weakref.WeakSet[LogCapture] = attrs.field(
        factory=weakref.WeakSet, init=False
    )
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def add_capture(self, capture: LogCapture) -> None:
        """Make runs that begin from now on open a buffer."""
        self._captures.add(capture)

    @property
    def is_captured(self) -> bool:
        """Whether anything captures log records."""
        return bool(self._captures)

    def open(self, run_id: str, notify: Callable[[], None]) -> LogBuffer | None:
        """Return the buffer of a run with a store; None if nothing captures logs."""
        if not self._captures:
            return None
        with self._lock:
            buffer = self._stored[run_id] = LogBuffer(notify)
            return buffer

    def close(self, run_id: str) -> None:
        """Forget the buffer of a run with a store: it has ended and is stored."""
        with self._lock:
            self._stored.pop(run_id, None)

    def find(self, run_id: str) -> LogBuffer | None:
        """Return the buffer of a run; None if it has logged nothing."""
        with self._lock:
            return self._stored.get(run_id) or self._kept.get(run_id)

    def of(self, run_id: str) -> LogBuffer:
        """Return the buffer of a run that logs; the oldest one of another run may go."""
        with self._lock:
            buffer = self._stored.get(run_id) or self._kept.get(run_id)
            if buffer is None:
                buffer = self._kept[run_id] = LogBuffer()
                if len(self._kept) > KEPT_RUNS:
                    self._kept.popitem(last=False)
            return buffer


class LogCapture(logging.Handler):
    """A handler of ``logging`` that keeps the log records of runs.

    The dashboard shows them on the page of a run, and stored runs have them stored:

        logging.getLogger().addHandler(LogCapture())

    The levels of the loggers decide which records there are; the root logger of Python
    passes only warnings and errors until its level is set.

    Args:
        level: the least severe records to keep.
        mask: returns a text without its secrets; by default the values of names that are
            or end in secret, password, passwd, api_key, _token or authorization go.
    """

    def __init__(
        self,
        level: int | str = logging.NOTSET,
        *,
        mask: Callable[[str], str] = mask_secrets,
    ) -> None:
        super().__init__(level)
        self.mask = mask
        log_buffers.add_capture(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record if it is of a run."""
        place = _place_of(record)
        if place is None or hasattr(record, _IS_KEPT):
            return
        setattr(record, _IS_KEPT, True)
        try:
            entry = self._entry(record, place)
        except Exception:  # noqa: BLE001 - a message may not fit its arguments
            self.handleError(record)
        else:
            log_buffers.of(place.run_id).add(entry)

    def _entry(self, record: logging.LogRecord, place: _Place) -> LogEntry:
        traceback = _traceback_of(record)
        return LogEntry(
            timestamp=record.created,
            level=record.levelno,
            logger=record.name,
            text=_storable(
                self.mask(record.getMessage()[: 2 * TEXT_LIMIT])[:TEXT_LIMIT]
            ),
            step=place.step,
            invocation_id=place.invocation_id,
            attempt=place.attempt,
            traceback=None
            if traceback is None
            else _storable(self.mask(traceback)[-TRACEBACK_LIMIT:]),
        )


@attrs.frozen
class _Place:
    """The part of a run that a record comes from."""

    run_id: str
    step: str | None
    invocation_id: str | None
    attempt: int


def _place_of(record: logging.LogRecord) -> _Place | None:
    run = current_run_notes.get(None)
    if run is None or run.about is None:
        return _named_place(record)
    run_id, prefix = _root_of(run)
    notes = current_step_notes.get(None)
    if notes is None or notes.about is None:
        return _Place(run_id, prefix.removesuffix(":") or None, None, 1)
    step, invocation_id, attempt = notes.about
    return _Place(run_id, f"{prefix}{step}", invocation_id, attempt)


def _named_place(record: logging.LogRecord) -> _Place | None:
    """Return the place that the fields of a record name, as those of workers do."""
    facts = vars(record)
    run_id, step = facts.get("run"), facts.get("step")
    if not isinstance(run_id, str) or run_id in ("", "-"):
        return None
    return _Place(run_id, step if isinstance(step, str) else None, None, 1)


def _root_of(notes: RunNotes) -> tuple[str, str]:
    """Return the id of the outermost run, and what its events put before a step."""
    prefix = ""
    while notes.parent is not None:
        notes, step = notes.parent
        prefix = f"{step}:{prefix}"
    assert notes.about is not None
    return notes.about[0], prefix


_IS_KEPT: Final = "is_kept_by_justpipe_actors"
"""Attribute of records that a capture has kept: another one leaves them out."""

_FORMATTER: Final = logging.Formatter()


def _traceback_of(record: logging.LogRecord) -> str | None:
    if record.exc_text:
        return record.exc_text
    if record.exc_info and record.exc_info[0] is not None:
        return _FORMATTER.formatException(record.exc_info)
    return None


def _storable(text: str) -> str:
    """Replace lone surrogates, which no database and no JSON text of UTF-8 can hold."""
    return text.encode(errors="backslashreplace").decode()


log_buffers: LogBuffers = LogBuffers()
"""The buffers of this process."""
