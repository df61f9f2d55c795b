"""Who holds a run up, and where: its invocations with the lines they wait at."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .._engine.actor import ActorStatistics
from .._engine.dead_letters import DeadLetter
from .._engine.invocation import Invocation
from .._engine.run_state import RunState
from .._run.event_publisher import EventPublisher
from .._run.run import Run, RunSnapshot, snapshot_of
from .._run.setup import ChildRunSink
from .._supervision.child import ChildState, ChildStatistics
from .._supervision.resource import ResourceState, ResourceStatistics
from .._util.await_chain import format_await_chain
from .admission import DoorState, DoorStatistics, Roster


@attrs.frozen
class SupervisorSnapshot:
    """What a supervisor is doing right now; plain data."""

    state: DoorState
    """Whether it takes runs: starting, open, draining or closed."""
    places: DoorStatistics
    """Places taken, and who waits for one."""
    services: tuple[ChildStatistics, ...]
    """Every service, in start order: its state, restarts and last error."""
    resources: tuple[ResourceStatistics, ...]
    """Every resource that was asked for so far."""
    pipes: dict[str, str]
    """The version that new runs of a pipe get, as its hash, by name."""
    actors: tuple[ActorStatistics, ...]
    """Every actor that is kept: what it does, what waits for it, and how long."""
    runs: dict[str, RunSnapshot]
    """Every run at work, by id."""
    dead_letters: int
    """Messages so far that nobody answered."""
    last_letters: tuple[DeadLetter, ...]
    """The last ten of them, oldest first."""

    @property
    def parked(self) -> tuple[str, ...]:
        """Ids of the runs whose producers wait for a consumer."""
        return tuple(name for name, run in self.runs.items() if run.is_parked)


_UNWELL = (ChildState.STARTING, ChildState.WAITING, ChildState.FAILED)
"""States of a service in which it does not do its work and should."""


@attrs.frozen
class Health:
    """Whether a supervisor is well; plain data."""

    live: bool
    """False when only a restart of the process can help."""
    ready: bool
    """Whether a run that is submitted now begins now."""
    reasons: tuple[str, ...]
    """Why it is not live or not ready; empty when it is both."""


def letters_of(roster: Roster) -> tuple[DeadLetter, ...]:
    """Return the last ten messages that nobody answered."""
    return tuple(roster.system.dead_letters)[-10:]


def runs_of(roster: Roster) -> dict[str, RunSnapshot]:
    """Return what every run is doing, by id."""
    return {name: snapshot_of(run) for name, run in roster.runs.items()}


def health_of(
    roster: Roster | None,
    services: tuple[ChildStatistics, ...],
    failure: Exception | None,
    *,
    is_turning: bool,
) -> Health:
    """Judge a supervisor.

    Args:
        roster: its runs; None before it was opened.
        services: how its services are doing.
        failure: why supervision has given up.
        is_turning: whether the loop has turned lately.
    """
    if roster is None:
        return Health(live=False, ready=False, reasons=("it was not opened",))
    dead = tuple(_deadly(roster, failure, is_turning=is_turning))
    busy = tuple(_hindrances(roster, services))
    return Health(live=not dead, ready=not dead and not busy, reasons=dead + busy)


def _deadly(
    roster: Roster, failure: Exception | None, *, is_turning: bool
) -> Iterator[str]:
    if failure is not None:
        yield f"supervision has given up: {failure}"
    elif roster.door.state == "closed":
        yield "it is closed"
    if not is_turning:
        yield "the event loop does not turn"


def _hindrances(roster: Roster, services: tuple[ChildStatistics, ...]) -> Iterator[str]:
    door, places = roster.door, roster.door.statistics()
    if door.state in ("starting", "draining"):
        yield f"it is {door.state}"
    elif door.is_full:
        waiting = f", {places.waiting} wait" if places.waiting else ""
        yield f"{places.inside} of {places.limit} runs are at work{waiting}"
    for one in services:
        if one.state in _UNWELL:
            error = f": {one.last_error}" if one.last_error else ""
            yield f"service '{one.name}' is {one.state.value}{error}"
    for resource in roster.system.resources.statistics():
        if resource.eager and resource.state is not ResourceState.OPEN:
            error = f": {resource.last_error}" if resource.last_error else ""
            yield f"resource '{resource.name}' is {resource.state.value}{error}"


@attrs.frozen
class StuckStep:
    """One invocation that goes on."""

    run_id: str
    """Its run, which may be a child of the one that is stuck."""
    step: str
    """Its step."""
    actor: str
    """The actor it is an activation of: pipe and step."""
    seconds: float
    """How long it has been running."""
    where: tuple[str, ...]
    """What it awaits, outermost first: ``file:line in function``; empty when unknown."""

    def __str__(self) -> str:
        place = self.where[-1] if self.where else "an unknown place"
        return f"step '{self.step}' for {self.seconds:.1f}s at {place}"


@attrs.frozen
class StuckRun:
    """One run that goes on."""

    run_id: str
    """The run."""
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
    """Return the fields of a log record about a run: run, and the deepest step and actor."""
    fields = {"run": report.run_id}
    if report.steps:
        deepest = report.steps[-1]
        fields |= {"step": deepest.step, "actor": deepest.actor}
    return fields


def stuck_run(run: Run) -> StuckRun:
    """Return who holds a run up, and where."""
    run_state = run.run_state
    acts = [
        invocation
        for member in _family(run)
        for invocation in member.active_invocations
    ]
    return StuckRun(
        run_id=run_state.run_id,
        pipe=run_state.plan.name,
        holders=dict(run_state.holders),
        steps=tuple(
            _stuck_step(invocation)
            for invocation in sorted(acts, key=lambda invocation: -invocation.seconds)
        ),
    )


def _family(run: Run) -> Iterator[RunState]:
    """Return the books of a run, and of the runs its sub-pipelines are."""
    if run.system is None:
        yield run.run_state
        return
    for run_state in run.system.runs.values():
        if _root_of(run_state) == run.run_state.run_id:
            yield run_state


def _root_of(run_state: RunState) -> str:
    """Return the id of the run that nobody's step began."""
    publisher = run_state.publisher
    while isinstance(publisher, EventPublisher) and isinstance(
        publisher.sink, ChildRunSink
    ):
        publisher = publisher.sink.publisher
    return (
        publisher.run_id if isinstance(publisher, EventPublisher) else run_state.run_id
    )


def _stuck_step(invocation: Invocation) -> StuckStep:
    where = (
        format_await_chain(invocation.coroutine)
        if invocation.coroutine is not None
        else ()
    )
    step = invocation.node.name
    actor = f"{invocation.run_state.plan.name}/{step}"
    return StuckStep(
        invocation.run_state.run_id, step, actor, invocation.seconds, where
    )
