"""What can be seen of a supervisor while it works."""

from __future__ import annotations

from collections.abc import Sequence

from .._actors.letters import DeadLetter
from .block import Block
from .snapshots import (
    Health,
    SupervisorSnapshot,
    health_of,
    letters_of,
    runs_of,
)
from .stuck import StuckRun, stuck_run


class Seen(Block):
    """The half of a ``Supervisor`` that only tells."""

    def snapshot(self) -> SupervisorSnapshot:
        """Return what it, its services, actors and runs are doing right now.

        Plain data: ``codec.to_text`` writes it as JSON.
        """
        roster = self._opened()
        return SupervisorSnapshot(
            state=roster.door.state,
            places=roster.door.statistics(),
            services=self._children.statistics(),
            resources=roster.host.resources.statistics(),
            pipes=self._catalog.statistics(),
            actors=roster.host.statistics(),
            runs=runs_of(roster),
            dead_letters=roster.host.dead_letters.total,
            last_letters=letters_of(roster),
        )

    def health(self) -> Health:
        """Return whether it is alive, and whether a run submitted now would begin now.

        May be asked in any thread when ``blocked_after`` is given: then a loop that
        stands still is not alive.
        """
        return health_of(
            self._roster,
            self._children.statistics(),
            self._children.failure,
            is_turning=self._heartbeat is None or self._heartbeat.is_fresh,
        )

    @property
    def dead_letters(self) -> Sequence[DeadLetter]:
        """The last messages that broke what performed them, oldest first."""
        return self._opened().host.dead_letters

    def stuck(self) -> tuple[StuckRun, ...]:
        """Return who holds each run that is at work, and at which line it waits."""
        return tuple(stuck_run(run) for run in self._opened().runs.values())

    @property
    def is_open(self) -> bool:
        """Whether its block was entered and not left."""
        return self._roster is not None and not self._leaving.is_set()

    @property
    def grace(self) -> float:
        """Seconds that runs may take to finish, and again to clean up."""
        return self._grace
