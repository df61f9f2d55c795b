"""A schedule as a finite list of choices, and how to make it shorter.

At each seam a run crosses, the next choice says what happens: mostly nothing, sometimes
the task is held up, for some turns of the scheduler or for some virtual time.  When the
list is at its end nothing happens any more, so the empty list is the plain schedule, and
every shortening of a list is a schedule nearer to the plain one.

All choices are drawn before the run.  Drawing them while it runs would make what is
drawn depend on what happens, and then nothing could be replayed or shortened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def draw(random: Random, length: int) -> list[int]:
    """Draw a schedule: a few holds anywhere, or many short ones, or many long ones.

    Most races need one or two unlucky moments, and many holds would blur them; some need
    everything to be late.
    """
    choices = [0] * length
    match random.randrange(4):
        case 0 | 1:
            for _ in range(1 + random.randrange(3)):
                choices[random.randrange(length)] = random.randrange(1, len(HOLDS))
            return choices
        case 2:
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
    shrinking = _Shrinking(list(choices), fails, budget)
    shrinking.remove()
    shrinking.replace_by_one()
    shrinking.weaken()
    return shrinking.best


@attrs.define
class _Shrinking:
    best: list[int]
    fails: Callable[[list[int]], bool]
    budget: int

    def attempt(self, choices: list[int]) -> bool:
        while choices and not choices[-1]:
            choices = choices[:-1]
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
