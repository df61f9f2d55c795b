"""``EventLogger``: a run as lines of a log.

One event makes one ``LogRecord``, and a sink takes it: a stream, the standard library's
``logging``, or any function.  What a line says is worked out in ``lines``.

The clock of a line is its own run's.  As soon as the logger hears a second run, lines
carry the beginning of their run's id.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

import attrs

from ..abc import Observer, ObserverMeta
from ..events import Event, EventType
from ..outcomes import PipelineEndData
from .durations import clock_text
from .labels import label_of
from .lines import Line, LogRecord, end_text, payload_text, severity_of
from .recent import RecentRuns, run_of
from .showing import shown


LogSink = Callable[[LogRecord], None]
"""Takes one record at a time."""

SENTENCE_LIMIT = 1000
"""Characters of the error in the last line of a failed run."""

ERRORS_KEPT = 100
"""Errors of one run that are remembered, so as not to be told twice."""

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
"""What the level may be."""


class StreamLogSink:
    """Write each record's message as one line of a text stream."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __call__(self, record: LogRecord) -> None:
        """Write one line."""
        self.stream.write(record.message + "\n")
        self.stream.flush()


class LoggingSink:
    """Hand each record to the standard library's ``logging``.

    The record's facts are passed as ``extra``: ``run``, ``step``, ``event_type``,
    ``invocation``, ``attempt`` and ``detail``.  Formatters can name them, and structlog's
    ``ExtraAdder`` makes keys of them.
    """

    def __init__(self, logger: logging.Logger | str = "justpipe_actors.runs") -> None:
        self.logger = logging.getLogger(logger) if isinstance(logger, str) else logger

    def __call__(self, record: LogRecord) -> None:
        """Log one record at its own severity."""
        extra = {
            "run": record.run_id,
            "step": record.stage,
            "event_type": record.event_type.value,
            "invocation": record.invocation_id,
            "attempt": record.attempt,
            "detail": record.detail,
        }
        self.logger.log(record.severity, "%s", record.text, extra=extra)


@attrs.define(eq=False)
class _RunLog:
    """What the logger remembers of one run."""

    began: float | None = None
    """Timestamp of the first thing it saw."""
    end: PipelineEndData | None = None
    """What FINISH said."""
    errors: set[str] = attrs.field(factory=set)
    """Texts of the errors that were logged; a few at most."""


class EventLogger(Observer):
    """Log the events of every run it observes.

    Args:
        level: the least severe events to log: ``DEBUG``, ``INFO``, ``WARNING`` or
            ``ERROR``, in any case; anything else is ``INFO``.
        sink: takes the records; without one nothing is logged.
        use_colors: colour the messages with ANSI sequences.
        show_state: whether START and STEP_END show the state.
    """

    def __init__(
        self,
        level: str = "INFO",
        sink: LogSink | None = None,
        use_colors: bool = False,  # noqa: FBT001, FBT002 - the reference's signature
        *,
        show_state: bool = True,
    ) -> None:
        name = level.upper()
        self.level = name if name in LEVELS else "INFO"
        self.sink = sink
        self.use_colors = use_colors
        self.show_state = show_state
        self._least = logging.getLevelNamesMapping()[self.level]
        self._runs: RecentRuns[_RunLog] = RecentRuns(_RunLog, keep=0)
        self._heard = 0

    @classmethod
    def to_stderr(cls, *, show_state: bool) -> EventLogger:
        """Return one that logs in colour to standard error, as ``debug=True`` does."""
        return cls("INFO", cls.stderr_sink(), use_colors=True, show_state=show_state)

    @staticmethod
    def stderr_sink() -> StreamLogSink:
        """Return a sink that writes to standard error."""
        return StreamLogSink(sys.stderr)

    @staticmethod
    def logging_sink(
        logger: logging.Logger | str = "justpipe_actors.runs",
    ) -> LoggingSink:
        """Return a sink that hands records to the standard library's ``logging``."""
        return LoggingSink(logger)

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Begin a run's clock."""
        self._heard += 1
        self._runs.begin(run_of(meta))

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Log one event, if it is severe enough."""
        run = self._runs.of(run_of(meta))
        if run.began is None:
            run.began = event.timestamp
        if event.type is EventType.FINISH and event.stage == "system":
            run.end = (
                event.payload if isinstance(event.payload, PipelineEndData) else None
            )
        severity = severity_of(event)
        if severity >= self._least:
            if event.type is EventType.STEP_ERROR and len(run.errors) < ERRORS_KEPT:
                run.errors.add(shown(event.payload))
            self._log(run, meta, event, severity)

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """Log how a run ended that did not fail."""
        run = self._runs.of(run_of(meta))
        text, severity = end_text(run.end, duration_s)
        if severity >= self._least:
            now = time.time() if run.began is None else run.began + duration_s
            payload = {"duration_s": duration_s}
            event = Event(EventType.FINISH, "system", payload, now)
            self._log(run, meta, event, severity, text)
        self._runs.end(run_of(meta))

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """Log why a run failed, unless a quiet log has just said it."""
        run = self._runs.of(run_of(meta))
        reason = _text_of(error)
        is_quiet = self._least > logging.INFO
        if not (is_quiet and shown(reason) in run.errors):
            sentence = f"Pipeline failed: {shown(reason, SENTENCE_LIMIT)}"
            event = Event(
                EventType.STEP_ERROR, "system", {"error": reason}, time.time()
            )
            self._log(run, meta, event, logging.ERROR, sentence)
        self._runs.end(run_of(meta))

    def _log(
        self,
        run: _RunLog,
        meta: ObserverMeta,
        event: Event,
        severity: int,
        sentence: str | None = None,
    ) -> None:
        """Make a record of an event, or of a sentence in its place."""
        if self.sink is None:
            return
        began = event.timestamp if run.began is None else run.began
        line = Line(
            clock=clock_text(event.timestamp - began),
            run=(run_of(meta) or "")[:8] if self._heard > 1 else "",
            event=event,
            label=label_of(event.stage, event.scope),
            detail=payload_text(event, show_state=self.show_state),
            sentence=sentence,
        )
        record = LogRecord(
            timestamp=event.timestamp,
            relative_time=line.clock,
            event_type=event.type,
            stage=event.stage,
            payload=event.payload,
            message=line.message(colored=self.use_colors),
            run_id=run_of(meta),
            invocation_id=event.invocation_id,
            attempt=event.attempt,
            severity=severity,
            detail=line.detail,
            text=line.text(),
        )
        self.sink(record)


def _text_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception as other:  # noqa: BLE001 - an exception may misbehave when formatted
        return f"<{type(error).__name__} whose text raised {type(other).__name__}>"
