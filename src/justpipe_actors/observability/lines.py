"""What a log line says about an event; pure."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import attrs

from ..events import Event, EventType
from ..outcomes import PipelineEndData, PipelineTerminalStatus
from .durations import duration_text
from .showing import one_line, shortened, shown


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
    EventType.BARRIER_WAIT: logging.WARNING,
    EventType.SUSPEND: logging.WARNING,
    EventType.TIMEOUT: logging.WARNING,
    EventType.CANCELLED: logging.WARNING,
    EventType.STEP_ERROR: logging.ERROR,
}
"""How severe an event is; those not named are for DEBUG."""

GREY, BOLD, PLAIN = "\x1b[90m", "\x1b[1m", "\x1b[0m"
RED, YELLOW, CYAN, GREEN = "\x1b[91m", "\x1b[93m", "\x1b[96m", "\x1b[92m"

WHOLE: Final[Mapping[EventType, str]] = {
    EventType.STEP_ERROR: RED,
    EventType.BARRIER_WAIT: YELLOW,
    EventType.SUSPEND: YELLOW,
    EventType.TIMEOUT: YELLOW,
    EventType.CANCELLED: YELLOW,
    EventType.START: BOLD,
    EventType.FINISH: BOLD,
}
"""Colours of type and stage."""

TYPE_ONLY: Final[Mapping[EventType, str]] = {
    EventType.STEP_START: CYAN,
    EventType.MAP_START: CYAN,
    EventType.STEP_END: GREEN,
    EventType.MAP_COMPLETE: GREEN,
    EventType.BARRIER_RELEASE: GREEN,
}
"""Colours of the type alone."""

ENDINGS: Final[Mapping[PipelineTerminalStatus, str]] = {
    PipelineTerminalStatus.SUCCESS: "completed in",
    PipelineTerminalStatus.FAILED: "failed after",
    PipelineTerminalStatus.TIMEOUT: "timed out after",
    PipelineTerminalStatus.CANCELLED: "was cancelled after",
    PipelineTerminalStatus.CLIENT_CLOSED: "was closed by its consumer after",
}
"""How a run ended, as the middle of a sentence."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One line of the log, with the facts behind it."""

    timestamp: float
    """Wall clock of the event, in seconds since the epoch."""
    relative_time: str
    """Time since the run's first event, as ``HH:MM:SS.mmm``."""
    event_type: EventType
    """What happened; FINISH and STEP_ERROR for the two closing lines."""
    stage: str
    """The step, or ``"system"``."""
    payload: Any
    """The event's payload, as it is."""
    message: str
    """The whole line: clock, type, stage and payload, coloured if asked for."""
    run_id: str | None = None
    """The run."""
    invocation_id: str | None = None
    """The invocation, for events of a step."""
    attempt: int = 1
    """The attempt."""
    severity: int = logging.INFO
    """As in ``logging``."""
    detail: str = ""
    """The payload as text, shortened."""
    text: str = ""
    """The line without clock and colours."""


@attrs.frozen
class Line:
    """The parts of a message."""

    clock: str
    """Time since the run began."""
    run: str
    """Beginning of the run's id; empty when there is only one run."""
    event: Event
    """What is told."""
    label: str
    """Whom it happened to."""
    detail: str
    """The payload as text."""
    sentence: str | None = None
    """Said in place of label and detail."""

    def text(self) -> str:
        """Return the line without clock and colours."""
        return f"{self.event.type.value.upper()} {self._subject()}{self._rest()}"

    def message(self, *, colored: bool) -> str:
        """Return the line as a stream shows it."""
        paint = _painted if colored else _plain
        both = WHOLE.get(self.event.type)
        clock = f"[{self.clock}{' ' if self.run else ''}{self.run}]"
        kind = f"{self.event.type.value.upper():<16}"
        first = paint(kind, both or TYPE_ONLY.get(self.event.type))
        subject = paint(self._subject(), both)
        return f"{paint(clock, GREY)} {first} {subject}{self._rest()}"

    def _subject(self) -> str:
        if self.sentence is not None:
            return self.sentence
        again = f" #{self.event.attempt}" if self.event.attempt > 1 else ""
        return f"{one_line(self.label)}{again}"

    def _rest(self) -> str:
        return f" ({self.detail})" if self.detail and self.sentence is None else ""


def _painted(text: str, color: str | None) -> str:
    return text if color is None else f"{color}{text}{PLAIN}"


def _plain(text: str, color: str | None) -> str:
    return text


def severity_of(event: Event) -> int:
    """Return how severe an event is, as in ``logging``."""
    return SEVERITIES.get(event.type, logging.DEBUG)


def payload_text(event: Event, *, show_state: bool = True) -> str:
    """Write an event's payload on one line; empty when there is nothing to say."""
    payload = event.payload
    is_state = event.type in (EventType.START, EventType.STEP_END)
    if payload is None or (is_state and not show_state):
        return ""
    if isinstance(payload, PipelineEndData):
        return _outcome(payload)
    if isinstance(payload, dict):
        facts = (f"{shown(k)}={shown(v)}" for k, v in _few(payload))
        return shortened(", ".join(facts), LINE_LIMIT)
    return shown(payload, LINE_LIMIT)


def _few(payload: dict[Any, Any]) -> list[tuple[Any, Any]]:
    items = [(key, payload[key]) for key, _ in zip(payload, range(20), strict=False)]
    return [(key, value) for key, value in items if key != "trace_id"]


def _outcome(end: PipelineEndData) -> str:
    """Write what FINISH carries."""
    text = f"{_status(end)} in {duration_text(end.duration_s)}"
    if end.failed_step:
        text += f" at {shown(end.failed_step)}"
    return f"{text}: {shown(end.error)}" if end.error else text


def _status(end: PipelineEndData) -> str:
    return "suspended" if _is_suspended(end) else end.status.value


def _is_suspended(end: PipelineEndData) -> bool:
    is_success = end.status is PipelineTerminalStatus.SUCCESS
    return is_success and end.metrics is not None and end.metrics.suspends > 0


def end_text(end: PipelineEndData | None, seconds: float) -> tuple[str, int]:
    """Say in a sentence how a run ended, and how severe that is.

    Args:
        end: what FINISH said; None when nobody heard it.
        seconds: how long the run took.
    """
    if end is None:
        return f"Pipeline completed in {seconds:.2f}s", logging.INFO
    how = "was suspended after" if _is_suspended(end) else ENDINGS[end.status]
    why = f": {shown(end.error, LINE_LIMIT)}" if end.error else ""
    loud = end.status in (
        PipelineTerminalStatus.TIMEOUT,
        PipelineTerminalStatus.CANCELLED,
    )
    severity = logging.WARNING if loud else logging.INFO
    return f"Pipeline {how} {seconds:.2f}s{why}", severity
