"""What a supervisor is doing, and whether it is well: plain data, cheap to take.

Everything here is frozen, made of plain values, and read in one go without an await, so
a snapshot is consistent.  ``codec.to_text`` writes it as JSON.  Take it in the loop's
thread and hand the data to others.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .._actors.actor import ActorStatistics
from .._actors.child import ChildState, ChildStatistics
from .._actors.letters import DeadLetter
from .._actors.resource import ResourceState, ResourceStatistics
from .._run.snapshot import RunSnapshot, snapshot_of
from .door import DoorState, DoorStatistics
from .roster import Roster


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
    return tuple(roster.host.dead_letters)[-10:]


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
    for resource in roster.host.resources.statistics():
        if resource.eager and resource.state is not ResourceState.OPEN:
            error = f": {resource.last_error}" if resource.last_error else ""
            yield f"resource '{resource.name}' is {resource.state.value}{error}"
