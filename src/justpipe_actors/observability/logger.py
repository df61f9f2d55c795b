"""``EventLogger`` logs events; ``RunFields`` adds run and step to any log record.

A step's code may use any logger, and its log records should show the run and the step.
``RunFields`` takes both from context variables, which are also set in threads of
``placement="thread"`` and in tasks that a step starts.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TextIO

import attrs

from .._util.text import (
    escape_controls,
    format_clock,
    format_duration,
    invocation_label,
    safe_str,
    short_text,
    truncate,
)
from ..abc import Observer, ObserverMeta
from ..events import Event, EventType
from ..meta import current_run_notes, current_step_notes
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .run_cache import RunCache, run_id_of


LINE_LIMIT = 300
"""Characters of a whole payload on one line."""

SEVERITIES: Final[Mapping[EventType, int]] = {
    EventType.START: logging.INFO,
    EventType.FINISH: logging.INFO,
    EventType.STEP_START: logging.INFO,
    EventType.STEP_END: logging.INFO,
    EventType.BARRIER_RELEASE: logging.INFO,
    EventType.MAP_START: logging.INFO,
    EventType.MAP_COMPLETE: logging.INFO,
    EventType.ASK: logging.INFO,
    EventType.ANSWER: logging.INFO,
    EventType.RECOVERED: logging.INFO,
    EventType.GAP: logging.INFO,
    EventType.BARRIER_WAIT: logging.WARNING,
    EventType.SUSPEND: logging.WARNING,
    EventType.TIMEOUT: logging.WARNING,
    EventType.CANCELLED: logging.WARNING,
    EventType.STEP_ERROR: logging.ERROR,
}
"""Log levels of events; events that are not listed have the level DEBUG."""

GREY, BOLD, RESET = "\x1b[90m", "\x1b[1m", "\x1b[0m"
RED, YELLOW, CYAN, GREEN = "\x1b[91m", "\x1b[93m", "\x1b[96m", "\x1b[92m"

LINE_COLORS: Final[Mapping[EventType, str]] = {
    EventType.STEP_ERROR: RED,
    EventType.BARRIER_WAIT: YELLOW,
    EventType.SUSPEND: YELLOW,
    EventType.TIMEOUT: YELLOW,
    EventType.CANCELLED: YELLOW,
    EventType.START: BOLD,
    EventType.FINISH: BOLD,
}
"""Colours of type and stage."""

TYPE_COLORS: Final[Mapping[EventType, str]] = {
    EventType.STEP_START: CYAN,
    EventType.MAP_START: CYAN,
    EventType.STEP_END: GREEN,
    EventType.MAP_COMPLETE: GREEN,
    EventType.BARRIER_RELEASE: GREEN,
}
"""Colours of the type alone."""

END_PHRASES: Final[Mapping[PipelineTerminalStatus, str]] = {
    PipelineTerminalStatus.SUCCESS: "completed in",
    PipelineTerminalStatus.FAILED: "failed after",
    PipelineTerminalStatus.TIMEOUT: "timed out after",
    PipelineTerminalStatus.CANCELLED: "was cancelled after",
    PipelineTerminalStatus.CLIENT_CLOSED: "was closed by its consumer after",
}
"""How a run ended, as the middle of a sentence."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line of the log, and its facts."""

    timestamp: float
    """Wall clock of the event, in seconds since the epoch."""
    relative_time: str
    """Time since the run's first event, as ``HH:MM:SS.mmm``."""
    event_type: EventType
    """What happened; FINISH and STEP_ERROR for the two closing lines."""
    stage: str
    """The step, or ``"system"``."""
    payload: Any
    """The event's payload, unchanged."""
    message: str
    """The whole line: clock, type, stage and payload, coloured if asked for."""
    run_id: str | None = None
    invocation_id: str | None = None
    """The invocation, for events of a step."""
    attempt: int = 1
    severity: int = logging.INFO
    """As in ``logging``."""
    detail: str = ""
    """The payload as text, shortened."""
    text: str = ""
    """The line without clock and colours."""


@attrs.frozen
class LogLine:
    """The parts of a message."""

    clock: str
    """Time since the run began."""
    run: str
    """Beginning of the run's id; empty when there is only one run."""
    event: Event
    """The event to log."""
    label: str
    """The step or map item of the event."""
    detail: str
    """The payload as text."""
    sentence: str | None = None
    """Text that replaces label and detail."""

    def text(self) -> str:
        """Return the line without clock and colours."""
        return (
            f"{self.event.type.value.upper()} {self._subject()}{self._detail_suffix()}"
        )

    def message(self, *, colored: bool) -> str:
        """Return the line as a stream shows it."""
        colorize = _colored if colored else _uncolored
        line_color = LINE_COLORS.get(self.event.type)
        clock = f"[{self.clock}{' ' if self.run else ''}{self.run}]"
        type_text = f"{self.event.type.value.upper():<16}"
        colored_type = colorize(
            type_text, line_color or TYPE_COLORS.get(self.event.type)
        )
        subject = colorize(self._subject(), line_color)
        return (
            f"{colorize(clock, GREY)} {colored_type} {subject}{self._detail_suffix()}"
        )

    def _subject(self) -> str:
        if self.sentence is not None:
            return self.sentence
        attempt_text = f" #{self.event.attempt}" if self.event.attempt > 1 else ""
        return f"{escape_controls(self.label)}{attempt_text}"

    def _detail_suffix(self) -> str:
        return f" ({self.detail})" if self.detail and self.sentence is None else ""


def _colored(text: str, color: str | None) -> str:
    return text if color is None else f"{color}{text}{RESET}"


def _uncolored(text: str, color: str | None) -> str:
    return text


def severity_of(event: Event) -> int:
    """Return the log level of an event."""
    return SEVERITIES.get(event.type, logging.DEBUG)


def payload_text(event: Event, *, show_state: bool = True) -> str:
    """Return an event's payload as one line; empty if the event has none to show."""
    payload = event.payload
    is_state = event.type in (EventType.START, EventType.STEP_END)
    if payload is None or (is_state and not show_state):
        return ""
    if isinstance(payload, PipelineEndData):
        return _end_data_text(payload)
    if isinstance(payload, dict):
        items = (f"{short_text(k)}={short_text(v)}" for k, v in _first_items(payload))
        return truncate(", ".join(items), LINE_LIMIT)
    return short_text(payload, LINE_LIMIT)


def _first_items(payload: dict[Any, Any]) -> list[tuple[Any, Any]]:
    items = [(key, payload[key]) for key, _ in zip(payload, range(20), strict=False)]
    return [(key, value) for key, value in items if key != "trace_id"]


def _end_data_text(end: PipelineEndData) -> str:
    """Write the payload of FINISH."""
    text = f"{_status_text(end)} in {format_duration(end.duration_s)}"
    if end.failed_step:
        text += f" at {short_text(end.failed_step)}"
    return f"{text}: {short_text(end.error_text)}" if end.error_text else text


def _status_text(end: PipelineEndData) -> str:
    return "suspended" if _is_suspended(end) else end.status.value


def _is_suspended(end: PipelineEndData) -> bool:
    is_success = end.status is PipelineTerminalStatus.SUCCESS
    return is_success and end.metrics is not None and end.metrics.suspends > 0


def end_sentence(end: PipelineEndData | None, seconds: float) -> tuple[str, int]:
    """Return a sentence on how a run ended, and its log level.

    Args:
        end: payload of FINISH; None if the logger did not receive it.
        seconds: how long the run took.
    """
    if end is None:
        return f"Pipeline completed in {seconds:.2f}s", logging.INFO
    phrase = "was suspended after" if _is_suspended(end) else END_PHRASES[end.status]
    error_text = f": {short_text(end.error_text, LINE_LIMIT)}" if end.error_text else ""
    is_warning = end.status in (
        PipelineTerminalStatus.TIMEOUT,
        PipelineTerminalStatus.CANCELLED,
    )
    severity = logging.WARNING if is_warning else logging.INFO
    return f"Pipeline {phrase} {seconds:.2f}s{error_text}", severity


LogSink = Callable[[LogRecord], None]
"""Takes one record at a time."""

SENTENCE_LIMIT = 1000
"""Characters of the error in the last line of a failed run."""

MAX_ERRORS_KEPT = 100
"""Maximum number of errors per run to remember, to avoid logging them twice."""

LEVEL_NAMES: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
"""Allowed names of the level."""


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

    Args:
        logger: the logger, or its name.
    """

    def __init__(self, logger: logging.Logger | str = "justpipe_actors.runs") -> None:
        self.logger: logging.Logger = (
            logging.getLogger(logger) if isinstance(logger, str) else logger
        )

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
    """The logger's state for one run."""

    started_at: float | None = None
    """Timestamp of the first observed event."""
    end: PipelineEndData | None = None
    """The payload of FINISH."""
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
        self.level = name if name in LEVEL_NAMES else "INFO"
        self.sink = sink
        self.use_colors = use_colors
        self.show_state = show_state
        self._min_severity = logging.getLevelNamesMapping()[self.level]
        self._runs: RunCache[_RunLog] = RunCache(_RunLog, keep=0)
        self._run_count = 0

    @classmethod
    def to_stderr(cls, *, show_state: bool) -> EventLogger:
        """Return one that logs in colour to standard error, as ``debug=True`` does.

        Args:
            show_state: whether records show the state.
        """
        return cls("INFO", cls.stderr_sink(), use_colors=True, show_state=show_state)

    @staticmethod
    def stderr_sink() -> StreamLogSink:
        """Return a sink that writes to standard error."""
        return StreamLogSink(sys.stderr)

    @staticmethod
    def logging_sink(
        logger: logging.Logger | str = "justpipe_actors.runs",
    ) -> LoggingSink:
        """Return a sink that hands records to the standard library's ``logging``.

        Args:
            logger: the logger, or its name.
        """
        return LoggingSink(logger)

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Begin a run's clock."""
        self._run_count += 1
        self._runs.begin(run_id_of(meta))

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Log one event, if it is severe enough."""
        run = self._runs.get_or_begin(run_id_of(meta))
        if run.started_at is None:
            run.started_at = event.timestamp
        if event.type is EventType.FINISH and event.stage == "system":
            run.end = (
                event.payload if isinstance(event.payload, PipelineEndData) else None
            )
        severity = severity_of(event)
        if severity >= self._min_severity:
            if event.type is EventType.STEP_ERROR and len(run.errors) < MAX_ERRORS_KEPT:
                run.errors.add(short_text(event.payload))
            self._log(run, meta, event, severity)

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """Log the end of a run that did not fail."""
        run = self._runs.get_or_begin(run_id_of(meta))
        text, severity = end_sentence(run.end, duration_s)
        if severity >= self._min_severity:
            now = time.time() if run.started_at is None else run.started_at + duration_s
            payload = {"duration_s": duration_s}
            event = Event(EventType.FINISH, "system", payload, now)
            self._log(run, meta, event, severity, text)
        self._runs.end(run_id_of(meta))

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """Log the failure of a run, unless the log already has its error."""
        run = self._runs.get_or_begin(run_id_of(meta))
        reason = safe_str(error)
        hides_step_errors = self._min_severity > logging.INFO
        if not (hides_step_errors and short_text(reason) in run.errors):
            sentence = f"Pipeline failed: {short_text(reason, SENTENCE_LIMIT)}"
            event = Event(
                EventType.STEP_ERROR, "system", {"error": reason}, time.time()
            )
            self._log(run, meta, event, logging.ERROR, sentence)
        self._runs.end(run_id_of(meta))

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
        started_at = event.timestamp if run.started_at is None else run.started_at
        line = LogLine(
            clock=format_clock(event.timestamp - started_at),
            run=(run_id_of(meta) or "")[:8] if self._run_count > 1 else "",
            event=event,
            label=invocation_label(event.stage, event.scope),
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
            run_id=run_id_of(meta),
            invocation_id=event.invocation_id,
            attempt=event.attempt,
            severity=severity,
            detail=line.detail,
            text=line.text(),
        )
        self.sink(record)


FIELDS = ("run", "pipe", "step", "invocation", "attempt")
"""Names of the fields that are added; the same as in this library's own records."""


class RunFields(logging.Filter):
    """Give every log record the fields run, pipe, step, invocation and attempt.

    A filter on a *handler* applies to the records of all loggers that the handler
    writes; a filter on a logger applies only to records of that logger:

        handler.addFilter(RunFields())
        handler.setFormatter(logging.Formatter("%(run)s %(step)s %(message)s"))

    The filter accepts every record and keeps fields that a record already has.

    Args:
        empty: the value of a field outside of runs; step fields have it in hooks.
    """

    def __init__(self, empty: object = "-") -> None:
        super().__init__()
        self.empty = empty

    def filter(self, record: logging.LogRecord) -> bool:
        """Fill the fields in."""
        run, step = current_run_notes.get(None), current_step_notes.get(None)
        empty_fields = (self.empty,) * len(FIELDS)
        run_fields = (run and run.about) or empty_fields[:2]
        step_fields = (step and step.about) or empty_fields[2:]
        fields = vars(record)
        for name, value in zip(FIELDS, (*run_fields, *step_fields), strict=True):
            fields.setdefault(name, value)
        return True
