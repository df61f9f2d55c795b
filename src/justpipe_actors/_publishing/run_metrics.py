"""The metrics of one run, counted while it runs.

The engine calls a counter for each start, end and event, so a call only adds to a
number; tables are made with their first row.  FINISH reports them all.
"""

from __future__ import annotations

from typing import Any

import attrs

from .._util.lazy_classes import define
from ..events import EventType
from ..outcomes import (
    BarrierMetrics,
    MapMetrics,
    QueueMetrics,
    RuntimeMetrics,
    StepTiming,
    TaskMetrics,
    metrics_read_later,
)


NAMES_KEPT = 10_000
"""Step names a table keeps; dynamic names beyond them are not sampled."""


NO_ROWS: dict[str, list[Any]] = {}
"""Shared table of all runs that have no rows yet; it stays empty.

perf: a run that waits for something has neither (``tests.benchmarks.scale``, idle run).
"""


@define(eq=False, repr=False)
class RunMetrics:
    """Counters; ``report`` turns them into what FINISH reports."""

    peak_buffered: int = 0
    started: int = 0
    completed: int = 0
    peak: int = 0
    maps_started: int = 0
    maps_completed: int = 0
    workers_started: int = 0
    workers: int = 0
    peak_workers: int = 0
    events: dict[str, int] = attrs.field(factory=dict)
    latency: dict[str, list[Any]] = NO_ROWS
    barriers: dict[str, list[float]] = NO_ROWS

    def count_task_start(self) -> None:
        """Count one invocation, timer or child run that starts."""
        self.started += 1
        active = self.started - self.completed
        if active > self.peak:  # perf: max() costs three times this, once per step
            self.peak = active

    def count_task_end(self) -> None:
        """Count one that ended."""
        self.completed += 1

    def count_worker_start(self) -> None:
        """Count a map worker's first attempt."""
        self.workers_started += 1
        self.workers += 1
        if self.workers > self.peak_workers:
            self.peak_workers = self.workers

    def count_event(self, type: EventType) -> None:
        """Count one event of the stream."""
        name = type._value_
        self.events[name] = self.events.get(name, 0) + 1

    @property
    def tokens(self) -> int:
        """TOKEN events so far."""
        return self.events.get("token", 0)

    @property
    def suspends(self) -> int:
        """SUSPEND events so far."""
        return self.events.get("suspend", 0)

    def add_step_time(self, step: str, seconds: float) -> None:
        """Add one sample to a step's timing: count, total, least, most."""
        row = self.latency.get(step)
        if row is None:
            if self.latency is NO_ROWS:
                self.latency = {}
            if len(self.latency) < NAMES_KEPT:
                self.latency[step] = [1, seconds, seconds, seconds]
            return
        row[0] += 1
        row[1] += seconds
        if seconds < row[2]:
            row[2] = seconds
        elif seconds > row[3]:
            row[3] = seconds

    def count_barrier_wait(self, join: str) -> None:
        """Count a barrier that begins to wait."""
        self._barrier(join)[0] += 1

    def count_barrier_opened(self, join: str, seconds: float) -> None:
        """Count a barrier that opened in time."""
        row = self._barrier(join)
        row[1] += 1
        row[3] += seconds
        row[4] = max(row[4], seconds)

    def count_barrier_timeout(self, join: str) -> None:
        """Count a barrier that timed out, handled or not."""
        self._barrier(join)[2] += 1

    def _barrier(self, join: str) -> list[float]:
        if self.barriers is NO_ROWS:
            self.barriers = {}
        return self.barriers.setdefault(join, [0, 0, 0, 0.0, 0.0])

    def report(self) -> RuntimeMetrics:
        """Return the metrics as FINISH reports them; the run counts nothing after that.

        Most of them are converted when they are read (``metrics_read_later``).
        """
        return metrics_read_later(
            self._convert, tokens=self.tokens, suspends=self.suspends
        )

    def _convert(self) -> dict[str, object]:
        """Return the fields of ``RuntimeMetrics``."""
        return {
            "queue": QueueMetrics(self.peak_buffered),
            "tasks": TaskMetrics(self.started, self.completed, self.peak),
            "step_latency": {
                name: StepTiming(*row) for name, row in self.latency.items()
            },
            "barriers": {
                name: BarrierMetrics(int(waits), int(opened), int(late), total, longest)
                for name, (
                    waits,
                    opened,
                    late,
                    total,
                    longest,
                ) in self.barriers.items()
            },
            "maps": MapMetrics(
                self.maps_started,
                self.maps_completed,
                self.workers_started,
                self.peak_workers,
            ),
            "events": dict(self.events),
            "tokens": self.tokens,
            "suspends": self.suspends,
        }
