"""One run that is stopped at one step of its scheduler, and how it must end."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any, Literal, assert_never

import anyio
import attrs

from .._run.snapshot import RunSnapshot
from .._run.stream import RunStream
from ..events import EventType
from ..seams import Seam
from .leaks import nothing_left
from .subject import Subject
from .watching import watched


How = Literal["cancel", "owner", "close"]
"""``run.cancel()``, a cancelled scope around the block, or leaving the block early."""


@attrs.define(eq=False)
class Stopped:
    """One run that is stopped at one step."""

    subject: Subject
    """What is run."""
    how: How
    """How it is stopped."""
    at: int
    """The step it is stopped at, from 1; never at -1."""
    state: Any = attrs.field(init=False)
    """What it is given."""
    events: list[Any] = attrs.field(factory=list, init=False)
    """What it said."""
    steps: int = attrs.field(default=0, init=False)
    """Steps of the scheduler so far."""
    left: RunSnapshot | None = attrs.field(default=None, init=False)
    """What it holds in the end."""
    _run: RunStream | None = attrs.field(default=None, init=False)
    _owner: anyio.CancelScope = attrs.field(init=False)
    _reading: anyio.CancelScope = attrs.field(init=False)
    _hooks: Counter[str] = attrs.field(factory=Counter, init=False)
    _ends: Counter[str] = attrs.field(factory=Counter, init=False)

    async def main(self) -> None:
        """Run, and be stopped."""
        self._owner, self._reading = anyio.CancelScope(), anyio.CancelScope()
        self.state = self.subject.state()
        run = self.subject.pipe.run(self.state, **self.subject.options)
        with watched(), nothing_left(), self._owner:
            self._run = run
            async with run:
                with self._reading:
                    async for event in run:
                        self.events.append(event)
        self.at = -1
        with suppress(RuntimeError):  # it was stopped before it began
            self.left = run.snapshot()

    def count(self) -> None:
        """Count a step, and stop the run if it is the one."""
        if self._run is None:
            return
        self.steps += 1
        if self.steps != self.at:
            return
        match self.how:
            case "cancel":
                self._run.cancel(f"Cancelled at step {self.at}")
            case "owner":
                self._owner.cancel()
            case "close":
                self._reading.cancel()
            case _:
                assert_never(self.how)

    @property
    def status(self) -> str:
        """How it ended."""
        end = self._run.end if self._run is not None else None
        return end.status.value if end is not None else "not begun"

    def verify(self) -> None:
        """Raise if the run has not ended as every run must."""
        run = self._run
        assert run is not None
        if run.end is None:
            assert not self.events, "it said something and never how it ended"
            assert self.how == "owner", "it never said how it ended"
            return
        assert self.left is not None
        assert not self.left.tokens, f"it still holds {self.left.tokens}"
        assert not self.left.running, f"steps are at work: {self.left.running}"
        self._verify_events()
        self._verify_hooks()

    def _verify_events(self) -> None:
        numbers = [event.seq for event in self.events]
        assert numbers == list(range(1, len(numbers) + 1)), "events are missing"
        ends = [
            at
            for at, event in enumerate(self.events, 1)
            if event.type is EventType.FINISH and event.stage == "system"
        ]
        assert ends in ([], [len(self.events)]), f"FINISH at {ends}"
        was_read = self.how == "cancel"
        assert ends or not was_read, "FINISH is missing"

    def _verify_hooks(self) -> None:
        twice = [run for run, count in self._ends.items() if count != 1]
        assert not twice, "a run ended more than once"
        names = Counter(hook.name for hook in self.subject.pipe.plan().shutdown)
        for name, expected in names.items():
            called = self._hooks[name]
            assert called == expected, f"shutdown hook {name} ran {called} times"

    # -- at the seams

    async def reach(self, seam: Seam, run_id: str, who: str) -> None:
        """Count hooks and ends."""
        if self._run is None or run_id == "":
            return
        if seam is Seam.WIND_UP:
            self._ends[run_id] += 1
        elif seam is Seam.HOOK and run_id == self._run.run_id and run_id in self._ends:
            self._hooks[who] += 1

    def cross(self, seam: Seam, run_id: str, who: str) -> None:
        """Let it pass."""
