"""``/metrics``: what Prometheus scrapes, as OpenMetrics text.

It has what the ``MetricsObserver`` objects of this process have counted, what the
supervisor does now, and how many runs are stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..observability.metrics import PREFIX, observed_families
from ..observability.openmetrics import Family, exposition
from ..records import RunQuery
from ..storage.registry import PipelineRegistry


def metrics_text(registry: PipelineRegistry, snapshot: Any) -> str:
    """Return all metrics; slow enough for a thread.

    Args:
        registry: finds the stored runs.
        snapshot: of the supervisor; None without one.
    """
    families = [*observed_families(), _stored_runs(registry)]
    if snapshot is not None:
        families += _supervisor_families(snapshot)
    return exposition(families)


def _stored_runs(registry: PipelineRegistry) -> Family:
    family = _gauge("stored_runs", "Stored runs.", "pipe", "status")
    for info, summary in registry.summarize_runs(RunQuery()):
        for label, count in summary.counts.items():
            family.add((info.name, label), count)
    return family


def _supervisor_families(snapshot: Any) -> Iterator[Family]:
    runs = list(snapshot.runs.values())
    by_pipe = _gauge("runs_active", "Runs at work.", "pipe")
    for run in runs:
        by_pipe.add((run.pipe,))
    yield by_pipe
    for name, text, value in (
        ("runs_waiting", "Runs that wait for a place.", snapshot.places.waiting),
        (
            "runs_parked",
            "Runs with a consumer that reads too slowly.",
            sum(run.is_parked for run in runs),
        ),
        (
            "oldest_run_seconds",
            "Age of the oldest run at work.",
            max((run.age for run in runs), default=0.0),
        ),
        (
            "events_buffered",
            "Events that no consumer has read.",
            sum(run.buffered for run in runs),
        ),
        ("joins_waiting", "Joins that wait.", sum(len(run.waiting) for run in runs)),
    ):
        family = _gauge(name, text)
        family.add((), value)
        yield family
    letters = Family(f"{PREFIX}_dead_letters", "counter", "Dead letters.")
    letters.add((), snapshot.dead_letters)
    yield letters
    yield from _actor_families(snapshot.actors)
    restarts = _gauge("service_restarts", "Restarts within the period.", "service")
    for service in snapshot.services:
        restarts.add((service.name,), service.restarts)
    yield restarts


def _actor_families(actors: Any) -> tuple[Family, Family, Family]:
    depth = _gauge("actor_depth", "Messages in an inbox.", "pipe", "step")
    busy = _gauge("actor_busy", "Invocations at work.", "pipe", "step")
    slots = _gauge("actor_slots", "Invocations allowed at once.", "pipe", "step")
    for actor in actors:
        labels = (actor.pipe, actor.step)
        depth.add(labels, actor.depth)
        busy.add(labels, actor.busy)
        if actor.slots is not None:
            slots.add(labels, actor.slots)
    return depth, busy, slots


def _gauge(name: str, text: str, *labels: str) -> Family:
    return Family(f"{PREFIX}_{name}", "gauge", text, labels)
