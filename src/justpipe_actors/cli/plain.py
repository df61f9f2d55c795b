"""A run as text for files, pipes and logs: lines for people, JSON for programs."""

from __future__ import annotations

import time
from contextlib import ExitStack, redirect_stdout
from typing import Self, TextIO

from ..events import Event, EventType
from .formatting import counted, format_duration, printable
from .progress import Progress, Row
from .streaming import TokenTexts, event_line
from .views import View
from .words import Ending, details, headline


PAUSE = 5.0
"""Seconds between two lines about the same map."""


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
        self._said = time.monotonic()
        self._tokens = TokenTexts()

    def hear(self, event: Event) -> None:
        """Write a token, or that a step is done."""
        self._progress.hear(event)
        if event.type is EventType.TOKEN:
            self._out.write(self._tokens.of(event.payload))
            self._out.flush()
        elif (
            event.type in (EventType.STEP_END, EventType.STEP_ERROR) and not event.scope
        ):
            self._say(self._progress.rows[event.stage], event)

    def tick(self) -> None:
        """Say how far the maps are, now and then."""
        if time.monotonic() - self._said < PAUSE:
            return
        for row in self._progress.rows.values():
            if row.running and row.worker in self._progress.rows:
                self._write(f"  {printable(row.name)}: {self._share(row)}")

    def notice(self, text: str) -> None:
        """Say something about the run."""
        self._write(text)

    def conclude(self, ending: Ending) -> None:
        """Say how it ended."""
        self._write(headline(ending, self._progress)[1])
        for line in details(ending, self._progress):
            self._write(f"  {line}")

    def _say(self, row: Row, event: Event) -> None:
        took = format_duration(row.seconds(event.timestamp))
        name = printable(row.name)
        if event.type is EventType.STEP_ERROR:
            self._write(f"  {name}: failed after {took}: {printable(event.payload)}")
        else:
            share = f", {self._share(row)}" if row.worker in self._progress.rows else ""
            self._write(f"  {name}: done in {took}{share}")

    def _share(self, row: Row) -> str:
        worker = self._progress.rows[row.worker or row.name]
        done = worker.done + worker.failed
        if row.items and not row.uncounted:
            return f"{done:,} of {counted(row.items, 'item')}"
        return counted(done, "item")

    def _write(self, text: str) -> None:
        self._said = time.monotonic()
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

    def hear(self, event: Event) -> None:
        """Write an event."""
        self._progress.hear(event)
        self._out.write(event_line(event, has_state=self._has_state))
        self._out.flush()

    def tick(self) -> None:
        """Do nothing: events speak for themselves."""

    def notice(self, text: str) -> None:
        """Say something about the run to whoever watches."""
        self._err.write(f"{text}\n")

    def conclude(self, ending: Ending) -> None:
        """Say in words what went wrong; a success needs none."""
        if ending.status:
            self._err.write(f"{headline(ending, self._progress)[1]}\n")
            self._err.writelines(
                f"  {line}\n" for line in details(ending, self._progress)
            )
