"""Protocols to read the events of runs that are not at work in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..events import Event


class RunHistory(Protocol):
    """The stored events of one run.

    Both methods are synchronous, may take a moment, and are called in worker threads.
    """

    def is_open(self) -> bool:
        """Tell whether more events may come, because a process works on the run.

        Events that are read after it returned False are complete.
        """
        ...

    def read(self, after: int, limit: int) -> Sequence[Event]:
        """Return the next events by ascending number; none when no more are stored.

        Args:
            after: only those with a greater number.
            limit: at most so many.
        """
        ...


class EventHistory(Protocol):
    """Finds the stored events of runs: in stores of pipes, or in one database of many."""

    def find(self, run_id: str) -> RunHistory | None:
        """Return the history of exactly this run; None when nothing of it is stored."""
        ...
