"""Schedules and faults: what a test does at the engine's failpoints.

A schedule is a list of numbers.  The n-th number is the delay, as an index into
``DELAYS``, of the task that reaches the n-th failpoint of a run.  So a schedule can be
stored, replayed, and shrunk to the few delays that make a test fail.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import contextmanager
from random import Random

import anyio
import attrs
from anyio.lowlevel import cancel_shielded_checkpoint

from .._util import failpoints
from .._util.failpoints import FailpointHandler, Seam


@attrs.frozen
class Delay:
    """How long a task is held up."""

    turns: int = 0
    """Turns of the scheduler."""
    seconds: float = 0.0
    """Virtual seconds; all tasks that do not wait for time run meanwhile."""

    def __str__(self) -> str:
        if self.seconds:
            return f"{self.seconds:g} s"
        return f"{self.turns} turn{'s' if self.turns > 1 else ''}"


DELAYS = (
    Delay(),
    Delay(turns=1),
    Delay(turns=3),
    Delay(seconds=0.001),
    Delay(seconds=0.1),
    Delay(seconds=1.0),
)
"""The delay for each choice, by index; index 0 is no delay."""


def schedules(seed: object, length: int) -> Iterator[list[int]]:
    """Draw an endless sequence of schedules for a run that passes ``length`` failpoints.

    Every second schedule delays one task once; together these schedules cover every
    failpoint in random order, long delays first.  Most races need a single delay, and these
    schedules are certain to find them.  The other schedules delay tasks at a few or at
    many failpoints, because some races need two delays and some need every task to be late.
    """
    random = Random(str(seed))
    for single in _single_delays(random, length):
        yield single
        yield draw(random, length)
    while True:
        yield draw(random, length)


_DELAY_ORDER = (5, 3, 2, 4, 1)
"""Indexes into ``DELAYS``, in the order in which each delay is tried alone."""


def _single_delays(random: Random, length: int) -> Iterator[list[int]]:
    for delay in _DELAY_ORDER:
        for position in random.sample(range(length), length):
            yield [0] * position + [delay]


def draw(random: Random, length: int) -> list[int]:
    """Draw a schedule: a few delays anywhere, or many short ones, or many long ones."""
    choices = [0] * length
    match random.randrange(3):
        case 0:
            for _ in range(2 + random.randrange(2)):
                choices[random.randrange(length)] = random.randrange(1, len(DELAYS))
            return choices
        case 1:
            return [random.choice((0, 0, 1, 2)) for _ in choices]
        case _:
            return [random.choice((0, 0, 0, 3, 4, 5)) for _ in choices]


def shrink(
    choices: Sequence[int], fails: Callable[[list[int]], bool], budget: int
) -> list[int]:
    """Remove delays, then shorten the rest, as long as the schedule still fails.

    Args:
        choices: a schedule that fails.
        fails: tries another one.
        budget: tries at most.
    """
    shrinker = _Shrinker(_without_trailing_zeros(choices), fails, budget)
    shrinker.remove()
    shrinker.replace_by_one()
    shrinker.weaken()
    return shrinker.best


def _without_trailing_zeros(choices: Sequence[int]) -> list[int]:
    """Remove trailing zeros: a schedule means no delay after its end."""
    delayed = [position for position, choice in enumerate(choices, 1) if choice]
    return list(choices[: delayed[-1]]) if delayed else []


@attrs.define
class _Shrinker:
    best: list[int]
    fails: Callable[[list[int]], bool]
    budget: int

    def attempt(self, choices: list[int]) -> bool:
        choices = _without_trailing_zeros(choices)
        if self.budget <= 0 or choices == self.best:
            return False
        self.budget -= 1
        if self.fails(choices):
            self.best = choices
            return True
        return False

    def remove(self) -> None:
        """Delta debugging: drop halves, quarters, ... of the delays."""
        size = max(1, len(self._delayed_positions()) // 2)
        while size:
            delayed, start = self._delayed_positions(), 0
            while start < len(delayed):
                removed = set(delayed[start : start + size])
                fewer = [
                    0 if position in removed else c
                    for position, c in enumerate(self.best)
                ]
                if self.attempt(fewer):
                    delayed = self._delayed_positions()
                else:
                    start += size
            size //= 2

    def replace_by_one(self) -> None:
        """Try a single delay at each failpoint: two delays may cancel each other out."""
        delayed = self._delayed_positions()
        if len(delayed) < 2:
            return
        for delay in sorted(
            {self.best[position] for position in delayed}, reverse=True
        ):
            for position in range(len(self.best)):
                if self.attempt([0] * position + [delay]):
                    return

    def weaken(self) -> None:
        """Replace each delay by the shortest one that still fails."""
        for position in self._delayed_positions():
            for weaker in range(1, self.best[position]):
                if self.attempt(
                    [*self.best[:position], weaker, *self.best[position + 1 :]]
                ):
                    break

    def _delayed_positions(self) -> list[int]:
        return [position for position, choice in enumerate(self.best) if choice]


@contextmanager
def at_seams(handlers: FailpointHandler) -> Generator[None]:
    """Install a handler of the engine's failpoints for the block, in all loops.

    Args:
        handlers: called at every failpoint.

    Returns:
        The block.

    Raises:
        RuntimeError: another failpoint is installed.
    """
    if failpoints.active is not None:
        msg = "Another test uses the failpoints now; explore one thing at a time."
        raise RuntimeError(msg)
    failpoints.active = handlers
    try:
        yield
    finally:
        failpoints.active = None


@attrs.frozen
class FailpointHit:
    """A failpoint that was passed."""

    time: float
    """Seconds of virtual time."""
    seam: Seam
    """Kind of the failpoint."""
    run: int
    """The run, numbered in the order of appearance from 1; 0 for none."""
    part: str
    """The step, hook or observer."""
    delay: Delay
    """How long the task was held there."""

    def __str__(self) -> str:
        delayed = f"   held for {self.delay}" if self.delay != DELAYS[0] else ""
        run = f"  (run {self.run})" if self.run > 1 else ""
        return f"{self.time:10.3f}  {self.seam.value:8}  {self.part}{run}{delayed}"


USER_CODE_SEAMS = frozenset(
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
"""The failpoints around the user's own code, where a pipeline's races are."""


@attrs.define(eq=False)
class Schedule(FailpointHandler):
    """Holds tasks up as a list of choices says, and keeps a trace."""

    choices: Sequence[int]
    """The delay at each failpoint that is hit, as indices of ``DELAYS``."""
    where: Collection[Seam] = USER_CODE_SEAMS
    """The failpoints that take a choice from the schedule; the others delay nothing."""
    trace: list[FailpointHit] = attrs.field(factory=list, init=False)
    """What was crossed, in order."""
    _remaining: Iterator[int] = attrs.field(init=False)
    _runs: dict[str, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._remaining = iter(self.choices)

    async def reach(self, seam: Seam, run_id: str, part: str) -> None:
        """Delay the task by the next choice, shielded from cancellation.

        Args:
            seam: the failpoint that is passed.
            run_id: the run that crosses it.
            part: the part of the engine that crosses it.
        """
        if seam not in self.where:
            return
        delay = DELAYS[next(self._remaining, 0)]
        run = self._runs.setdefault(run_id, len(self._runs) + 1) if run_id else 0
        self.trace.append(FailpointHit(anyio.current_time(), seam, run, part, delay))
        for _ in range(delay.turns):
            await cancel_shielded_checkpoint()
        if delay.seconds:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(delay.seconds)


@attrs.define(eq=False)
class Fault(FailpointHandler):
    """Raises an error once, at one hit of one failpoint."""

    seam: Seam
    """Kind of the failpoint that fails."""
    error: Exception
    """The error to raise."""
    at: int = 0
    """Number of crossings before the one that fails."""
    crossed: int = attrs.field(default=0, init=False)
    """Crossings so far, the failing one included."""

    def reach_nowait(self, seam: Seam, run_id: str, part: str) -> None:
        """Raise the error at the chosen crossing.

        Args:
            seam: the failpoint that is passed.
            run_id: the run that crosses it.
            part: the part of the engine that crosses it.
        """
        if seam is not self.seam:
            return
        self.crossed += 1
        if self.crossed == self.at + 1:
            raise self.error


def format_trace(trace: Iterable[FailpointHit], max_lines: int = 80) -> str:
    """Return a trace as text; of a long one, the part around its delays."""
    hits = list(trace)
    delayed = [position for position, hit in enumerate(hits) if hit.delay != DELAYS[0]]
    first = max(0, (delayed[0] if delayed else len(hits)) - max_lines // 2)
    shown = hits[first : first + max_lines]
    text = [f"    {hit}" for hit in shown]
    if first:
        text.insert(0, f"    ... {first} before")
    if first + max_lines < len(hits):
        text.append(f"    ... {len(hits) - first - max_lines} after")
    return "\n".join(text)
