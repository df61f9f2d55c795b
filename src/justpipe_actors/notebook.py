"""A run in a notebook: rows that change while it runs, then its timeline.

A pipe that runs in a notebook's kernel gives each run a ``NotebookView``.  It takes notes
of the events and shows nothing until the run's stream is displayed: as the last
expression of a cell, or with ``display(run)``.  From then on it replaces what was
displayed, a few times a second and once at the end.
"""

from __future__ import annotations

import time
from html import escape
from typing import Any

import attrs

from ._util.notebooks import display_html, paragraph, table, update_html
from ._util.text import escape_controls, format_duration
from .abc import Observer, ObserverMeta
from .events import Event, EventType
from .observability.timeline import Timeline
from .outcomes import PipelineEndData


REFRESH = 0.25
"""Seconds between two updates of a live view."""

MAX_ROWS = 40
"""Steps that a live view shows."""

ROW_HEIGHT = 28
"""Pixels of one span of a timeline."""


@attrs.define(eq=False)
class StepCounts:
    """One step so far."""

    first: float
    """Wall clock at its first start, in seconds."""
    running: int = 0
    """Invocations at work."""
    done: int = 0
    """Invocations that ended well."""
    failed: int = 0
    """Invocations that did not."""
    last: float = 0.0
    """Wall clock at its last end, in seconds."""

    def seconds(self, now: float) -> float:
        """Return the time from its first start to its last end, or to now."""
        return max(0.0, (now if self.running else self.last) - self.first)


class NotebookView(Observer):
    """What a notebook shows of one run.

    Args:
        name: the pipe's.
    """

    def __init__(self, name: str) -> None:
        self.end: PipelineEndData | None = None
        """How the run ended."""
        self._timeline = Timeline(name=name)
        self._steps: dict[str, StepCounts] = {}
        self._handles: list[Any] = []
        self._shown_at = 0.0

    # -- observer hooks

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Store the time of the start."""
        self._timeline.start = meta.started_at

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Count an event, and update the view if an update is due."""
        self._timeline.note(event)
        self._count(event)
        if event.type is EventType.FINISH and event.stage == "system":
            self.end = event.payload
            self._timeline.end = event.timestamp
            self._refresh()
        elif time.monotonic() - self._shown_at >= REFRESH:
            self._refresh()

    def wake_after(self, meta: ObserverMeta) -> float | None:
        """Return when to update next: durations grow while the rows are shown."""
        return REFRESH if self._handles and self.end is None else None

    async def on_wake(self, state: Any, context: Any, meta: ObserverMeta) -> None:
        """Update the durations."""
        self._refresh()

    def _count(self, event: Event) -> None:
        if event.type is EventType.STEP_START:
            row = self._steps.setdefault(event.stage, StepCounts(event.timestamp))
            row.running += event.attempt == 1
            return
        row_or_none = self._steps.get(event.stage)
        if row_or_none is None:
            return
        if event.type in (EventType.STEP_END, EventType.STEP_ERROR):
            row_or_none.running = max(0, row_or_none.running - 1)
            row_or_none.last = event.timestamp
            row_or_none.done += event.type is EventType.STEP_END
            row_or_none.failed += event.type is EventType.STEP_ERROR

    # -- display

    def show(self) -> None:
        """Display it here, and keep that up to date until the run has ended."""
        self._handles.append(display_html(self.html(), self.headline))

    @property
    def headline(self) -> str:
        """The status of the run, in one line."""
        if self.end is not None:
            return escape_controls(self.end.headline)
        name = escape_controls(self._timeline.name)
        return f"{name}: {'running' if self._steps else 'not begun'}"

    def html(self) -> str:
        """Return the rows of a run that is at work, or the timeline of one that is over."""
        headline = paragraph(self.headline)
        if self.end is not None:
            return headline + self._timeline_html()
        return headline + (self._rows_html() if self._steps else "")

    def _refresh(self) -> None:
        self._shown_at = time.monotonic()
        for handle in self._handles:
            update_html(handle, self.html(), self.headline)

    def _rows_html(self) -> str:
        now = time.time()
        shown = list(self._steps.items())[-MAX_ROWS:]
        rows = [
            (
                escape_controls(name),
                f"{step.running:,}" if step.running else "",
                f"{step.done:,}",
                f"{step.failed:,}" if step.failed else "",
                format_duration(step.seconds(now)),
            )
            for name, step in shown
        ]
        return table(["step", "at work", "done", "failed", "time"], rows)

    def _timeline_html(self) -> str:
        height = ROW_HEIGHT * (6 + min(len(self._timeline.chart().spans), 20))
        page = escape(self._timeline.render_html())
        size = f'width="100%" height="{height}" style="border: 0"'
        return f'<iframe srcdoc="{page}" {size}></iframe>'
