"""A schedule as a finite list of choices, and how to make it shorter.

At each seam a run crosses, the next choice says what happens: mostly nothing, sometimes
the task is held up, for some turns of the scheduler or for some virtual time.  When the
list is at its end nothing happens any more, so the empty list is the plain schedule, and
every shortening of a list is a schedule nearer to the plain one.

All choices are drawn before the run.  Drawing them while it runs would make what is
drawn depend on what happens, and then nothing could be replayed or shortened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

import attrs


@attrs.frozen
class Hold:
    """How long a task is held up."""

    turns: int = 0
    """Turns of the scheduler."""
    seconds: float = 0.0
    """Virtual time; everybody who can go on without waiting for time does, meanwhile."""

    def __str__(self) -> str:
        if self.seconds:
            return f"{self.seconds:g} s"
        return f"{self.turns} turn{'s' if self.turns > 1 else ''}"


HOLDS = (
    Hold(),
    Hold(turns=1),
    Hold(turns=3),
    Hold(seconds=0.001),
    Hold(seconds=0.1),
    Hold(seconds=1.0),
)
"""What a choice means, by its number; 0 is to go on."""


def schedules(seed: object, length: int) -> Iterator[list[int]]:
    """Draw schedules without end, for a run that crosses so many seams.

    Every other one holds one task up once: everywhere in turn, in random order, for long
    first.  Most races need one unlucky moment, and these find each of them for certain.
    The others hold tasks up a few times anywhere, or often: some races need two, and
    some need everything to be late.
    """
    random = Random(str(seed))
    for single in _singles(random, length):
        yield single
        yield draw(random, length)
    while True:
        yield draw(random, length)


_STRENGTHS = (5, 3, 2, 4, 1)
"""All holds, in the order in which they are tried alone: the long, then the short."""


def _singles(random: Random, length: int) -> Iterator[list[int]]:
    for strength in _STRENGTHS:
        for place in random.sample(range(length), length):
            yield [0] * place + [strength]


def draw(random: Random, length: int) -> list[int]:
    """Draw a schedule: a few holds anywhere, or many short ones, or many long ones."""
    choices = [0] * length
    match random.randrange(3):
        case 0:
            for _ in range(2 + random.randrange(2)):
                choices[random.randrange(length)] = random.randrange(1, len(HOLDS))
            return choices
        case 1:
            return [random.choice((0, 0, 1, 2)) for _ in choices]
        case _:
            return [random.choice((0, 0, 0, 3, 4, 5)) for _ in choices]


def shorten(
    choices: Sequence[int], fails: Callable[[list[int]], bool], budget: int
) -> list[int]:
    """Take holds away, then weaken the rest, as long as it still fails.

    Args:
        choices: a schedule that fails.
        fails: tries another one.
        budget: tries at most.
    """
    shrinking = _Shrinking(_trimmed(choices), fails, budget)
    shrinking.remove()
    shrinking.replace_by_one()
    shrinking.weaken()
    return shrinking.best


def _trimmed(choices: Sequence[int]) -> list[int]:
    """Leave out what says at the end that nothing happens; so does the end."""
    held = [at for at, choice in enumerate(choices, 1) if choice]
    return list(choices[: held[-1]]) if held else []


@attrs.define
class _Shrinking:
    best: list[int]
    fails: Callable[[list[int]], bool]
    budget: int

    def attempt(self, choices: list[int]) -> bool:
        choices = _trimmed(choices)
        if self.budget <= 0 or choices == self.best:
            return False
        self.budget -= 1
        if self.fails(choices):
            self.best = choices
            return True
        return False

    def remove(self) -> None:
        """Delta debugging: drop halves, quarters, ... of the holds."""
        size = max(1, len(self._held()) // 2)
        while size:
            held, start = self._held(), 0
            while start < len(held):
                gone = set(held[start : start + size])
                fewer = [0 if at in gone else c for at, c in enumerate(self.best)]
                if self.attempt(fewer):
                    held = self._held()
                else:
                    start += size
            size //= 2

    def replace_by_one(self) -> None:
        """Try a single hold anywhere: two that only make up for each other hide it."""
        held = self._held()
        if len(held) < 2:
            return
        for hold in sorted({self.best[at] for at in held}, reverse=True):
            for at in range(len(self.best)):
                if self.attempt([0] * at + [hold]):
                    return

    def weaken(self) -> None:
        """Replace each hold by the shortest that does."""
        for at in self._held():
            for weaker in range(1, self.best[at]):
                if self.attempt([*self.best[:at], weaker, *self.best[at + 1 :]]):
                    break

    def _held(self) -> list[int]:
        return [at for at, choice in enumerate(self.best) if choice]
