"""``MetricsObserver``: counts and durations of runs and steps, for Prometheus.

==========================================  =========  ==========================
``justpipe_actors_runs_total``              counter    ``pipe``, ``status``
``justpipe_actors_run_seconds``             histogram  ``pipe``
``justpipe_actors_step_seconds``            histogram  ``pipe``, ``step``, ``status``
``justpipe_actors_step_retries_total``      counter    ``pipe``, ``step``
==========================================  =========  ==========================

Labels are names of the program, never data of runs.  A family has a limited number of
series; those beyond it are counted under ``other``.
"""

from __future__ import annotations

import weakref
from typing import Any

import attrs

from ..abc import Observer, ObserverMeta
from ..events import Event, EventType
from ..outcomes import PipelineEndData
from .openmetrics import Family, exposition, merged
from .run_cache import RunCache
from .spans import END_STATUSES


PREFIX = "justpipe_actors"
"""Begins the name of every metric."""


@attrs.define(eq=False)
class _OpenSteps:
    """When the invocations at work of one run began."""

    began: dict[str, float] = attrs.field(factory=dict)


class MetricsObserver(Observer):
    """Count runs and steps, and how long they take.

    One object may observe any number of pipes: ``pipe.add_observer(metrics)``.  The
    dashboard serves what all objects of the process have counted at ``/metrics``;
    ``text`` returns what this one has.
    """

    def __init__(self) -> None:
        self.runs: Family = Family(
            f"{PREFIX}_runs", "counter", "Runs that ended.", ("pipe", "status")
        )
        self.run_seconds: Family = Family(
            f"{PREFIX}_run_seconds",
            "histogram",
            "Duration of runs.",
            ("pipe",),
            "seconds",
        )
        self.step_seconds: Family = Family(
            f"{PREFIX}_step_seconds",
            "histogram",
            "Duration of invocations of steps.",
            ("pipe", "step", "status"),
            "seconds",
        )
        self.retries: Family = Family(
            f"{PREFIX}_step_retries",
            "counter",
            "Further attempts of steps.",
            ("pipe", "step"),
        )
        self._open: RunCache[_OpenSteps] = RunCache(_OpenSteps, keep=0)
        _observers.add(self)

    @property
    def families(self) -> tuple[Family, ...]:
        """What was counted."""
        return self.runs, self.run_seconds, self.step_seconds, self.retries

    def text(self) -> str:
        """Return the counts as OpenMetrics text."""
        return exposition(self.families)

    async def on_pipeline_start(
        self, state: Any, context: Any, meta: ObserverMeta
    ) -> None:
        """Begin a run."""
        self._open.begin(meta.run_id)

    async def on_event(
        self, state: Any, context: Any, meta: ObserverMeta, event: Event
    ) -> None:
        """Count an event."""
        if event.type is EventType.STEP_START:
            began = self._open.get_or_begin(meta.run_id).began
            began[event.invocation_id or ""] = event.timestamp
            if event.attempt > 1:
                began.pop(event.parent_invocation_id or "", None)
                self.retries.add((meta.pipe_name, event.stage))
        elif event.type in END_STATUSES:
            began = self._open.get_or_begin(meta.run_id).began
            start = began.pop(event.invocation_id or "", None)
            if start is not None:
                status = END_STATUSES[event.type].value
                seconds = max(event.timestamp - start, 0.0)
                self.step_seconds.observe(
                    (meta.pipe_name, event.stage, status), seconds
                )
        elif event.type is EventType.FINISH and event.stage == "system":
            self._end(meta, event.payload)

    def _end(self, meta: ObserverMeta, end: object) -> None:
        self._open.end(meta.run_id)
        if isinstance(end, PipelineEndData):
            self.runs.add((meta.pipe_name, end.status.value))
            self.run_seconds.observe((meta.pipe_name,), end.duration_s)


def observed_families() -> list[Family]:
    """Return the counts of all observers of this process."""
    observers = sorted(_observers, key=id)
    return merged(family for one in observers for family in one.families)


_observers: weakref.WeakSet[MetricsObserver] = weakref.WeakSet()
