"""Snapshots, health, and stuck runs: invocations with the lines they wait at.

Everything is read in the loop of the supervisor, without awaiting, so a snapshot shows
one point in time.  Results are plain frozen data that other threads and JSON may use.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest
from operator import attrgetter
from typing import Literal

from .._engine.actor import ActorStatistics
from .._engine.dead_letters import DeadLetter
from .._engine.invocation import Invocation
from .._engine.run_state import RunState
from .._run.run import Run, RunSnapshot, snapshot_of
from .._supervision.child import ChildState, ChildStatistics
from .._supervision.resource import ResourceState, ResourceStatistics
from .._supervision.resource_calls import awaited_resource
from .._util.await_chain import format_await_chain, format_user_line
from .._util.lazy_classes import frozen
from .._util.notebooks import paragraph, table
from .._util.text import count_text, escape_controls
from .active_runs import ActiveRuns
from .admission import AdmissionState, AdmissionStatistics


_UNREADY_STATES = frozenset({ResourceState.WAITING, ResourceState.OPENING})


@frozen
class SupervisorSnapshot:
    """The current state of a supervisor; plain data."""

    state: AdmissionState
    """Admission state: starting, open, draining or closed."""
    places: AdmissionStatistics
    """Places taken, and runs that wait for one."""
    services: tuple[ChildStatistics, ...]
    """Every service, in start order: its state, restarts and last error."""
    resources: tuple[ResourceStatistics, ...]
    """Every resource that was requested so far."""
    pipes: dict[str, str]
    """The pipe hash of the version that new runs get, by name."""
    actors: tuple[ActorStatistics, ...]
    """Every actor: its activity, its inbox, and the waiting times."""
    runs: dict[str, RunSnapshot]
    """The runs at work, by id: all, or the requested ones."""
    dead_letters: int
    """Number of dead letters so far."""
    last_letters: tuple[DeadLetter, ...]
    """The last ten dead letters, oldest first."""
    run_count: int = 0
    """Total number of runs at work."""
    oldest: float | None = None
    """Age of the oldest run at work, in seconds; None if there is none."""

    @property
    def parked(self) -> tuple[str, ...]:
        """Ids of the runs with producers that wait for a consumer."""
        return tuple(name for name, run in self.runs.items() if run.is_parked)

    @property
    def headline(self) -> str:
        """A short summary, such as ``open, 2 runs at work``."""
        parts = [self.state, f"{count_text(len(self.runs), 'run')} at work"]
        if self.places.waiting:
            parts.append(f"{self.places.waiting:,} wait for a place")
        if self.services:
            states = ", ".join(f"{s.name} {s.state.value}" for s in self.services)
            parts.append(f"services: {escape_controls(states)}")
        unready = [r for r in self.resources if r.state in _UNREADY_STATES]
        if unready:
            states = ", ".join(f"{r.name} {r.state.value}" for r in unready)
            parts.append(f"resources: {escape_controls(states)}")
        if self.dead_letters:
            parts.append(count_text(self.dead_letters, "dead letter"))
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"<SupervisorSnapshot {self.headline}>"

    def _repr_html_(self) -> str:
        """Return the runs and services as HTML for a notebook."""
        runs = [
            (run.run_id, escape_controls(run.pipe), run.headline)
            for run in self.runs.values()
        ]
        services = [
            (
                escape_controls(s.name),
                s.state.value,
                s.restarts,
                escape_controls(s.last_error or ""),
            )
            for s in self.services
        ]
        html = paragraph(f"Supervisor: {self.headline}")
        if services:
            html += table(["service", "state", "restarts", "last error"], services)
        return html + (table(["run", "pipe", "does"], runs) if runs else "")


_UNHEALTHY_STATES = (ChildState.STARTING, ChildState.WAITING, ChildState.FAILED)
"""States of a service that should be running and is not."""


@frozen
class Health:
    """Health of a supervisor; plain data."""

    live: bool
    """False if the process must be restarted."""
    ready: bool
    """Whether a run that is submitted now starts without waiting."""
    reasons: tuple[str, ...]
    """Reasons why it is not live or not ready; empty if it is both."""


def recent_dead_letters(active_runs: ActiveRuns) -> tuple[DeadLetter, ...]:
    """Return the last ten dead letters, oldest first."""
    return tuple(active_runs.system.dead_letters)[-10:]


SnapshotOrder = Literal["age", "quiet"]
"""Order of a snapshot: oldest run first, or longest without an event first."""


def run_snapshots(
    active_runs: ActiveRuns, limit: int | None = None, by: SnapshotOrder = "age"
) -> dict[str, RunSnapshot]:
    """Return snapshots of runs, by id.

    Args:
        active_runs: the runs.
        limit: maximum number of runs; None is all, in the order of their start.
        by: the order that decides which runs are included.
    """
    runs = list(active_runs.runs.values())
    if limit is not None:
        runs = nlargest(limit, runs, key=attrgetter(by))
    return {run.run_state.run_id: snapshot_of(run) for run in runs}


def check_health(
    active_runs: ActiveRuns | None,
    services: tuple[ChildStatistics, ...],
    failure: Exception | None,
    *,
    is_loop_responsive: bool,
    journal_problem: str | None = None,
) -> Health:
    """Return the health of a supervisor.

    Args:
        active_runs: its runs; None before it is opened.
        services: statistics of its services.
        failure: the error for which supervision gave up; None if it has not.
        is_loop_responsive: whether the event loop has turned within its limit.
        journal_problem: why journal writes fail at present; None if they do not.
    """
    if active_runs is None:
        return Health(live=False, ready=False, reasons=("it was not opened",))
    dead = tuple(
        _fatal_problems(active_runs, failure, is_loop_responsive=is_loop_responsive)
    )
    busy = tuple(_readiness_problems(active_runs, services))
    if journal_problem is not None:
        text = f"the journal cannot be written, durable runs stand still: {journal_problem}"
        busy = (*busy, text)
    return Health(live=not dead, ready=not dead and not busy, reasons=dead + busy)


def _fatal_problems(
    active_runs: ActiveRuns, failure: Exception | None, *, is_loop_responsive: bool
) -> Iterator[str]:
    if failure is not None:
        yield f"supervision has given up: {failure}"
    elif active_runs.admission.state == "closed":
        yield "it is closed"
    if not is_loop_responsive:
        yield "the event loop does not turn"


def _readiness_problems(
    active_runs: ActiveRuns, services: tuple[ChildStatistics, ...]
) -> Iterator[str]:
    admission, places = active_runs.admission, active_runs.admission.statistics()
    if admission.state in ("starting", "draining"):
        yield f"it is {admission.state}"
    elif admission.is_full:
        waiting = f", {places.waiting} wait" if places.waiting else ""
        yield f"{places.inside} of {places.limit} runs are at work{waiting}"
    for service in services:
        if service.state in _UNHEALTHY_STATES:
            error = f": {service.last_error}" if service.last_error else ""
            yield f"service '{service.name}' is {service.state.value}{error}"
    for resource in active_runs.system.resources.statistics():
        if resource.eager and resource.state is not ResourceState.OPEN:
            error = f": {resource.last_error}" if resource.last_error else ""
            yield f"resource '{resource.name}' is {resource.state.value}{error}"


@frozen
class StuckStep:
    """One running invocation of a stuck run."""

    run_id: str
    """Id of its run, which may be a child of the stuck run."""
    step: str
    actor: str
    """Its actor: pipe and step."""
    seconds: float
    """Seconds since it started."""
    where: tuple[str, ...]
    """Lines it awaits, outermost first: ``file:line in function``; empty if unknown."""
    at: str | None = None
    """The innermost of these lines in the user's own code; None if there is none."""
    resource: str | None = None
    """The resource that it waits for, before its function is called."""

    def __str__(self) -> str:
        head = f"step '{self.step}' for {self.seconds:.1f}s"
        if self.resource is not None:
            return f"{head} waits for resource '{self.resource}'"
        place = self.at or (self.where[-1] if self.where else "an unknown place")
        return f"{head} at {place}"


@frozen
class StuckRun:
    """One stuck run."""

    run_id: str
    pipe: str
    """Name of its pipe."""
    holders: dict[str, int]
    """Tokens by holder."""
    steps: tuple[StuckStep, ...]
    """Its invocations, and those of its child runs."""

    def __str__(self) -> str:
        held = ", ".join(f"{name} x{count}" for name, count in self.holders.items())
        at = "; ".join(str(step) for step in self.steps)
        return (
            f"run {self.run_id} of pipe '{self.pipe}' is held by "
            f"{held or 'its hooks or observers'}{': ' if at else ''}{at}"
        )


def fields_of(report: StuckRun) -> dict[str, str]:
    """Return log fields for a stuck run: run, and the innermost step and actor."""
    fields = {"run": report.run_id}
    if report.steps:
        deepest = report.steps[-1]
        fields |= {"step": deepest.step, "actor": deepest.actor}
    return fields


def describe_stuck_run(run: Run) -> StuckRun:
    """Return the invocations that keep a run from ending, and where they wait."""
    run_state = run.run_state
    invocations = [
        invocation
        for member in _run_and_children(run)
        for invocation in member.active_invocations
    ]
    return StuckRun(
        run_id=run_state.run_id,
        pipe=run_state.plan.name,
        holders=dict(run_state.holders),
        steps=tuple(
            _describe_stuck_step(invocation)
            for invocation in sorted(
                invocations, key=lambda invocation: -invocation.seconds
            )
        ),
    )


def _run_and_children(run: Run) -> Iterator[RunState]:
    """Return the state of a run, and those of its child runs."""
    if run.system is None:
        yield run.run_state
        return
    for run_state in run.system.runs.values():
        if _root_of(run_state) == run.run_state.run_id:
            yield run_state


def _root_of(run_state: RunState) -> str:
    """Return the id of the root run, which no step started."""
    publisher = run_state.publisher
    while (parent := publisher.sink.parent) is not None:
        publisher = parent[0]
    return publisher.run_id


def _describe_stuck_step(invocation: Invocation) -> StuckStep:
    waiting = invocation.coroutine
    where = () if waiting is None else format_await_chain(waiting)
    at = None if waiting is None else format_user_line(waiting)
    step = invocation.node.name
    actor = f"{invocation.run_state.plan.name}/{step}"
    return StuckStep(
        run_id=invocation.run_state.run_id,
        step=step,
        actor=actor,
        seconds=invocation.seconds,
        where=where,
        at=at,
        resource=invocation.variables.get(awaited_resource),
    )
