"""Signals for runs that are claimed, and not at work yet.

A turn passes each signal on once.  A claimed run reads its signals together with its
rows, and is at work a few turns of the event loop later.  A signal that arrives in
between would reach no run, so it is kept until the run is at work.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import attrs

from .._util.lazy_classes import define
from ..abc import Signal


@define(eq=False, repr=False)
class EarlySignals:
    """Keeps signals while runs are being taken up."""

    _starting: int = attrs.field(default=0, init=False)
    _kept: list[Signal] = attrs.field(factory=list, init=False)

    @contextmanager
    def starting(self) -> Generator[None]:
        """Keep signals while a run is submitted or read, and drop them afterwards."""
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1
            if not self._starting:
                self._kept.clear()

    def keep(self, signal: Signal) -> None:
        """Keep a signal, if it may be for a run that is being taken up."""
        if self._starting:
            self._kept.append(signal)

    def of(self, run: int, known: Iterable[Signal]) -> list[Signal]:
        """Return the signals of a run that it has not read itself.

        Args:
            run: the journal's number of the run.
            known: the signals that it has read.
        """
        numbers = {one.id for one in known}
        return [one for one in self._kept if one.run == run and one.id not in numbers]
