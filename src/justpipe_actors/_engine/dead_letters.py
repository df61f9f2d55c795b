"""Dead letters: messages that were taken from an inbox and could not be processed.

A message is delivered once.  It becomes a dead letter when processing it raised an
error that is not a step's failure (a defect of the engine), or when the dispatcher task
that processed it was killed.  It is not delivered again, because it could break the
next dispatcher task too.  Its run fails.  Dead letters are counted and logged, and the
last ones are kept.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from typing import overload

import attrs

from .._util.lazy_classes import define, frozen


DEAD_LETTERS_KEPT = 1000
"""Dead letters that are remembered; older ones are only counted."""

_logger = logging.getLogger("justpipe_actors")


@frozen(kw_only=True)
class DeadLetter:
    """A message that gets no answer; plain data."""

    run_id: str
    """The run it belonged to."""
    step: str
    """The step it was for."""
    actor: str
    """Actor that had it in its inbox: pipe and step."""
    attempt: int
    """Number of the invocation's attempt, from 1."""
    reason: str
    """What happened to the message, as text."""
    error: str | None
    """Type and text of the exception that broke it; None if there was none."""
    at: float
    """Time of the failure, on the loop's clock in seconds."""


_NONE_KEPT: deque[DeadLetter] = deque(maxlen=0)
"""Shared queue of all actor systems without dead letters; it stays empty.

perf: it takes 760 bytes of each single run (``tests.benchmarks.scale``, idle run).
"""


@define(eq=False, repr=False)
class DeadLetters(Sequence[DeadLetter]):
    """The last dead letters, oldest first, and how many there have been."""

    total: int = attrs.field(default=0, init=False)
    """Dead letters so far, forgotten ones included."""
    _kept: deque[DeadLetter] = attrs.field(default=_NONE_KEPT, init=False)

    def add(self, dead_letter: DeadLetter) -> None:
        """Keep a dead letter and log it."""
        self.total += 1
        if self._kept is _NONE_KEPT:
            self._kept = deque(maxlen=DEAD_LETTERS_KEPT)
        self._kept.append(dead_letter)
        _logger.error(
            "A message for %s was not answered: %s (%s)",
            dead_letter.actor,
            dead_letter.reason,
            dead_letter.error or "no exception",
            extra={
                "run": dead_letter.run_id,
                "step": dead_letter.step,
                "actor": dead_letter.actor,
                "attempt": dead_letter.attempt,
            },
        )

    @overload
    def __getitem__(self, index: int) -> DeadLetter: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[DeadLetter]: ...
    def __getitem__(self, index: int | slice) -> DeadLetter | Sequence[DeadLetter]:
        return (
            tuple(self._kept)[index] if isinstance(index, slice) else self._kept[index]
        )

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(tuple(self._kept))

    def __repr__(self) -> str:
        return f"<DeadLetters {len(self._kept)} kept of {self.total}>"
