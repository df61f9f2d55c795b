"""``TimelineVisualizer``: the runs of a pipe as timelines, one for each run.

It keeps type, step and time of each event but no payload, for a bounded number of runs.
Drawings are made on request, by ``renderers.py``.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, NamedTuple

import attrs

from ...abc import Observer, ObserverMeta
from ...events import Event, EventType
from ..run_cache import RunCache, run_id_of
from ..spans import SpanCollector
from .chart import Chart, build_chart
from .renderers import empty_gantt, render_gantt, render_page, render_rows, render_trace


NO_EVENTS = "No events recorded."


class TimelineEvent(NamedTuple):
    """What a timeline keeps of an event: not its payload, which may be large."""

    event_type: EventType
    """What happened."""
    stage: str
    """The step, or ``system``."""
    timestamp: float
    """Time of the event, in seconds since the epoch."""


@attrs.define(eq=False)
class Timeline:
    """One run's timeline, while it runs and afterwards."""

    width: int = 80
    """Columns of the text drawing; from 60 to 500."""
    max_spans: int = 1000
    """Ended spans that are kept, the newest ones."""
    name: str = "Pipeline"
    """Name of the pipe."""
    start: float | None = None
    """When the run began, in seconds since the epoch."""
    end: float | None = None
    """When the run ended; None before."""
    _events: deque[TimelineEvent] = attrs.field(init=False)
    _spans: SpanCollector = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._events = deque(maxlen=10 * self.max_spans)
        self._spans = SpanCollector(self.max_spans)

    @property
    def events(self) -> list[TimelineEvent]:
        """The last events: type, stage and timestamp."""
        return list(self._events)

    @property
    def latest(self) -> float | None:
        """When its last event was."""
        return self._events[-1].timestamp if self._events else None

    @property
    def step_start_times(self) -> dict[str, float]:
        """When each step began, the last time it did."""
        return {span.stage: span.start for span in self._spans}

    @property
    def step_end_times(self) -> dict[str, float]:
        """When each step ended, the last time it did."""
        ended = (span for span in self._spans if span.end is not None)
        return {span.stage: span.end for span in ended if span.end is not None}

    def note(self, event: Event) -> None:
        """Add an event to the timeline; times count from START."""
        if event.type is EventType.START and event.stage == "system":
            self.start = event.timestamp  # the startup hooks have ended
        self._events.append(TimelineEvent(event.type, event.stage, event.timestamp))
        self._spans.note(event)

    def chart(self) -> Chart:
        """Return the current data of a drawing."""
        return build_chart(
            self.name, self._spans, self.start, self.end, self._spans.dropped
        )

    def render_ascii(self, max_steps: int = 20) -> str:
        """Draw it as text, with ``max_steps`` spans at most.

        Returns:
            The text.
        """
        if not self._events:
            return NO_EVENTS
        return render_rows(self.chart(), self.width, max_steps)

    def render_html(self) -> str:
        """Draw it as one page of HTML without scripts.

        Returns:
            The page.
        """
        if not self._events:
            return f"<p>{NO_EVENTS}</p>"
        return render_page(self.chart())

    def render_mermaid(self) -> str:
        """Draw it as a Mermaid Gantt chart.

        Returns:
            The text.
        """
        if not self._events:
            return empty_gantt(self.name)
        return render_gantt(self.chart())

    def render_chrome(self) -> str:
        """Write it as trace JSON for ``chrome://tracing`` and Perfetto.

        Returns:
            The text.
        """
        return render_trace(self.chart())


class TimelineVisualizer(Observer):
    """Keep a timeline of each run and draw it.

    Properties and methods refer to the run that began last; use ``for_run`` for the
    others.  Stored events can be replayed through ``process_event``.

    Args:
        width: columns of the text drawing; from 60 to 500.
        keep: ended runs that are remembered.
        max_spans: spans of one run that are kept, the newest ones.
    """

    def __init__(
        self, width: int = 80, *, keep: int = 16, max_spans: int = 1000
    ) -> None:
        self.width = width
        self._runs = RunCache(lambda: Timeline(self.width, max_spans), keep)

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Begin a run's timeline."""
        timeline = self._runs.begin(run_id_of(meta))
        timeline.name = meta.pipe_name
        started_at = getattr(meta, "started_at", None)
        timeline.start = (
            started_at if isinstance(started_at, int | float) else time.time()
        )

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Add an event to the timeline."""
        self._runs.get_or_begin(run_id_of(meta)).note(event)

    async def on_pipeline_end(
        self, state: Any, context: Any, meta: ObserverMeta, duration_s: float
    ) -> None:
        """End a run's timeline."""
        self._end(meta)

    async def on_pipeline_error(
        self, state: Any, context: Any, meta: ObserverMeta, error: Exception
    ) -> None:
        """End a failed run's timeline."""
        self._end(meta)

    def _end(self, meta: ObserverMeta) -> None:
        timeline = self._runs.get_or_begin(run_id_of(meta))
        timeline.end = time.time() if timeline.latest is None else timeline.latest
        self._runs.end(run_id_of(meta))

    def process_event(
        self, event_type: EventType | str, stage: str, timestamp: float
    ) -> None:
        """Add a stored event, given by its type, stage and timestamp.

        Args:
            event_type: the type, or its value.
            stage: the step.
            timestamp: seconds since the epoch.
        """
        event = Event(EventType(event_type), stage, timestamp=timestamp)
        self._runs.latest().note(event)

    def for_run(self, run_id: str) -> Timeline:
        """Return one run's timeline.

        Args:
            run_id: the run.

        Raises:
            UnknownRunError: the run is not remembered.
        """
        return self._runs.for_run(run_id)

    # -- the run that began last

    @property
    def events(self) -> list[TimelineEvent]:
        """The last events: type, stage and timestamp."""
        return self._runs.latest().events

    @property
    def step_start_times(self) -> dict[str, float]:
        """When each step began, the last time it did."""
        return self._runs.latest().step_start_times

    @property
    def step_end_times(self) -> dict[str, float]:
        """When each step ended, the last time it did."""
        return self._runs.latest().step_end_times

    @property
    def pipeline_name(self) -> str:
        """The pipe's name."""
        return self._runs.latest().name

    @pipeline_name.setter
    def pipeline_name(self, name: str) -> None:
        self._runs.latest().name = name

    @property
    def pipeline_start(self) -> float | None:
        """When the run began, in seconds since the epoch."""
        return self._runs.latest().start

    @pipeline_start.setter
    def pipeline_start(self, timestamp: float | None) -> None:
        self._runs.latest().start = timestamp

    @property
    def pipeline_end(self) -> float | None:
        """When it ended."""
        return self._runs.latest().end

    @pipeline_end.setter
    def pipeline_end(self, timestamp: float | None) -> None:
        self._runs.latest().end = timestamp

    def render_ascii(self, max_steps: int = 20) -> str:
        """Draw it as text, with ``max_steps`` spans at most.

        Returns:
            The text.
        """
        return self._runs.latest().render_ascii(max_steps)

    def render_html(self) -> str:
        """Draw it as one page of HTML without scripts.

        Returns:
            The page.
        """
        return self._runs.latest().render_html()

    def render_mermaid(self) -> str:
        """Draw it as a Mermaid Gantt chart.

        Returns:
            The text.
        """
        return self._runs.latest().render_mermaid()

    def render_chrome(self) -> str:
        """Write it as trace JSON for ``chrome://tracing`` and Perfetto.

        Returns:
            The text.
        """
        return self._runs.latest().render_chrome()
