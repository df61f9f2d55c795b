"""What tests put at the engine's seams: schedules, and faults."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager

import anyio
import attrs
from anyio.lowlevel import cancel_shielded_checkpoint

from .. import seams
from ..seams import Seam, Seams
from .holds import HOLDS, Hold


@contextmanager
def at_seams(there: Seams) -> Generator[None]:
    """Let something stand at the engine's seams for a while, in all loops.

    Raises:
        RuntimeError: something else stands there already.
    """
    if seams.active is not None:
        msg = "Something stands at the seams already; explore one thing at a time."
        raise RuntimeError(msg)
    seams.active = there
    try:
        yield
    finally:
        seams.active = None


@attrs.frozen
class Crossing:
    """A seam that was crossed."""

    time: float
    """Virtual seconds."""
    seam: Seam
    """The place."""
    run: int
    """The run, numbered in the order of appearance from 1; 0 for none."""
    who: str
    """The step, hook or observer."""
    hold: Hold
    """What happened there."""

    def __str__(self) -> str:
        held = f"   held for {self.hold}" if self.hold != HOLDS[0] else ""
        run = f"  (run {self.run})" if self.run > 1 else ""
        return f"{self.time:10.3f}  {self.seam.value:8}  {self.who}{run}{held}"


USERS = frozenset(
    {
        Seam.TAKE,
        Seam.CALL,
        Seam.RESUME,
        Seam.EMIT,
        Seam.HANDLE,
        Seam.SETTLE,
        Seam.PULL,
        Seam.TIMER,
        Seam.CHILD,
        Seam.HOOK,
    }
)
"""The seams around the user's own code, where a pipeline's races are."""


@attrs.define(eq=False)
class Schedule:
    """Holds tasks up as a list of choices says, and keeps a trace."""

    choices: Sequence[int]
    """What happens at each crossing, by the numbers of ``HOLDS``."""
    where: Collection[Seam] = USERS
    """The seams that take a choice; the others are passed."""
    trace: list[Crossing] = attrs.field(factory=list, init=False)
    """What was crossed, in order."""
    _left: Iterator[int] = attrs.field(init=False)
    _runs: dict[str, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._left = iter(self.choices)

    async def reach(self, seam: Seam, run_id: str, who: str) -> None:
        """Hold the task up, shielded, as the next choice says."""
        if seam not in self.where:
            return
        hold = HOLDS[next(self._left, 0)]
        run = self._runs.setdefault(run_id, len(self._runs) + 1) if run_id else 0
        self.trace.append(Crossing(anyio.current_time(), seam, run, who, hold))
        for _ in range(hold.turns):
            await cancel_shielded_checkpoint()
        if hold.seconds:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(hold.seconds)

    def cross(self, seam: Seam, run_id: str, who: str) -> None:
        """Let it pass: nobody can wait here."""


@attrs.define(eq=False)
class Fault:
    """Fails once, at one crossing of one seam."""

    seam: Seam
    """The place."""
    error: Exception
    """What is raised there."""
    at: int = 0
    """How many crossings go well before."""
    crossed: int = attrs.field(default=0, init=False)
    """Crossings so far, the failing one included."""

    async def reach(self, seam: Seam, run_id: str, who: str) -> None:
        """Fail, if it is time."""
        self.cross(seam, run_id, who)

    def cross(self, seam: Seam, run_id: str, who: str) -> None:
        """Fail, if it is time."""
        if seam is not self.seam:
            return
        self.crossed += 1
        if self.crossed == self.at + 1:
            raise self.error


def lines(trace: Iterable[Crossing], most: int = 80) -> str:
    """Return a trace as text; of a long one, the part around its holds."""
    crossings = list(trace)
    held = [at for at, it in enumerate(crossings) if it.hold != HOLDS[0]]
    first = max(0, (held[0] if held else len(crossings)) - most // 2)
    shown = crossings[first : first + most]
    text = [f"    {crossing}" for crossing in shown]
    if first:
        text.insert(0, f"    ... {first} before")
    if first + most < len(crossings):
        text.append(f"    ... {len(crossings) - first - most} after")
    return "\n".join(text)
