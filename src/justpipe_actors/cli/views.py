"""Views of a run for files, pipes and logs: text for users, JSON for programs."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from typing import Literal, Self, TextIO

import attrs

from ..codec import event_to_plain, to_text
from ..events import Event, EventType
from .formatting import count_text, format_duration, printable
from .outcome_text import Outcome, details, headline
from .progress import Progress, Row, step_failure


Style = Literal["live", "lines", "json"]


class View(ABC):
    """Shows one run; entered before it begins, left after it has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    @abstractmethod
    def on_event(self, event: Event) -> None:
        """Show an event."""

    @abstractmethod
    def tick(self) -> None:
        """Update the view; called ten times a second."""

    @abstractmethod
    def notice(self, text: str) -> None:
        """Show something about the run."""

    @abstractmethod
    def show_outcome(self, outcome: Outcome) -> None:
        """Show how it ended."""


@attrs.frozen
class StreamInfo:
    """What an output stream is connected to."""

    is_terminal: bool
    """Whether the stream is a terminal."""
    can_redraw: bool
    """Whether the terminal can overwrite its output."""


def style_for(requested: Style | None, out: StreamInfo, err: StreamInfo) -> Style:
    """Choose a style: rows or lines for a terminal, JSON for a pipe.

    The style ``lines`` still draws rows if there is a terminal to draw them on.
    """
    if requested == "json" or (requested is None and not out.is_terminal):
        return "json"
    can_draw = out.can_redraw or (err.can_redraw and not out.is_terminal)
    return "live" if can_draw else "lines"


STATE_EVENTS = (EventType.START, EventType.STEP_END)
"""Event types with the state as payload."""


class TokenFormatter:
    """Tokens one after the other: text as it is, anything else as a line of JSON."""

    def __init__(self) -> None:
        self.is_open: bool = False
        """Whether the last line still lacks its end."""

    def format(self, payload: object) -> str:
        """Return the text to be written next."""
        if isinstance(payload, str):
            text = payload
        else:
            text = "\n" * self.is_open + to_text(payload) + "\n"
        self.is_open = not text.endswith("\n") if text else self.is_open
        return text


def event_json_line(event: Event, *, has_state: bool) -> str:
    """Return an event as a line of JSON, the state left out unless it is wanted.

    The state grows with the run and would be written again with every step.
    """
    if event.type in STATE_EVENTS and not has_state:
        event = replace(event, payload=None)
    return f"{json.dumps(event_to_plain(event))}\n"


PROGRESS_INTERVAL = 5.0
"""Seconds between two lines about the same map."""

FIRST_PROGRESS = 1.0
"""Seconds until the first such line."""


class LinesView(View):
    """Writes tokens to one stream, and a line for every step that is done to another.

    Args:
        progress: the rows to begin with.
        out: where tokens go.
        err: where everything else goes.
    """

    def __init__(self, progress: Progress, out: TextIO, err: TextIO) -> None:
        self._progress = progress
        self._out = out
        self._err = err
        self._last_written = time.monotonic()
        self._interval = FIRST_PROGRESS
        self._tokens = TokenFormatter()

    def on_event(self, event: Event) -> None:
        """Write a token, or that a step is done."""
        self._progress.on_event(event)
        if event.type is EventType.TOKEN:
            self._out.write(self._tokens.format(event.payload))
            self._out.flush()
        elif (
            event.type in (EventType.STEP_END, EventType.STEP_ERROR) and not event.scope
        ):
            self._write_step(self._progress.rows[event.stage], event)

    def tick(self) -> None:
        """Write the progress of the maps periodically."""
        if time.monotonic() - self._last_written < self._interval:
            return
        self._interval = PROGRESS_INTERVAL
        for row in self._progress.rows.values():
            if row.running and row.worker in self._progress.rows:
                self._write(f"  {printable(row.name)}: {self._map_progress(row)}")

    def notice(self, text: str) -> None:
        """Say something about the run."""
        self._write(text)

    def show_outcome(self, outcome: Outcome) -> None:
        """Say how it ended."""
        self._write(headline(outcome, self._progress)[1])
        for line in details(outcome, self._progress):
            self._write(f"  {line}")

    def _write_step(self, row: Row, event: Event) -> None:
        duration = format_duration(row.seconds(event.timestamp))
        name = printable(row.name)
        if event.type is EventType.STEP_ERROR:
            self._write(
                f"  {name}: failed after {duration}: "
                f"{printable(step_failure(event).error)}"
            )
        else:
            progress_text = (
                f", {self._map_progress(row)}"
                if row.worker in self._progress.rows
                else ""
            )
            self._write(f"  {name}: done in {duration}{progress_text}")

    def _map_progress(self, row: Row) -> str:
        worker = self._progress.rows[row.worker or row.name]
        done = worker.done + worker.failed
        if row.items and not row.uncounted_maps:
            return f"{done:,} of {count_text(row.items, 'item')}"
        if not worker.started:
            return "no items yet" if row.running else "no items"
        return f"{done:,} of {count_text(worker.started, 'item')} so far"

    def _write(self, text: str) -> None:
        self._last_written = time.monotonic()
        self._err.write(f"{text}\n")
        self._err.flush()


class JsonView(View):
    """Writes every event as a line of JSON; what steps print goes to the error stream.

    Args:
        progress: the rows to begin with, for the words at the end.
        out: where the events go.
        err: where everything else goes.
        has_state: whether START and STEP_END carry the state.
    """

    def __init__(
        self, progress: Progress, out: TextIO, err: TextIO, *, has_state: bool
    ) -> None:
        self._progress = progress
        self._out = out
        self._err = err
        self._has_state = has_state
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(redirect_stdout(self._err))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def on_event(self, event: Event) -> None:
        """Write an event."""
        self._progress.on_event(event)
        self._out.write(event_json_line(event, has_state=self._has_state))
        self._out.flush()

    def tick(self) -> None:
        """Do nothing: this view writes events only."""

    def notice(self, text: str) -> None:
        """Write a notice about the run to the error stream."""
        self._err.write(f"{text}\n")

    def show_outcome(self, outcome: Outcome) -> None:
        """Write the failure; write nothing after a success."""
        if outcome.status:
            self._err.write(f"{headline(outcome, self._progress)[1]}\n")
            self._err.writelines(
                f"  {line}\n" for line in details(outcome, self._progress)
            )
