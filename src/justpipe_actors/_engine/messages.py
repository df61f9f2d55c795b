"""The messages that actors send each other.

Messages are made of ids and plain values: a journal can store them as they are, and a
message in an inbox does not keep a finished run alive.

A message does not change after it was sent.  Nevertheless the classes are not frozen: a
frozen attrs class assigns each field through ``object.__setattr__``, which takes four
times as long, and there is one message per step of every run.
"""

from __future__ import annotations

from .._plan.plan import NO_ITEM
from .._util.lazy_classes import define


@define(eq=False)
class Start:
    """Begin one invocation of the step this is addressed to."""

    run_id: str
    """The run that the step runs for."""
    step: str
    """The step to run."""
    wave: int
    """The pass through the graph it belongs to."""
    cause: str | None = None
    """Invocation that led to it; for a further attempt, the one before."""
    item: object = NO_ITEM
    """A map worker's item."""
    map_id: str | None = None
    """The map invocation it works for, when it is a worker."""
    scope: tuple[str, ...] = ()
    """The map workers around it."""
    attempt: int = 1
    """1, and one more for each ``Retry()``."""
    owner: str | None = None
    """Logical owner of a further attempt; else derived."""
    started_before: frozenset[str] = frozenset()
    """Steps that had started before a map worker's wave, which is opened on demand."""
    origin: int | None = None
    """Number of the first attempt's message, for a further one."""
    id: int = 0
    """Number of the message in its run, assigned when it is sent.

    It is also the number of the invocation, so an invocation that is delivered again
    after a crash keeps its id.
    """

    @property
    def item_index(self) -> int:
        """The place of a worker's item in its map, which is in its label."""
        return int(self.scope[-1].rpartition("[")[2][:-1])


@define(eq=False)
class Expire:
    """A join has waited too long: ask its error handlers."""

    run_id: str
    """The run it belongs to."""
    step: str
    """Name of the join."""
    wave: int
    """The pass it waited in."""
    missing: tuple[str, ...]
    """The parents that had not reported."""
    seconds: float
    """Seconds that the join was allowed to wait."""
    id: int = 0
    """Number of the message in its run, assigned when it is sent."""


Message = Start | Expire
