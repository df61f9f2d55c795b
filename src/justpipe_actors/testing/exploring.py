"""Running a pipeline under many schedules, to find what only bad luck would show.

A step that reads shared state, waits, and writes it back is wrong, and may never fail in
a test: its neighbour happens to be elsewhere.  ``explore`` runs the pipeline again and
again under virtual time and holds its steps up at different moments, before they are
called, whenever they go on after a wait, before what they answered takes effect.  When a
check fails it takes holds away until only those are left that matter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import anyio
import attrs

from ..errors import ScheduleFailure
from ..events import Event
from ..pipe import Pipe
from ..seams import Seam
from . import holds
from .clocks import Backend, virtual_time
from .harness import TestPipe
from .result import TestResult
from .standing import USERS, Crossing, Schedule, at_seams, lines
from .steady import steady
from .subject import Subject, subject_of
from .watching import DAY, watched


StateT = TypeVar("StateT")


@attrs.frozen
class Exploration:
    """What ``explore`` has seen when nothing failed."""

    schedules: int
    """Runs, the plain one included."""
    interleavings: int
    """Different orders in which seams were crossed."""
    crossings: int
    """Seams crossed in the plain run."""
    seed: object
    """What the schedules were drawn from."""


@attrs.frozen
class _Trial:
    """One run under one schedule."""

    result: TestResult[Any] | None
    trace: list[Crossing]
    problem: Exception | None


def _trial(subject: Subject, where: Collection[Seam], choices: Sequence[int]) -> _Trial:
    """Run once under a schedule, and check."""
    schedule = Schedule(choices, where)
    clock = virtual_time(subject.backend, horizon=DAY)
    try:
        with steady(), at_seams(schedule):
            events, state = anyio.run(_run, subject, **clock)
        result = subject.judge(events, state)
    except Exception as problem:  # noqa: BLE001 - it is what we look for
        return _Trial(None, schedule.trace, problem)
    return _Trial(result, schedule.trace, None)


async def _run(subject: Subject) -> tuple[list[Event], Any]:
    state = subject.state()
    with watched():
        async with subject.pipe.run(state, **subject.options) as run:
            events = [event async for event in run]
    return events, state


def explore(  # noqa: PLR0913 - one call is the whole tool
    pipe: Pipe[StateT, Any] | TestPipe[StateT, Any],
    state: Callable[[], StateT],
    check: Callable[[TestResult[StateT]], object],
    *,
    schedules: int = 200,
    seed: object = 0,
    seams: Collection[Seam] = USERS,
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
        check: is told what a run did; raises, or returns False, when that is wrong.
        schedules: runs, the plain one included.
        seed: what schedules are drawn from.
        seams: where tasks may be held up.
        backend: the event loop.
        **options: as for ``Pipe.run``.

    Raises:
        ScheduleFailure: a check failed or a run raised; with the shortest schedule that
            does it, to be given to ``replay``.
    """
    subject = subject_of(
        pipe, state=state, check=check, backend=backend, options=options
    )
    run = partial(_trial, subject, seams)
    plain = run([])
    _tell(subject, plain, [], "under the plain schedule")
    seen = {_order(plain)}
    length = max(1, len(plain.trace))
    drawn = islice(holds.schedules(seed, length), schedules - 1)
    for number, choices in enumerate(drawn, 1):
        trial = run(choices)
        seen.add(_order(trial))
        if trial.problem is not None:
            name = f"schedule {number} of seed {seed!r}"
            best, story = _shorten(run, trial, choices)
            _tell(subject, run(best), best, f"under {name}, {story}")
    return Exploration(schedules, len(seen), len(plain.trace), seed)


def replay(
    pipe: Pipe[StateT, Any] | TestPipe[StateT, Any],
    state: Callable[[], StateT],
    check: Callable[[TestResult[StateT]], object],
    *,
    choices: Sequence[int],
    seams: Collection[Seam] = USERS,
    backend: Backend = "trio",
    **options: Any,
) -> TestResult[StateT]:
    """Run a pipeline under one schedule and return what it did.

    Args:
        pipe: as for ``explore``.
        state: as for ``explore``.
        check: as for ``explore``.
        choices: what happens at each seam: the attribute of a ``ScheduleFailure``, or
            what ``justpipe_actors.testing.strategies.schedules()`` draws.
        seams: as for ``explore``.
        backend: as for ``explore``.
        **options: as for ``Pipe.run``.

    Raises:
        ScheduleFailure: the check failed or the run raised.
    """
    subject = subject_of(
        pipe, state=state, check=check, backend=backend, options=options
    )
    trial = _trial(subject, seams, choices)
    _tell(subject, trial, choices, "under this schedule")
    assert trial.result is not None
    return trial.result


def _order(trial: _Trial) -> tuple[tuple[Seam, int, str], ...]:
    return tuple((it.seam, it.run, it.who) for it in trial.trace)


def _shorten(
    run: Callable[[Sequence[int]], _Trial], trial: _Trial, choices: list[int]
) -> tuple[list[int], str]:
    """Return the shortest schedule that fails in the same way, and how it was found."""
    kind, tries = type(trial.problem), 0

    def fails(fewer: list[int]) -> bool:
        nonlocal tries
        tries += 1
        return type(run(fewer).problem) is kind

    best = holds.shorten(choices, fails, budget=300)
    held, left = sum(map(bool, choices)), sum(map(bool, best))
    holding = f"{held} hold{'s' if held > 1 else ''}"
    return best, f"shortened from {holding} to {left} in {tries} more runs"


def _tell(subject: Subject, trial: _Trial, choices: Sequence[int], when: str) -> None:
    """Raise what a trial found, if it found something."""
    if trial.problem is None:
        return
    problem = f"{type(trial.problem).__name__}: {trial.problem}".strip()
    report = f"It failed {when}, on {subject.backend}:\n{lines(trial.trace)}"
    raise ScheduleFailure(problem, choices, report) from trial.problem
