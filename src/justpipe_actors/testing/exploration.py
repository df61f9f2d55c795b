"""Run a pipeline under many schedules to find race conditions.

A step that reads shared state, awaits, and writes the state back has a race, but a test
may never hit the interleaving that fails.  ``explore`` repeats the pipeline under
virtual time and delays its steps at different points: before a call, after each wait,
and before the result takes effect.  When a check fails, ``explore`` removes delays
until only the necessary ones remain.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import anyio
import attrs

import trio

from .._util.failpoints import Seam
from ..errors import ScheduleFailure
from ..events import Event
from ..pipe import Pipe
from . import schedules as delay_schedules
from .deadlocks import DAY, watched
from .harness import TestPipe
from .result import TestResult, final_state
from .schedules import USER_CODE_SEAMS, FailpointHit, Schedule, at_seams, format_trace
from .virtual_clock import Backend, virtual_time


class _OldestFirst:
    """Replaces trio's random generator, so that tasks run in the order of their age."""

    def shuffle(self, batch: list[Any]) -> None:
        batch.reverse()  # trio takes them from the end

    def random(self) -> float:
        return 0.0

    def uniform(self, low: float, high: float) -> float:
        return low


@contextmanager
def deterministic_scheduling(seed: object = 0) -> Generator[None]:
    """Let trio schedule in order and ``random`` begin at the same place, for a while.

    Raises:
        RuntimeError: this version of trio is not known.
    """
    core: Any = trio._core._run
    names = ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r")
    if not all(hasattr(core, name) for name in names):
        msg = f"trio {trio.__version__} hides its scheduler; use backend='asyncio'."
        raise RuntimeError(msg)
    before = {name: getattr(core, name) for name in names}
    random_state = random.getstate()
    random.seed(str(seed))
    core._ALLOW_DETERMINISTIC_SCHEDULING, core._r = True, _OldestFirst()
    try:
        yield
    finally:
        random.setstate(random_state)
        for name, value in before.items():
            setattr(core, name, value)


Check = Callable[[TestResult[Any]], object]
"""Checks a run: raises or returns False if the run is wrong."""


@attrs.frozen(eq=False, kw_only=True)
class RunCase:
    """The pipe, its input and the check of a run."""

    pipe: Pipe[Any, Any]
    """A copy of the pipe under test, mocks in place, with every step on the loop."""
    steps: frozenset[str]
    """Names of the steps of the pipe, without those of its children."""
    state: Callable[[], Any]
    """Makes the state of a run."""
    check: Check
    """Receives the result of a run."""
    backend: Backend
    options: Mapping[str, Any]
    """Keyword arguments of ``Pipe.run``."""

    def check_result(self, events: list[Event], state: Any) -> TestResult[Any]:
        """Apply the check to a run; return the result of the run.

        Args:
            events: its events.
            state: what it was given.

        Raises:
            Exception: the check's, when that is wrong.
        """
        result = TestResult(events, final_state(events, state, self.steps))
        if self.check(result) is False:
            msg = "the check returned False"
            raise AssertionError(msg)
        return result


def prepare_case(pipe: Pipe[Any, Any] | TestPipe[Any, Any], **details: Any) -> RunCase:
    """Prepare a pipe, or a harness with mocks, for being run often.

    Args:
        pipe: the pipe or the harness.
        **details: the other fields of a ``RunCase``.
    """
    harness = pipe if isinstance(pipe, TestPipe) else TestPipe(pipe)
    steps = frozenset(harness.pipe.registry.steps)
    return RunCase(pipe=harness.overlaid(inline=True), steps=steps, **details)


StateT = TypeVar("StateT")


@attrs.frozen
class Exploration:
    """The result of ``explore`` when all checks passed."""

    schedules: int
    """Runs, the plain one included."""
    interleavings: int
    """Different orders in which failpoints were passed."""
    crossings: int
    """Failpoints passed in the plain run."""
    seed: object
    """Seed of the schedules."""


@attrs.frozen
class _Trial:
    """One run under one schedule."""

    result: TestResult[Any] | None
    trace: list[FailpointHit]
    problem: Exception | None


def _trial(case: RunCase, seams: Collection[Seam], choices: Sequence[int]) -> _Trial:
    """Run once under a schedule, and check."""
    schedule = Schedule(choices, seams)
    clock = virtual_time(case.backend, horizon=DAY)
    try:
        with deterministic_scheduling(), at_seams(schedule):
            events, state = anyio.run(_run, case, **clock)
        result = case.check_result(events, state)
    except Exception as problem:  # noqa: BLE001 - it is what we look for
        return _Trial(None, schedule.trace, problem)
    return _Trial(result, schedule.trace, None)


async def _run(case: RunCase) -> tuple[list[Event], Any]:
    state = case.state()
    with watched():
        async with case.pipe.run(state, **case.options) as run:
            events = [event async for event in run]
    return events, state


def explore(
    pipe: Pipe[StateT, Any] | TestPipe[StateT, Any],
    state: Callable[[], StateT],
    check: Callable[[TestResult[StateT]], object],
    *,
    schedules: int = 200,
    seed: object = 0,
    seams: Collection[Seam] = USER_CODE_SEAMS,
    backend: Backend = "trio",
    **options: Any,
) -> Exploration:
    """Run a pipeline under many schedules and check each run.

    Every run has a new state, a clock that jumps, and the same numbers from ``random``.
    On trio the same seed gives the same runs, on every machine.  Synchronous steps stay
    on the loop whatever their placement, and nothing is persisted.  It opens loops of its
    own, so call it from a plain function.

    Args:
        pipe: the pipe, or a harness with mocks in place; give those functions as side
            effects, as a list of them would be used up by the first run.
        state: makes the state of a run.
        check: receives the result of a run; raises or returns False if it is wrong.
        schedules: runs, the plain one included.
        seed: what schedules are drawn from.
        seams: the failpoints at which tasks may be delayed.
        backend: the event loop.
        **options: as for ``Pipe.run``.

    Raises:
        ScheduleFailure: a check failed or a run raised; with the shortest schedule that
            does it, to be given to ``replay``.
    """
    case = prepare_case(
        pipe, state=state, check=check, backend=backend, options=options
    )
    run = partial(_trial, case, seams)
    baseline = run([])
    _raise_problem(case, baseline, [], "under the plain schedule")
    seen = {_hit_order(baseline)}
    length = max(1, len(baseline.trace))
    drawn_schedules = islice(delay_schedules.schedules(seed, length), schedules - 1)
    for number, choices in enumerate(drawn_schedules, 1):
        trial = run(choices)
        seen.add(_hit_order(trial))
        if trial.problem is not None:
            name = f"schedule {number} of seed {seed!r}"
            shortest, how_found = _shrink_schedule(run, trial, choices)
            _raise_problem(case, run(shortest), shortest, f"under {name}, {how_found}")
    return Exploration(schedules, len(seen), len(baseline.trace), seed)


def replay(
    pipe: Pipe[StateT, Any] | TestPipe[StateT, Any],
    state: Callable[[], StateT],
    check: Callable[[TestResult[StateT]], object],
    *,
    choices: Sequence[int],
    seams: Collection[Seam] = USER_CODE_SEAMS,
    backend: Backend = "trio",
    **options: Any,
) -> TestResult[StateT]:
    """Run a pipeline under one schedule and return its result.

    Args:
        pipe: as for ``explore``.
        state: as for ``explore``.
        check: as for ``explore``.
        choices: what happens at each failpoint: the attribute of a ``ScheduleFailure``, or
            what ``justpipe_actors.testing.strategies.schedules()`` draws.
        seams: as for ``explore``.
        backend: as for ``explore``.
        **options: as for ``Pipe.run``.

    Raises:
        ScheduleFailure: the check failed or the run raised.
    """
    case = prepare_case(
        pipe, state=state, check=check, backend=backend, options=options
    )
    trial = _trial(case, seams, choices)
    _raise_problem(case, trial, choices, "under this schedule")
    assert trial.result is not None
    return trial.result


def _hit_order(trial: _Trial) -> tuple[tuple[Seam, int, str], ...]:
    return tuple((hit.seam, hit.run, hit.part) for hit in trial.trace)


def _shrink_schedule(
    run: Callable[[Sequence[int]], _Trial], trial: _Trial, choices: list[int]
) -> tuple[list[int], str]:
    """Return the shortest schedule with the same failure, and how it was found."""
    problem_type, tries = type(trial.problem), 0

    def fails(choices: list[int]) -> bool:
        nonlocal tries
        tries += 1
        return type(run(choices).problem) is problem_type

    shortest = delay_schedules.shrink(choices, fails, budget=300)
    delays_before, delays_left = sum(map(bool, choices)), sum(map(bool, shortest))
    delays_text = f"{delays_before} hold{'s' if delays_before > 1 else ''}"
    return (
        shortest,
        f"shortened from {delays_text} to {delays_left} in {tries} more runs",
    )


def _raise_problem(
    case: RunCase, trial: _Trial, choices: Sequence[int], when: str
) -> None:
    """Raise the failure of a trial, if there is one."""
    if trial.problem is None:
        return
    problem = f"{type(trial.problem).__name__}: {trial.problem}".strip()
    report = f"It failed {when}, on {case.backend}:\n{format_trace(trial.trace)}"
    raise ScheduleFailure(problem, choices, report) from trial.problem
