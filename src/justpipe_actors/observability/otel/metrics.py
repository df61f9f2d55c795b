"""``SnapshotGauges``: publish a supervisor's snapshots as observable gauges.

An exporter calls a gauge's callback in a separate thread, while the event loop changes
the measured objects.  So the callback does not measure.  A task on the loop takes a
snapshot periodically and replaces the previous one in a single assignment; the
callbacks read the latest snapshot.

``snapshot.age`` is the exception: its callback computes the age, so the age grows while
the loop is blocked and takes no snapshots.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

import anyio
import attrs
from anyio.abc import TaskStatus
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from .tracing import SCOPE


if TYPE_CHECKING:
    from ...supervisor import Supervisor, SupervisorSnapshot

Reading = tuple[str, float, dict[str, str]]
"""A gauge, a value, and attributes."""

GAUGES: Final = {
    "runs.active": ("{run}", "Runs at work."),
    "runs.waiting": ("{run}", "Runs that wait for a place."),
    "runs.parked": ("{run}", "Runs with a consumer that reads too slowly."),
    "runs.oldest": ("s", "Age of the oldest run at work."),
    "events.buffered": ("{event}", "Events that no consumer has read."),
    "joins.waiting": ("{join}", "Joins that wait for parents."),
    "actor.depth": ("{message}", "Messages in the inbox of a step."),
    "actor.busy": ("{invocation}", "Invocations of a step at work."),
}
"""Unit and description by name, of what is read from a snapshot."""


@attrs.frozen
class _Measurement:
    """The readings of one snapshot."""

    taken_at: float
    """Time of the snapshot, on the monotonic clock."""
    readings: tuple[Reading, ...]


class SnapshotGauges:
    """Publish a supervisor's figures.

    Run ``serve`` as one of its services, or as a task beside it:

        async with Supervisor(pipe) as supervisor:
            gauges = SnapshotGauges(supervisor)
            supervisor.add_service("gauges", gauges.serve)

    Args:
        source: the supervisor that is measured.
        meter: makes the gauges; by default the global provider's.
        every: seconds between two snapshots.
    """

    def __init__(
        self, source: Supervisor, meter: Meter | None = None, *, every: float = 5.0
    ) -> None:
        self.source = source
        self.every = every
        self._latest: _Measurement | None = None
        meter = meter or metrics.get_meter(SCOPE)
        for name, (unit, text) in GAUGES.items():
            meter.create_observable_gauge(
                f"{SCOPE}.{name}", [self._gauge_callback(name)], unit, text
            )
        meter.create_observable_gauge(
            f"{SCOPE}.snapshot.age", [self._age], "s", "Age of all of these figures."
        )

    async def serve(
        self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Refresh the readings until cancelled, then remove them.

        Args:
            task_status: set when the gauges are registered.
        """
        try:
            self.refresh()
            task_status.started()
            while True:
                await anyio.sleep(self.every)
                self.refresh()
        finally:
            self._latest = None

    def refresh(self) -> None:
        """Take a new snapshot; call this on the event loop."""
        readings = tuple(_readings(self.source.snapshot()))
        self._latest = _Measurement(time.monotonic(), readings)

    def _gauge_callback(
        self, name: str
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(options: CallbackOptions) -> Iterable[Observation]:
            measurement = self._latest
            readings = () if measurement is None else measurement.readings
            return [
                Observation(value, attributes)
                for n, value, attributes in readings
                if n == name
            ]

        return read

    def _age(self, options: CallbackOptions) -> Iterable[Observation]:
        measurement = self._latest
        return (
            []
            if measurement is None
            else [Observation(time.monotonic() - measurement.taken_at)]
        )


def _readings(snapshot: SupervisorSnapshot) -> Iterator[Reading]:
    """Yield the readings of a snapshot; steps with equal names are summed."""
    runs = list(snapshot.runs.values())
    yield "runs.active", len(runs), {}
    yield "runs.waiting", snapshot.places.waiting, {}
    yield "runs.parked", sum(run.is_parked for run in runs), {}
    yield "runs.oldest", max((run.age for run in runs), default=0.0), {}
    yield "events.buffered", sum(run.buffered for run in runs), {}
    yield "joins.waiting", sum(len(run.waiting) for run in runs), {}
    depth: dict[str, int] = {}
    busy: dict[str, int] = {}
    for actor in snapshot.actors:
        depth[actor.step] = depth.get(actor.step, 0) + actor.depth
        busy[actor.step] = busy.get(actor.step, 0) + actor.busy
    for step in depth:
        yield "actor.depth", depth[step], {f"{SCOPE}.step": step}
        yield "actor.busy", busy[step], {f"{SCOPE}.step": step}
