"""``RunCache``: an observer's state per run, for a limited number of runs.

One observer object observes all runs of its pipe, including concurrent ones, and in a
daemon for months.  So the cache keeps the state by run id, and of the ended runs it
keeps only the newest ``keep``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import attrs

from ..errors import UnknownRunError


T = TypeVar("T")

MAX_LIVE_RUNS = 10_000
"""Maximum number of runs without a FINISH event; the oldest is dropped first."""


@attrs.define(eq=False)
class RunCache(Generic[T]):
    """Keeps one state object for each recent run."""

    factory: Callable[[], T]
    """Makes the state of a run that begins."""
    keep: int = 16
    """Ended runs that are remembered."""
    _live: dict[str | None, T] = attrs.field(factory=dict, init=False)
    _ended: dict[str | None, T] = attrs.field(factory=dict, init=False)
    _latest: str | None = attrs.field(default=None, init=False)

    def begin(self, run_id: str | None) -> T:
        """Create the state of a run, replacing an existing one."""
        self._ended.pop(run_id, None)
        self._live.pop(run_id, None)
        state = self._live[run_id] = self.factory()
        self._latest = run_id
        _evict(self._live, MAX_LIVE_RUNS)
        return state

    def get_or_begin(self, run_id: str | None) -> T:
        """Return a run's state; create it for an unknown run."""
        state = self.get(run_id)
        return self.begin(run_id) if state is None else state

    def get(self, run_id: str | None) -> T | None:
        """Return a run's state if it is remembered."""
        if run_id in self._live:
            return self._live[run_id]
        return self._ended.get(run_id)

    def end(self, run_id: str | None) -> None:
        """Mark a run as ended, and drop the oldest ended runs over ``keep``."""
        if run_id in self._live:
            self._ended[run_id] = self._live.pop(run_id)
            _evict(self._ended, self.keep)

    def latest(self) -> T:
        """Return the state of the run that began last."""
        return self.get_or_begin(self._latest)

    def for_run(self, run_id: str) -> T:
        """Return the state of one run.

        Raises:
            UnknownRunError: the run is not remembered.
        """
        state = self.get(run_id)
        if state is None:
            raise UnknownRunError(run_id)
        return state

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._live or run_id in self._ended

    def __iter__(self) -> Iterator[str | None]:
        """Iterate over the ids of the remembered runs, ended ones first."""
        yield from self._ended
        yield from self._live

    def __len__(self) -> int:
        return len(self._live) + len(self._ended)


def _evict(runs: dict[str | None, T], keep: int) -> None:
    while len(runs) > keep:
        del runs[next(iter(runs))]


def run_id_of(meta: object) -> str | None:
    """Return the run id in a hook's meta; None if a program calls the hook itself."""
    run_id = getattr(meta, "run_id", None)
    return run_id if isinstance(run_id, str) else None
