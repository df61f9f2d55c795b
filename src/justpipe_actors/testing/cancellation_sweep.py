"""Stop a run at every scheduler step and check that its cleanup is complete.

A cancellation may arrive at any await, so hand-written tests cover few of the cases.
Under virtual time a run takes a few hundred scheduler steps, so all cases can be
enumerated: the sweep repeats the run once for each step and stops it at that step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any, Literal, TypeVar, assert_never

import anyio
import attrs

from .._run.run import RunSnapshot
from .._run.run_stream import RunStream
from .._util.failpoints import FailpointHandler, Seam
from ..errors import CleanupFailure
from ..events import EventType
from ..pipe import Pipe
from .deadlocks import DAY, DeadlockDetector, watched
from .exploration import RunCase, deterministic_scheduling, prepare_case
from .harness import TestPipe
from .result import TestResult
from .schedules import at_seams
from .virtual_clock import Backend, nothing_left, virtual_time_with_steps


StopMode = Literal["cancel", "owner", "close"]
"""``run.cancel()``, a cancelled scope around the block, or leaving the block early."""


@attrs.define(eq=False)
class StoppedRun(FailpointHandler):
    """A run that is stopped at one scheduler step."""

    case: RunCase
    """The pipe, its input and its check."""
    how: StopMode
    """How it is stopped."""
    stop_at: int
    """Scheduler step to stop at, from 1; -1 means the run is not stopped."""
    state: Any = attrs.field(init=False)
    """Initial state of the run."""
    events: list[Any] = attrs.field(factory=list, init=False)
    """Events of the run so far."""
    steps: int = attrs.field(default=0, init=False)
    """Steps of the scheduler so far."""
    final_snapshot: RunSnapshot | None = attrs.field(default=None, init=False)
    """Snapshot of the run at its end."""
    _run: RunStream | None = attrs.field(default=None, init=False)
    _owner: anyio.CancelScope = attrs.field(init=False)
    _reader: anyio.CancelScope = attrs.field(init=False)
    _hook_calls: Counter[str] = attrs.field(factory=Counter, init=False)
    _end_counts: Counter[str] = attrs.field(factory=Counter, init=False)

    async def main(self) -> None:
        """Run the pipe and stop it at the chosen step."""
        self._owner, self._reader = anyio.CancelScope(), anyio.CancelScope()
        self.state = self.case.state()
        run = self.case.pipe.run(self.state, **self.case.options)
        with watched(), nothing_left(), self._owner:
            self._run = run
            async with run:
                with self._reader:
                    async for event in run:
                        self.events.append(event)
        self.stop_at = -1
        with suppress(RuntimeError):  # it was stopped before it began
            self.final_snapshot = run.snapshot()

    def count(self) -> None:
        """Count a step, and stop the run if it is the one."""
        if self._run is None:
            return
        self.steps += 1
        if self.steps != self.stop_at:
            return
        match self.how:
            case "cancel":
                self._run.cancel(f"Cancelled at step {self.stop_at}")
            case "owner":
                self._owner.cancel()
            case "close":
                self._reader.cancel()
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
            assert not self.events, "it published events and no FINISH"
            assert self.how == "owner", "it published no FINISH"
            return
        assert self.final_snapshot is not None
        assert not self.final_snapshot.tokens, (
            f"it still holds {self.final_snapshot.tokens}"
        )
        assert not self.final_snapshot.running, (
            f"steps are at work: {self.final_snapshot.running}"
        )
        self._verify_events()
        self._verify_hooks()

    def _verify_events(self) -> None:
        numbers = [event.seq for event in self.events]
        assert numbers == list(range(1, len(numbers) + 1)), "events are missing"
        ends = [
            position
            for position, event in enumerate(self.events, 1)
            if event.type is EventType.FINISH and event.stage == "system"
        ]
        assert ends in ([], [len(self.events)]), f"FINISH at {ends}"
        was_read = self.how == "cancel"
        assert ends or not was_read, "FINISH is missing"

    def _verify_hooks(self) -> None:
        repeated = [run for run, count in self._end_counts.items() if count != 1]
        assert not repeated, "a run ended more than once"
        names = Counter(hook.name for hook in self.case.pipe.plan().shutdown)
        for name, expected in names.items():
            called = self._hook_calls[name]
            assert called == expected, f"shutdown hook {name} ran {called} times"

    # -- at the failpoints

    async def reach(self, seam: Seam, run_id: str, part: str) -> None:
        """Count hook calls and ended runs."""
        if self._run is None or run_id == "":
            return
        if seam is Seam.WIND_UP:
            self._end_counts[run_id] += 1
        elif (
            seam is Seam.HOOK
            and run_id == self._run.run_id
            and run_id in self._end_counts
        ):
            self._hook_calls[part] += 1


StateT = TypeVar("StateT")

ALL_MODES: tuple[StopMode, ...] = ("cancel", "owner", "close")
"""Every way to stop a run."""


@attrs.frozen
class Sweep:
    """The result of a successful ``cancel_everywhere``."""

    runs: int
    """Runs that were stopped."""
    steps: int
    """Scheduler steps in a run that is not stopped."""
    statuses: dict[str, int]
    """Number of runs by terminal status."""


def cancel_everywhere(
    pipe: Pipe[StateT, Any] | TestPipe[StateT, Any],
    state: Callable[[], StateT],
    check: Callable[[TestResult[StateT]], object] = lambda result: None,
    *,
    how: Collection[StopMode] = ALL_MODES,
    steps: Sequence[int] | None = None,
    most: int = 500,
    backend: Backend = "trio",
    **options: Any,
) -> Sweep:
    """Stop a run at every step, in every way, and check that it has cleaned up.

    Every run must end with one status and no event after it; each shutdown hook must
    have been called once, and no step or task may still be running.  As with
    ``explore``, the function opens event loops, so call it from a plain function.

    Args:
        pipe: the pipe, or a harness with mocks in place.
        state: makes the state of a run.
        check: receives what a run did before it was stopped and while it was; raises, or
            returns False, when that is wrong.
        how: ways of stopping.
        steps: the steps to stop at; all by default.
        most: steps to stop at, for each way; of more than that, as many are picked
            evenly.
        backend: the event loop.
        **options: as for ``Pipe.run``.

    Raises:
        CleanupFailure: something was left, or a check failed.
    """
    case = prepare_case(
        pipe, state=state, check=check, backend=backend, options=options
    )
    total = _trial(case, "cancel", -1).steps
    selected_steps = range(1, total + 1) if steps is None else steps
    selected_steps = selected_steps[:: max(1, -(-len(selected_steps) // most))]
    runs = [_trial(case, mode, step) for mode in how for step in selected_steps]
    statuses = Counter(stopped_run.status for stopped_run in runs)
    return Sweep(len(runs), total, dict(statuses))


def _trial(case: RunCase, how: StopMode, step: int) -> StoppedRun:
    """Stop one run, and raise if it has not ended correctly."""
    stopped_run = StoppedRun(case, how, step)
    clock = virtual_time_with_steps(
        case.backend, DeadlockDetector(DAY), stopped_run.count
    )
    try:
        with deterministic_scheduling(), at_seams(stopped_run):
            anyio.run(stopped_run.main, **clock)
        stopped_run.verify()
        case.check_result(stopped_run.events, stopped_run.state)
    except Exception as problem:
        text = f"{type(problem).__name__}: {problem}"
        raise CleanupFailure(text, how, step) from problem
    return stopped_run
